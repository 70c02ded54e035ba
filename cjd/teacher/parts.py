"""What the teacher's tasks share: prepared pictures, and folders written so that a reader sees all or nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cjd.errors import UsageError
from cjd.storage import Store

if TYPE_CHECKING:
    import torch

_NOTES = {"_name_or_path", "is_local", "local_files_only"}
FIRST_SHARD = "prepared/pictures/shard-000000.safetensors"


def first_pictures(store: Store, size: int, count: int) -> torch.Tensor:
    """The first prepared pictures, at most `count` of one shard: uint8 `[N, 3, size, size]`."""
    from safetensors import safe_open

    if not store.exists(FIRST_SHARD):
        raise UsageError(f"{store.uri}/prepared/pictures is not complete; first run: cjd finetune {store.uri}")
    with safe_open(store.local(FIRST_SHARD), framework="pt") as shard:
        return shard.get_slice(f"image_{size}")[:count]


def to_signed(image_uint8: torch.Tensor) -> torch.Tensor:
    """uint8 to float32 in [-1, 1]."""
    return image_uint8.float() / 127.5 - 1.0


def part_weights(weights: Mapping[str, torch.Tensor], part: str) -> dict[str, torch.Tensor]:
    """The state dict of one part of an objective; {} when the objective does not train it."""
    prefix = f"{part}."
    return {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}


def publish(store: Store, folder: Path, name: str, last: str) -> None:
    """Replace the folder `name` of a run. The file `last`, by which readers know that it is whole, comes last.

    Where a library wrote down from where it loaded a part, the note is taken out: it differs between
    machines, and the fingerprint must not.
    """
    for file in folder.rglob("*.json"):
        content = json.loads(file.read_text(encoding="utf-8"))
        if notes := _NOTES & content.keys():
            kept = {key: value for key, value in content.items() if key not in notes}
            file.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    store.delete(f"{name}/{last}")
    store.delete(name)
    files = [f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file()]
    for file in sorted(files, key=lambda f: (f == last, f)):
        store.upload(folder / file, f"{name}/{file}")
