"""Read prepared rows by number: memory-mapped safetensors, any order, no copy of the data set in memory."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from cjd.errors import CjdError, UsageError
from cjd.storage import Store
from cjd.train.order import rows_of

_DTYPES = {"U8": np.uint8, "I8": np.int8, "I32": np.int32, "I64": np.int64, "F32": np.float32, "BF16": np.uint16}


class PreparedData:
    """The rows of `prepared/<dataset>/`."""

    def __init__(self, store: Store, dataset: str) -> None:
        folder = f"prepared/{dataset}"
        if not store.exists(f"{folder}/manifest.json"):
            raise UsageError(f"{store.uri}/{folder} is not there yet; first run: cjd prepare {store.uri}")
        manifest = json.loads(store.read(f"{folder}/manifest.json"))
        self.rows: int = manifest["rows"]
        self._shards = [_map_tensors(store.local(f"{folder}/{shard['name']}")) for shard in manifest["shards"]]
        self._starts = np.cumsum([0] + [shard["rows"] for shard in manifest["shards"]])
        has_text = store.exists(f"{folder}/text.safetensors")
        self._text = _map_tensors(store.local(f"{folder}/text.safetensors"))["embeddings"] if has_text else None

    def read(self, rows: np.ndarray, columns: Sequence[str]) -> dict[str, torch.Tensor]:
        """Each column `[len(rows), ...]`; "text" as float32 embeddings, with the empty prompt's as `text_null`."""
        shards = np.searchsorted(self._starts, rows, side="right") - 1
        places = rows - self._starts[shards]
        batch: dict[str, torch.Tensor] = {}
        for column in columns:
            try:
                values = np.stack([self._shards[s][column][p] for s, p in zip(shards, places, strict=True)])
            except KeyError:
                raise CjdError(
                    f"the prepared data has no column {column!r}; delete prepared/ and prepare again"
                ) from None
            if column == "text":
                assert self._text is not None, "a text column comes with text.safetensors"
                batch["text"] = _from_bfloat16(self._text[values])
                batch["text_null"] = _from_bfloat16(self._text[0])
            else:
                batch[column] = torch.from_numpy(values)
        return batch


def batches(
    data: PreparedData,
    columns: Sequence[str],
    *,
    start: int,
    stop: int,
    batch_size: int,
    rank: int,
    world: int,
    seed: int,
    ahead: int = 2,
) -> Iterator[tuple[np.ndarray, dict[str, torch.Tensor]]]:
    """This rank's share of the global batches `[start, start + batch_size)`, and on to `stop`.

    Yields `(samples, batch)`: the global sample numbers, int64 `[batch_size / world]`, and their rows. A
    thread reads `ahead` batches in advance.
    """
    share = batch_size // world
    found: queue.Queue = queue.Queue(maxsize=ahead)
    leaving = threading.Event()

    def put(item: object) -> None:
        while not leaving.is_set():
            try:
                return found.put(item, timeout=0.2)
            except queue.Full:
                continue

    def read_ahead() -> None:
        try:
            for first in range(start, stop, batch_size):
                if leaving.is_set():
                    return
                samples = np.arange(first + rank * share, first + (rank + 1) * share, dtype=np.int64)
                put((samples, data.read(rows_of(samples, data.rows, seed), columns)))
            put(None)
        except Exception as error:  # handed to the consumer, which raises it
            put(error)

    thread = threading.Thread(target=read_ahead, name="read-ahead", daemon=True)
    thread.start()
    try:
        while (item := found.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        leaving.set()
        thread.join()


def _map_tensors(path: Path) -> dict[str, np.ndarray]:
    """Every tensor of a safetensors file as a read-only memory map (bfloat16 as its uint16 bits)."""
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        mapped = np.memmap(path, np.uint8, "r", offset=8 + length)
        return {
            name: mapped[slice(*entry["data_offsets"])].view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])
            for name, entry in header.items()
        }
    except FileNotFoundError:
        raise CjdError(f"{path} is missing; delete the prepared folder and prepare again") from None
    except (ValueError, KeyError, OSError, OverflowError) as error:
        raise CjdError(f"{path} is not a whole safetensors file ({error}); delete it and prepare again") from error


def _from_bfloat16(bits: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(bits).view(np.int16)).view(torch.bfloat16).float()
