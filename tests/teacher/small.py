"""A recipe of very small parts, and the run that its tasks make."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa

from cjd.config import Recipe, resolve
from cjd.records import PICTURES
from cjd.storage import Store, open_store, write_shard

CAPTIONS = [
    "anime, a cute girl with long white hair",
    "manga, monochrome, a girl with short black hair in the coffee shop",
    "anime, a moe girl with blue eyes and a red ribbon, 4k, detailed",
    "mountains, fantasy, concept art",
]
TRAIN = {"samples": 8, "batch_size": 4}


def small_recipe(**unet) -> Recipe:
    return resolve(
        {
            "name": "small-teacher",
            "source": {"count": 8, "size": 16},
            "finetune": {
                "text_encoder": {"vocab_size": 640, "hidden_size": 16, "layers": 1, "heads": 2},
                "vae": {"block_out_channels": [8, 8, 8], "train": TRAIN},
                "unet": {
                    "block_out_channels": [8, 16],
                    "attention_levels": [False, True],
                    "attention_head_dim": 2,
                    "train_text_encoder": True,
                    "train": TRAIN,
                    **unet,
                },
            },
        },
        "the test",
    )


def prepare(store: Store) -> None:
    """What the source and prepare stages leave: captions, then pictures and their tokens."""
    import torch
    from safetensors.torch import save

    from cjd.teacher.build import ensure_tokenizer
    from cjd.text.tokens import tokenize

    blank = {field.name: 0 if pa.types.is_integer(field.type) else "" for field in PICTURES}
    rows = [blank | {"caption": caption, "image": b""} for caption in CAPTIONS]
    write_shard(store, "pictures", 0, pa.Table.from_pylist(rows, PICTURES))
    store.write("pictures/_done.json", json.dumps({"rows": len(rows)}).encode())
    images = np.random.default_rng(0).integers(0, 256, (len(CAPTIONS), 3, 16, 16), dtype=np.uint8)
    tokens = tokenize(ensure_tokenizer(store, small_recipe()), CAPTIONS)
    shard = {"image_16": torch.from_numpy(images), "tokens": torch.from_numpy(tokens)}
    store.write("prepared/pictures/shard-000000.safetensors", save(shard))


def batch_of(store: Store, rows: list[int]) -> dict:
    from safetensors.torch import load

    shard = load(store.read("prepared/pictures/shard-000000.safetensors"))
    return {name: tensor[rows] for name, tensor in shard.items()}


def finish(task) -> None:
    """Export the task's first weights: what an end of training does."""
    task.export({name: tensor.float() for name, tensor in task.build().state_dict().items()})


def make_teacher(uri: str, recipe: Recipe) -> Store:
    from cjd.teacher.unet_task import TeacherUNetTask
    from cjd.teacher.vae_task import VaeTask

    store = open_store(uri)
    prepare(store)
    finish(VaeTask(store, recipe))
    finish(TeacherUNetTask(store, recipe))
    return store
