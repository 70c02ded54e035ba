"""What training reads: raw pictures at every size, text embeddings or tokens, memory-mapped by row."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from cjd.errors import CjdError, UsageError
from cjd.pipelines.embed import embed_prompts
from cjd.pipelines.generate import PromptRows
from cjd.pipelines.runtime import ray_session
from cjd.pipelines.shards import over_shards
from cjd.progress import Progress
from cjd.progress.mailbox import Mailbox
from cjd.records import PICTURES, SAMPLES
from cjd.storage import Run, Store, read_shard, shard_numbers

NOT_APPLICABLE = -1


def run(run: Run, progress: Progress, dataset: str = "samples") -> dict[str, Any]:
    """Write prepared/<dataset>/: "samples" for the student, "pictures" for the teacher and the judge.

    Returns the summary {"rows", "shards", "columns"}; manifest.json is written last.
    """
    if dataset not in ("samples", "pictures"):
        raise UsageError(f"there is no data set {dataset!r} to prepare; it is samples or pictures")
    folder = f"prepared/{dataset}"
    if (summary := run.done(folder)) is not None:
        return summary
    made = run.require(dataset, "generate" if dataset == "samples" else "finetune")
    numbers = shard_numbers(run.store, dataset)
    if numbers != list(range(made["shards"])):
        missing = sorted(set(range(made["shards"])) - set(numbers))
        raise CjdError(
            f"{run.uri}/{dataset} should hold {made['shards']} shards and does not (number {(missing or numbers)[0]}); "
            f"delete {dataset}/_done.json and run the stage that makes it again"
        )
    with ray_session(run.recipe.resources):
        if dataset == "samples":
            arrange: Arrange = SampleColumns.of(run)
            extra = embed_prompts(run, progress, f"{folder}/text.safetensors")
        else:
            arrange, extra = _picture_columns(run)
        rows = _write_shards(run, progress, dataset, numbers, made, arrange)
    shards = [{"name": f"shard-{number:06d}.safetensors", "rows": rows[number]} for number in numbers if rows[number]]
    if not shards:
        raise UsageError(f"{run.uri}/{dataset} holds no pictures to train on; look at rejects/ for why")
    header = _header(run.store, f"{folder}/{shards[0]['name']}")
    columns = {name: {"dtype": part["dtype"], "shape": part["shape"][1:]} for name, part in sorted(header.items())}
    summary = {"rows": sum(shard["rows"] for shard in shards), "shards": len(shards), "columns": columns}
    run.write_json(f"{folder}/manifest.json", {"rows": summary["rows"], "shards": shards, "columns": columns, **extra})
    run.finish(folder, summary)
    return summary


class Arrange(Protocol):
    """A shard's columns: shard number -> arrays with a row for each picture. Picklable."""

    def __call__(self, store: Store, number: int) -> dict[str, np.ndarray]: ...


class SampleColumns:
    """image_<size> for every size of the cascade, and text: the row of text.safetensors."""

    def __init__(self, sizes: tuple[int, ...], prompts: PromptRows) -> None:
        self.sizes, self.prompts = sizes, prompts

    @classmethod
    def of(cls, run: Run) -> SampleColumns:
        return cls(tuple(stage.size for stage in run.section("student").stages), PromptRows.of(run))

    def __call__(self, store: Store, number: int) -> dict[str, np.ndarray]:
        table = read_shard(store, "samples", number, SAMPLES, ["prompt_id", "image"])
        # Row 0 is the empty prompt.
        rows = {self.prompts.prompt(n)["prompt_id"]: n + 1 for n in self.prompts.prompt_numbers(number)}
        text = np.array([rows[key] for key in table.column("prompt_id").to_pylist()], np.int32)
        return {**image_columns(table.column("image").to_pylist(), self.sizes), "text": text}


class PictureColumns:
    """image_<size>, tokens and attributes: the index of each attribute's value, -1 where it does not apply."""

    def __init__(self, size: int, tokenizer: Any, vocabulary: Mapping[str, list[str]]) -> None:
        self.size, self.tokenizer, self.vocabulary = size, tokenizer, dict(vocabulary)

    def __call__(self, store: Store, number: int) -> dict[str, np.ndarray]:
        from cjd.text.tokens import tokenize

        table = read_shard(store, "pictures", number, PICTURES, ["caption", "attributes", "image"])
        captions = table.column("caption").to_pylist()
        named = [json.loads(text) for text in table.column("attributes").to_pylist()]
        values = [[self._value(asked, name) for name in self.vocabulary] for asked in named]
        return {
            **image_columns(table.column("image").to_pylist(), (self.size,)),
            "tokens": tokenize(self.tokenizer, captions),
            "attributes": np.array(values, np.int8).reshape(len(values), len(self.vocabulary)),
        }

    def _value(self, asked: Mapping[str, str], name: str) -> int:
        value = asked.get(name)
        return NOT_APPLICABLE if value is None else self.vocabulary[name].index(value)


def image_columns(images: list[bytes], sizes: tuple[int, ...]) -> dict[str, np.ndarray]:
    """image_<size> `[N, 3, size, size]` uint8 for each of `sizes`, shrunk with a box filter."""
    from cjd.images import decode, resize

    columns = {f"image_{size}": np.empty((len(images), 3, size, size), np.uint8) for size in sizes}
    for i, data in enumerate(images):
        array_HWC = decode(data)
        for size in sizes:
            columns[f"image_{size}"][i] = resize(array_HWC, size).transpose(2, 0, 1)
    return columns


def _picture_columns(run: Run) -> tuple[PictureColumns, dict[str, Any]]:
    from cjd.sources.paperdoll import ATTRIBUTES
    from cjd.teacher.build import ensure_tokenizer

    vocabulary = {name: list(ATTRIBUTES[name]) for name in sorted(ATTRIBUTES)}
    tokenizer = ensure_tokenizer(run.store, run.recipe)
    return PictureColumns(run.section("source").size, tokenizer, vocabulary), {"vocabulary": vocabulary}


def _write_shards(
    run: Run, progress: Progress, dataset: str, numbers: list[int], made: Mapping[str, Any], arrange: Arrange
) -> dict[int, int]:
    """Shard number -> rows, of all shards."""
    folder = f"prepared/{dataset}"
    there = set(run.store.list(folder))
    rows = {n: _rows(run.store, name) for n in numbers if (name := f"{folder}/shard-{n:06d}.safetensors") in there}
    todo = [number for number in numbers if number not in rows]
    total = made.get("accepted", made["rows"])
    with progress.stage("prepare", total, "pictures", sum(rows.values())) as bar:
        mailbox = Mailbox()
        arguments = {"store": run.store, "folder": folder, "arrange": arrange, "mailbox": mailbox}
        with mailbox.forward(bar):
            for done in over_shards(todo, [(PrepareActor, arguments, run.recipe.resources.prepare)]):
                rows[done["shard"]] = done["rows"]
    return rows


class PrepareActor:
    """Arranges and writes one shard."""

    def __init__(self, store: Store, folder: str, arrange: Arrange, mailbox: Mailbox) -> None:
        self.store, self.folder, self.arrange, self.mailbox = store, folder, arrange, mailbox

    def __call__(self, batch: pa.Table) -> pa.Table:
        from safetensors.numpy import save

        number = batch.column("shard")[0].as_py()
        columns = {name: np.ascontiguousarray(array) for name, array in self.arrange(self.store, number).items()}
        self.store.write(f"{self.folder}/shard-{number:06d}.safetensors", save(columns))
        rows = len(next(iter(columns.values())))
        self.mailbox.post(rows)
        return pa.table({"shard": pa.array([number], pa.int64()), "rows": pa.array([rows], pa.int64())})


def _header(store: Store, name: str) -> dict[str, Any]:
    data = store.read(name)
    try:
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        end = max(part["data_offsets"][1] for key, part in header.items() if key != "__metadata__")
        whole = 8 + length + end == len(data)
    except (struct.error, ValueError, KeyError, TypeError):
        whole, header = False, {}
    if not whole:
        raise CjdError(f"{store.uri}/{name} is not a whole safetensors file; delete it and run the same command again")
    return {key: part for key, part in header.items() if key != "__metadata__"}


def _rows(store: Store, name: str) -> int:
    return next(iter(_header(store, name).values()))["shape"][0]
