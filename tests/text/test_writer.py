"""A tiny GPT-2 writes prompts: each from its own seed, whatever company it is written in."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import ByT5Tokenizer, GPT2Config, GPT2LMHeadModel

from cjd.config.recipe import GeneratorConfig
from cjd.errors import UsageError
from cjd.text.writer import PromptWriter

STARTS = ("a girl", "mountains, fantasy", "")


def save_gpt2(folder: Path) -> Path:
    ByT5Tokenizer().save_pretrained(folder)
    torch.manual_seed(0)
    GPT2LMHeadModel(
        GPT2Config(vocab_size=384, n_embd=32, n_layer=2, n_head=2, n_positions=128, bos_token_id=1, eos_token_id=1)
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_gpt2(tmp_path_factory.mktemp("gpt2"))


def config(folder: Path, **options: object) -> GeneratorConfig:
    chosen = {"count": 8, "starts": STARTS, "max_new_tokens": 12, "micro_batch_size": 4, "top_k": 20, **options}
    return GeneratorConfig.model_validate({"path": str(folder), **chosen})


def test_a_row_is_the_same_alone_and_in_company(folder: Path) -> None:
    writer = PromptWriter.load(config(folder))
    starts, seeds = [STARTS[i % 3] for i in range(7)], list(range(7))
    together = writer.write(starts, seeds)
    assert [writer.write([start], [seed])[0] for start, seed in zip(starts, seeds, strict=True)] == together
    assert all(text.startswith(start) for text, start in zip(together, starts, strict=True))
    assert len(set(together)) == 7
    assert writer.write(starts, [seed + 100 for seed in seeds]) != together


def test_the_likeliest_token_alone_is_what_transformers_writes(folder: Path) -> None:
    """With one token to choose from nothing is left to chance: the model's own greedy search says the same."""
    writer = PromptWriter.load(config(folder, top_k=1))
    start = STARTS[1]
    ids = writer.tokenizer(start, add_special_tokens=False, return_tensors="pt").input_ids
    greedy = writer.model.generate(ids, max_new_tokens=12, do_sample=False, pad_token_id=1)[0, ids.shape[1] :]
    expected = start + writer.tokenizer.decode(greedy, skip_special_tokens=True)
    assert writer.write([start], [0]) == [expected.strip().split("\n")[0].strip()]


def test_a_folder_that_is_no_generator(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UsageError, match="no model at"):
        PromptWriter.load(config(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(UsageError, match="no safetensors"):
        PromptWriter.load(config(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(UsageError, match="no causal language model"):
        PromptWriter.load(config(tmp_path))
