"""The text embeddings of every prompt of a run, each computed once: text.safetensors."""

from __future__ import annotations

import json
import struct
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cjd.errors import CjdError
from cjd.pipelines.generate import PromptRows
from cjd.pipelines.shards import limit_threads, over_shards, rows_of, shard_count
from cjd.progress import Progress
from cjd.progress.mailbox import Mailbox
from cjd.storage import Run

PART_ROWS = 512
ENCODE_ROWS = 64


def embed_prompts(run: Run, progress: Progress, name: str) -> dict[str, Any]:
    """Write `name`: "embeddings" bfloat16 `[P + 1, 77, D]`, row 0 the empty prompt, row n + 1 prompt n.

    The work is cut into parts, which lie below the same folder until the file is whole. Returns what the
    manifest says of it.
    """
    from cjd.teacher.folder import resolve_teacher
    from cjd.text.encoder import student_text_folders

    folder = name.rpartition("/")[0]
    parts, info = f"{folder}/text", f"{folder}/text.json"
    if run.store.exists(name) and run.store.exists(info):
        return run.read_json(info)
    teacher = resolve_teacher(run.recipe.teacher.path, run.store)
    student_text_folders(run.recipe, run.store, teacher)  # what is wrong with it is said here, not in an actor
    total = run.require("prompts", "prompts")["rows"] + 1
    numbers = range(shard_count(total, PART_ROWS))
    there = set(run.store.list(parts))
    todo = [number for number in numbers if _part(parts, number) not in there]
    done = sum(rows_of(n, total, PART_ROWS) for n in numbers if n not in set(todo))
    with progress.stage("embed", total, "prompts", done) as bar:
        mailbox = Mailbox()
        arguments = {"run": run, "folder": parts, "total": total, "mailbox": mailbox}
        with mailbox.forward(bar):
            for _ in over_shards(todo, [(EmbedActor, arguments, run.recipe.resources.prepare)]):
                pass
    shape = _assemble(run, parts, total, name)
    content = {"text": {"rows": total, "shape": shape}, "text_width": shape[-1]}
    run.write_json(info, content)
    run.store.delete(parts)
    return content


def _part(folder: str, number: int) -> str:
    return f"{folder}/part-{number:06d}.bin"


class EmbedActor:
    """Embeds a part of the prompts."""

    def __init__(self, run: Run, folder: str, total: int, mailbox: Mailbox) -> None:
        from cjd.teacher.folder import resolve_teacher
        from cjd.text.encoder import TextEncoder, student_text_folders

        limit_threads(run.recipe.resources.prepare.threads)
        teacher = resolve_teacher(run.recipe.teacher.path, run.store)
        device = "cuda" if run.recipe.resources.prepare.gpus else "cpu"
        self.encoder = TextEncoder.load(*student_text_folders(run.recipe, run.store, teacher), device)
        self.prompts = PromptRows.of(run)
        self.store, self.folder, self.total, self.mailbox = run.store, folder, total, mailbox

    def __call__(self, batch: pa.Table) -> pa.Table:
        import torch

        number = batch.column("shard")[0].as_py()
        rows = range(number * PART_ROWS, number * PART_ROWS + rows_of(number, self.total, PART_ROWS))
        texts = [self.prompts.prompt(row - 1)["prompt"] if row else "" for row in rows]
        embedded = []
        for start in range(0, len(texts), ENCODE_ROWS):
            some = texts[start : start + ENCODE_ROWS]
            # A constant batch, so that a prompt's embedding does not depend on its neighbours.
            padded = some + [""] * (ENCODE_ROWS - len(some))
            embedded.append(self.encoder.encode(padded)[: len(some)].to("cpu", torch.bfloat16))
            self.mailbox.post(len(some))
        raw = torch.cat(embedded).contiguous().view(torch.int16).numpy()
        header = struct.pack("<II", *raw.shape[1:])
        self.store.write(_part(self.folder, number), header + raw.astype("<i2", copy=False).tobytes())
        return pa.table({"rows": pa.array([len(rows)], pa.int64())})


def _assemble(run: Run, parts: str, total: int, name: str) -> list[int]:
    """One safetensors file of all parts, a part at a time in memory; its shape after the rows."""
    shape = list(struct.unpack("<II", run.store.read(_part(parts, 0))[:8]))
    size = total * int(np.prod(shape)) * 2
    entry = {"dtype": "BF16", "shape": [total, *shape], "data_offsets": [0, size]}
    header = json.dumps({"embeddings": entry}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "text.safetensors"
        with open(path, "wb") as file:
            file.write(struct.pack("<Q", len(header)) + header)
            for number in range(shard_count(total, PART_ROWS)):
                data = run.store.read(_part(parts, number))
                wanted = rows_of(number, total, PART_ROWS) * int(np.prod(shape)) * 2 + 8
                if len(data) != wanted:
                    where = f"{run.uri}/{_part(parts, number)}"
                    raise CjdError(
                        f"{where} has {len(data)} bytes, not {wanted}; delete it and run the same command again"
                    )
                file.write(data[8:])
        run.store.upload(path, name)
    return shape
