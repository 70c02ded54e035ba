from functools import partial

"""A tiny world: a byte-level CLIP text encoder, prepared data, and recipes of two and three stages."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cjd.config.recipe import Recipe, StageConfig
from cjd.storage import open_store
from cjd.student.export import write_cascade
from cjd.student.task import StageTask
from cjd.text.encoder import TextEncoder
from cjd.text.libraries import quieten

WIDTH = 32
PROMPTS = ["a girl with silver hair", "a boy on a beach", "stars", "mountains at dawn", "a cat", "rain", "a fox", "tea"]
SIZES = {"base": 8, "sr-16": 16, "sr-32": 32}


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def text_folders(tmp_path_factory) -> tuple[Path, Path]:
    """(tokenizer, text_encoder), untrained; its vocabulary is the bytes."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    folder = tmp_path_factory.mktemp("text")
    letters = list(bytes_to_unicode().values())
    tokens = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizer(vocab={t: i for i, t in enumerate(tokens)}, merges=[], model_max_length=77)
    tokenizer.save_pretrained(folder / "tokenizer")
    torch.manual_seed(0)
    end = len(tokens) - 1
    config = CLIPTextConfig(
        vocab_size=len(tokens),
        hidden_size=WIDTH,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        bos_token_id=end - 1,
        eos_token_id=end,
        pad_token_id=end,
    )
    quieten()
    CLIPTextModel(config).half().save_pretrained(folder / "text_encoder")
    return folder / "tokenizer", folder / "text_encoder"


def make_recipe(names: list[str], **overrides) -> Recipe:
    def stage(name: str) -> dict:
        attention = name == "base"
        more = {} if attention else {"max_noise_level": 200, "sampler": {"num_inference_steps": 3, "noise_level": 50}}
        return {
            "name": name,
            "size": SIZES[name],
            "schedule_shift": 16.0,
            "unet": {
                "block_out_channels": (16, 32),
                "attention_levels": (False, attention),
                "attention_head_dim": 16,
                "cross_attention_dim": 32,
            },
            "sampler": {"num_inference_steps": 4, "guidance_scale": 2.5},
            "train": {"samples": 64, "batch_size": 8},
            **more,
            **overrides.get(name, {}),
        }

    return Recipe.model_validate({"name": "test", "seed": 3, "student": {"stages": [stage(n) for n in names]}})


@pytest.fixture(scope="session")
def prepared_store(tmp_path_factory, text_folders):
    """A run with `prepared/samples` of eight rows."""
    store = open_store(tmp_path_factory.mktemp("run"))
    folder = store.local("prepared/samples")
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 256, (len(PROMPTS), 3, 4, 4), generator=generator).float()
    shard = {f"image_{s}": torch.nn.functional.interpolate(coarse, (s, s)).byte() for s in SIZES.values()}
    shard["text"] = torch.arange(1, len(PROMPTS) + 1, dtype=torch.int32)
    save_file(shard, folder / "shard-000000.safetensors")
    embeddings = TextEncoder.load(*text_folders).encode(["", *PROMPTS])
    save_file({"embeddings": embeddings.bfloat16()}, folder / "text.safetensors")
    manifest = {
        "rows": len(PROMPTS),
        "shards": [{"name": "shard-000000.safetensors", "rows": len(PROMPTS)}],
        "columns": {},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return store


@pytest.fixture(scope="session")
def student_folders(prepared_store, text_folders, tmp_path_factory) -> dict[int, Path]:
    """Exported students of two and three stages, by their number. The weights are random, the output's too."""
    folders = {}
    for count in (2, 3):
        recipe = make_recipe(list(SIZES)[:count])
        store = open_store(tmp_path_factory.mktemp(f"student-{count}"))
        store.upload(prepared_store.local("prepared"), "prepared")
        for name in list(SIZES)[:count]:
            task = StageTask(store, recipe, name, partial(tuple, text_folders))
            objective = task.build()
            torch.manual_seed(1)
            torch.nn.init.normal_(objective.unet.conv_out.weight, std=0.1)
            task.export({k: v.clone() for k, v in objective.state_dict().items()})
        write_cascade(store, recipe)
        folders[count] = store.local("student")
    return folders


def stage_of(name: str, **overrides) -> StageConfig:
    student = make_recipe(list(SIZES), **overrides).student
    assert student is not None
    return next(s for s in student.stages if s.name == name)
