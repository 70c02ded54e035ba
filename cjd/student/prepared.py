"""What a stage needs to know of `prepared/samples` outside the training loop."""

from __future__ import annotations

import json

import torch
from torch import Tensor

from cjd.errors import UsageError
from cjd.storage.store import Store

FOLDER = "prepared/samples"


def text_width(store: Store) -> int:
    """Channels of the prepared text embeddings: from the manifest, or from the header of text.safetensors."""
    width = _manifest(store).get("text_width")
    if width is not None:
        return int(width)
    from safetensors import safe_open

    with safe_open(store.local(f"{FOLDER}/text.safetensors"), "pt") as file:
        return file.get_slice("embeddings").get_shape()[-1]


def first_rows(store: Store, columns: tuple[str, ...], count: int) -> dict[str, Tensor]:
    """The first rows of the first shard (fewer, if it holds fewer), as a batch is: `text` [B, L, D] float32, and
    `text_null` [L, D].
    """
    from safetensors import safe_open

    name = _manifest(store)["shards"][0]["name"]
    with safe_open(store.local(f"{FOLDER}/{name}"), "pt") as file:
        rows = {column: file.get_slice(column)[:count] for column in columns}
    with safe_open(store.local(f"{FOLDER}/text.safetensors"), "pt") as file:
        embeddings = file.get_slice("embeddings")
        if "text" in rows:
            rows["text"] = torch.stack([embeddings[int(i)] for i in rows["text"]]).float()
        rows["text_null"] = embeddings[0].float()
    return rows


def _manifest(store: Store) -> dict:
    name = f"{FOLDER}/manifest.json"
    if not store.exists(name):
        raise UsageError(f"{store.uri}/{FOLDER} is not complete; first run: cjd prepare {store.uri}")
    return json.loads(store.read(name))
