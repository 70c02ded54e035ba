"""Checkpoints: complete when their manifest is there and every file has the hash that it names.

`train/<task>/checkpoints/samples-000003200/` holds the engine's files, each rank's share of the EMA, and
`manifest.json`, written last. Whatever lacks a manifest is what a killed writer left, and is cleared away.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch.distributed as dist
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from cjd.errors import CjdError
from cjd.storage import Store
from cjd.storage.store import LocalStore
from cjd.train.ema import ShardedEma
from cjd.train.engine import TAG, load_engine, save_engine, to_universal

_NAME = re.compile(r"samples-(\d+)$")


@dataclass(frozen=True)
class Found:
    """A checkpoint that is whole."""

    name: str
    samples: int
    world: int
    zero_stage: int


class Checkpoints:
    """The checkpoints of one task. `store` is the task's own folder."""

    def __init__(self, store: Store, keep: int) -> None:
        self.store, self.keep = store, keep

    def newest(self) -> tuple[Found | None, list[str]]:
        """The newest whole checkpoint, and a line for each damaged one that was passed over."""
        passed: list[str] = []
        for name in reversed(self._names()):
            try:
                manifest = json.loads(self.store.read(f"{name}/manifest.json"))
                self._verify(name, manifest["files"])
                return Found(name, manifest["samples"], manifest["world"], manifest["zero_stage"]), passed
            except FileNotFoundError as error:
                if "manifest.json" not in str(error):
                    passed.append(f"checkpoint {name} lacks a file ({error}); using the one before it")
            except (ValueError, KeyError) as error:
                passed.append(f"checkpoint {name} is corrupt ({error}); using the one before it")
        return None, passed

    def save(self, engine: Any, ema: ShardedEma, samples: int, zero_stage: int) -> None:
        """Every rank calls this. Blocks until the checkpoint is whole; older ones beyond `keep` go."""
        name = f"checkpoints/samples-{samples:012d}"
        if ema.rank == 0:
            self.store.delete(name)  # what a writer that was killed here may have left
        dist.barrier()
        with _folder_for(self.store, name) as folder:
            try:
                (folder / "engine" / TAG).mkdir(parents=True, exist_ok=True)
                save_engine(engine, folder / "engine")
                save_file(ema.state(), folder / f"ema-{ema.rank:05d}.safetensors")
            except (OSError, RuntimeError, SafetensorError) as error:
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                raise CjdError(
                    f"cannot write checkpoint {self.store.uri}/{name}: {reason}; "
                    "free space or mend the permissions, then run the same command again"
                ) from error
            dist.barrier()
            files = self._hand_over(folder, name, ema.rank)
            everyone: list[Any] = [None] * ema.world
            dist.all_gather_object(everyone, files)
        if ema.rank == 0:
            merged = {file: digest for part in everyone for file, digest in part.items()}
            manifest = {"samples": samples, "world": ema.world, "zero_stage": zero_stage, "files": merged}
            self.store.write(f"{name}/manifest.json", json.dumps(manifest, indent=1).encode())
            self._prune()
        dist.barrier()

    def _hand_over(self, folder: Path, name: str, rank: int) -> dict[str, str]:
        """File -> sha256. On S3 every rank uploads what it wrote; a local folder is shared, so one rank looks."""
        if isinstance(self.store, LocalStore) and rank != 0:
            return {}
        files = {p.relative_to(folder).as_posix(): _hash(p) for p in sorted(folder.rglob("*")) if p.is_file()}
        if not isinstance(self.store, LocalStore):
            self.store.upload(folder, name)
        return files

    def load(self, found: Found, engine: Any, ema: ShardedEma) -> None:
        """Every rank calls this. A checkpoint of another world size is converted first: once, or where the
        files are copies of S3's, once on every machine.
        """
        folder = self.store.local(found.name)
        ema.load([load_file(folder / f"ema-{rank:05d}.safetensors") for rank in range(found.world)])
        if found.world == ema.world:
            load_engine(engine, folder / "engine")
            return
        universal = folder.with_name(f"{folder.name}-universal")
        shared = isinstance(self.store, LocalStore)
        converts = (ema.rank if shared else int(os.environ.get("LOCAL_RANK", ema.rank))) == 0
        if converts:
            shutil.rmtree(universal, ignore_errors=True)
            to_universal(folder / "engine", universal, found.zero_stage)
        dist.barrier()
        load_engine(engine, universal)
        dist.barrier()
        if converts:
            shutil.rmtree(universal)

    def _folders(self) -> set[str]:
        return {"/".join(name.split("/")[:2]) for name in self.store.list("checkpoints", recursive=True)}

    def _names(self) -> list[str]:
        return sorted(name for name in self._folders() if _NAME.search(name))

    def _verify(self, name: str, files: dict[str, str]) -> None:
        folder = self.store.local(name)
        for file, digest in files.items():
            if _hash(folder / file) != digest:
                raise ValueError(f"{file} is not as it was written")

    def _prune(self) -> None:
        """Keeps the newest; what a killed conversion left goes too."""
        for name in self._folders() - set(self._names()[-self.keep :]):
            self.store.delete(f"{name}/manifest.json")
            self.store.delete(name)


@contextmanager
def _folder_for(store: Store, name: str) -> Iterator[Path]:
    """A local folder to write into: the final place itself on local storage, a temporary one for S3."""
    if isinstance(store, LocalStore):
        yield store.local(name)
    else:
        with tempfile.TemporaryDirectory(prefix="cjd-checkpoint-") as folder:
            yield Path(folder)


def _hash(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
