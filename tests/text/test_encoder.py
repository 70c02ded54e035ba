from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from transformers import ByT5Tokenizer, CLIPTextConfig, CLIPTextModel, CLIPTokenizer, T5Config, T5EncoderModel

from cjd.config import resolve
from cjd.errors import UsageError
from cjd.storage import open_store
from cjd.text.encoder import TextEncoder, student_text_folders
from cjd.text.tokens import attention_mask, load_tokenizer, tokenize

PROMPTS = ["a girl", "A girl  ", "mountains, fantasy", ""]


def save_clip(folder: Path) -> None:
    from tokenizers.pre_tokenizers import ByteLevel

    letters = sorted(ByteLevel.alphabet())
    pieces = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizer({piece: i for i, piece in enumerate(pieces)}, [], model_max_length=77)
    tokenizer.save_pretrained(folder / "tokenizer")
    config = CLIPTextConfig(
        vocab_size=len(pieces),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
    )
    CLIPTextModel(config).save_pretrained(folder / "text_encoder")


def save_byt5(folder: Path) -> None:
    ByT5Tokenizer().save_pretrained(folder)
    config = T5Config(vocab_size=384, d_model=24, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    T5EncoderModel(config).save_pretrained(folder)


@pytest.fixture(scope="module", params=["clip", "byt5"])
def folder(request, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    {"clip": save_clip, "byt5": save_byt5}[request.param](folder)
    return folder


def recipe_with(text_encoder: str):
    train = {"samples": 1}
    unet = {"block_out_channels": [8], "attention_levels": [True], "attention_head_dim": 8}
    stage = {"name": "base", "size": 16, "unet": unet, "train": train}
    return resolve({"name": "t", "student": {"text_encoder": text_encoder, "stages": [stage]}}, "the test")


def load(folder: Path) -> TextEncoder:
    return TextEncoder.load(*student_text_folders(recipe_with(str(folder)), open_store(folder), folder))


def test_shape_and_type(folder):
    encoder = load(folder)
    embeddings = encoder.encode(PROMPTS)
    assert embeddings.shape == (4, 77, encoder.width) and embeddings.dtype == torch.float32
    assert not embeddings.requires_grad and not embeddings.is_inference()
    assert encoder.encode([]).shape == (0, 77, encoder.width)


def test_case_and_outer_space_do_not_matter(folder):
    one, other, different, _ = load(folder).encode(PROMPTS)
    assert torch.equal(one, other) and not torch.equal(one, different)


def test_is_what_the_if_pipeline_encodes(folder):
    encoder = load(folder)
    ids = encoder.tokenizer(
        ["a girl"], padding="max_length", max_length=77, truncation=True, add_special_tokens=True, return_tensors="pt"
    )
    with torch.no_grad():
        expected = encoder.model(ids.input_ids, attention_mask=ids.attention_mask)[0]
    torch.testing.assert_close(encoder.encode(["A girl"]), expected)


def test_teacher_is_the_default(folder, tmp_path):
    if (folder / "text_encoder").is_dir():
        expected = (folder / "tokenizer", folder / "text_encoder")
        assert student_text_folders(recipe_with("teacher"), open_store(tmp_path), folder) == expected


def test_folders_without_an_encoder_are_named(folder, tmp_path):
    store = open_store(tmp_path)
    with pytest.raises(UsageError, match="nowhere"):
        student_text_folders(recipe_with(str(tmp_path / "nowhere")), store, folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="empty holds no text encoder"):
        student_text_folders(recipe_with(str(tmp_path / "empty")), store, folder)
    with pytest.raises(UsageError, match="no tokenizer"):
        load_tokenizer(tmp_path / "empty")


def test_pickles_and_other_models_are_refused(folder, tmp_path):
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    encoder = copy / "text_encoder" if (copy / "text_encoder").is_dir() else copy
    (encoder / "model.safetensors").rename(encoder / "pytorch_model.bin")
    with pytest.raises(UsageError, match="no safetensors"):
        load(copy)
    (encoder / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(UsageError, match="'bert' model"):
        load(copy)


def test_mask_covers_what_was_padded(folder):
    tokenizer = load_tokenizer(folder / "tokenizer" if (folder / "tokenizer").is_dir() else folder)
    ids = torch.from_numpy(tokenize(tokenizer, PROMPTS)).long()
    expected = tokenizer(PROMPTS, padding="max_length", max_length=77, truncation=True, return_tensors="pt")
    assert torch.equal(attention_mask(ids, tokenizer.eos_token_id), expected.attention_mask)
