"""From shards to rows that training reads, with a text encoder and a tokenizer made here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file

from cjd.config.recipe import Recipe, ResourcesConfig
from cjd.errors import UsageError
from cjd.images import decode, resize
from cjd.pipelines import prepare, prompts, source
from cjd.progress import Progress
from cjd.prompts import is_held_out
from cjd.records import PICTURES, PROMPTS, SAMPLES
from cjd.storage import Run, read_shard, shard_numbers, write_shard

TRAIN = {"samples": 8}
UNET = {"block_out_channels": [8, 16], "attention_levels": [False, True], "attention_head_dim": 8}
STAGES = [
    {"name": "base", "size": 8, "unet": UNET, "train": TRAIN},
    {"name": "sr-16", "size": 16, "unet": UNET, "train": TRAIN},
]


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import CLIPTextConfig, CLIPTextModel

    from cjd.teacher.tokenizer import save_tokenizer, train_tokenizer

    folder = tmp_path_factory.mktemp("encoder")
    tokenizer = train_tokenizer(["a girl in the plains"], 600)
    save_tokenizer(tokenizer, folder / "tokenizer")
    torch.manual_seed(0)
    config = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    CLIPTextModel(config).save_pretrained(folder / "text_encoder")
    return folder


def make(folder: Path, resources: ResourcesConfig, encoder: Path) -> Run:
    recipe = {
        "name": "small",
        "prompts": {"count": 30},
        "generate": {"images_per_prompt": 2, "shard_rows": 8},
        "teacher": {"path": str(encoder)},
        "student": {"stages": STAGES},
        "source": {"count": 21, "size": 16, "shard_rows": 8},
        "finetune": {"text_encoder": {"vocab_size": 600}, "vae": {"train": TRAIN}, "unet": {"train": TRAIN}},
        "resources": resources.model_dump(),
    }
    return Run.create(str(folder), Recipe.model_validate(recipe))


def fake_samples(run: Run) -> None:
    """Samples as generation writes them: every seventh picture was refused."""
    from cjd.images import encode
    from cjd.pipelines.generate import PromptRows

    source_rows = PromptRows.of(run)
    accepted = 0
    for number in range(8):
        kept = []
        for i, row in enumerate(source_rows(number)):
            if (number * 8 + i) % 7:
                image = encode(np.random.default_rng(number * 8 + i).integers(0, 256, (16, 16, 3), dtype=np.uint8))
                kept.append({**row, "image": image})
        accepted += len(kept)
        write_shard(run.store, "samples", number, pa.Table.from_pylist(kept, SAMPLES))
    run.finish("samples", {"rows": 60, "accepted": accepted, "shards": 8})


def test_samples(tmp_path: Path, resources: ResourcesConfig, encoder_folder: Path, ray_session: None) -> None:
    from cjd.text.encoder import TextEncoder

    run = make(tmp_path, resources, encoder_folder)
    with pytest.raises(UsageError, match="cjd generate"):
        prepare.run(run, Progress())
    prompts.run(run, Progress())
    fake_samples(run)
    summary = prepare.run(run, Progress())
    manifest = json.loads((tmp_path / "prepared/samples/manifest.json").read_text())
    assert manifest["rows"] == summary["rows"] == sum(shard["rows"] for shard in manifest["shards"])
    embeddings = load_file(tmp_path / "prepared/samples/text.safetensors")["embeddings"]
    assert (embeddings.shape, embeddings.dtype) == ((31, 77, 16), torch.bfloat16)
    texts = ["", *read_shard(run.store, "prompts", 0, PROMPTS)["prompt"].to_pylist()]
    encoder = TextEncoder.load(encoder_folder / "tokenizer", encoder_folder / "text_encoder", "cpu")
    assert torch.allclose(encoder.encode(texts), embeddings.float(), atol=0.02)
    for number, shard in enumerate(manifest["shards"]):
        table = read_shard(run.store, "samples", number, SAMPLES)
        columns = load_file(tmp_path / "prepared/samples" / shard["name"])
        assert [texts[i] for i in columns["text"]] == table["prompt"].to_pylist()
        for i, data in enumerate(table["image"].to_pylist()):
            for size in (8, 16):
                assert (columns[f"image_{size}"][i].permute(1, 2, 0).numpy() == resize(decode(data), size)).all()
    before = {p.name: p.read_bytes() for p in (tmp_path / "prepared/samples").iterdir()}
    for name in ("shard-000003.safetensors", "text.safetensors", "manifest.json", "_done.json"):
        (tmp_path / "prepared/samples" / name).unlink()
    prepare.run(run, Progress())
    assert {p.name: p.read_bytes() for p in (tmp_path / "prepared/samples").iterdir()} == before


def test_pictures(tmp_path: Path, resources: ResourcesConfig, encoder_folder: Path, ray_session: None) -> None:
    from cjd.sources.paperdoll import ATTRIBUTES

    run = make(tmp_path, resources, encoder_folder)
    source.run(run, Progress())
    rows = [
        r
        for n in shard_numbers(run.store, "pictures")
        for r in read_shard(run.store, "pictures", n, PICTURES).to_pylist()
    ]
    assert len(rows) == len({row["picture_id"] for row in rows}) == 21
    assert not any(is_held_out(json.loads(row["attributes"])) for row in rows)
    before = (tmp_path / "pictures/shard-000001.parquet").read_bytes()
    (tmp_path / "pictures/shard-000001.parquet").unlink()
    (tmp_path / "pictures/_done.json").unlink()
    source.run(run, Progress())
    assert (tmp_path / "pictures/shard-000001.parquet").read_bytes() == before

    prepare.run(run, Progress(), "pictures")
    manifest = json.loads((tmp_path / "prepared/pictures/manifest.json").read_text())
    vocabulary = manifest["vocabulary"]
    assert vocabulary == {name: list(values) for name, values in sorted(ATTRIBUTES.items())}
    columns = load_file(tmp_path / "prepared/pictures/shard-000000.safetensors")
    assert columns["tokens"].shape == (8, 77) and columns["tokens"].dtype == torch.int32
    for i, row in enumerate(rows[:8]):
        named = {
            n: vocabulary[n][v] for n, v in zip(vocabulary, columns["attributes"][i].tolist(), strict=True) if v >= 0
        }
        assert named == json.loads(row["attributes"])
        assert (columns["image_16"][i].permute(1, 2, 0).numpy() == decode(row["image"])).all()
    shutil.rmtree(tmp_path / "prepared")
