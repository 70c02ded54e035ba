"""Prompt logs → mined/: read in parts by Ray Data actors, then merged, thinned of near copies and drawn from.

A part is a row group of a Parquet file, or a whole CSV or JSONL file. What an actor found in a part is a file
of its own, so a killed command goes on with the parts that are left.
"""

from __future__ import annotations

import csv
import fnmatch
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cjd.config.recipe import MineConfig, PolicyConfig
from cjd.errors import UsageError
from cjd.pipelines.runtime import ray_session
from cjd.pipelines.shards import over_shards
from cjd.policy import Gate
from cjd.progress import Progress
from cjd.progress.mailbox import Mailbox
from cjd.prompts.importer import COLUMNS, prompt_column
from cjd.prompts.mining import clean, describe, draw, near_copies, signatures
from cjd.storage import Run, Store, open_store, read_shard, shard_numbers, write_shard

FOLDER, PARTS = "mined", "mined/parts"
ENDINGS = (".parquet", ".csv", ".jsonl")
BATCH_ROWS = 16_384
MINED = pa.schema([("prompt", pa.string()), ("count", pa.int64())])
COUNTED = pa.schema([("prompt", pa.string()), ("rule", pa.string()), ("count", pa.int64())])


@dataclass(frozen=True)
class Part:
    """`group`: a row group of a Parquet file, or None for a whole file. `folder` is a store's address."""

    folder: str
    name: str
    group: int | None
    rows: int | None  # None: not known before it is read

    @property
    def where(self) -> str:
        return f"{self.folder}/{self.name}"


def run(run: Run, progress: Progress) -> dict[str, Any]:
    """Write mined/shard-*.parquet ("prompt", "count", in the order drawn) and mined/report.json; the summary."""
    if (summary := run.done(FOLDER)) is not None:
        return summary
    config = run.section("prompts").mine
    parts = find_parts(config.sources)
    there = shard_numbers(run.store, PARTS)
    total = sum(part.rows or 0 for part in parts)
    with ray_session(run.recipe.resources), progress.stage("mine", len(parts), "parts", len(there)) as bar:
        mailbox = Mailbox()
        arguments = {
            "store": run.store, "parts": parts, "config": config, "policy": run.recipe.policy, "mailbox": mailbox,
        }  # fmt: skip
        todo = [number for number in range(len(parts)) if number not in set(there)]
        with mailbox.forward(bar):
            for _ in over_shards(todo, [(MineActor, arguments, run.recipe.resources.prepare)]):
                pass
    progress.say(f"mine: merging what was found in {total or 'all'} rows")
    prompts, counts, dropped = _merge(run.store, len(parts))
    kept, counts = _without_near_copies(prompts, counts, config.near_duplicates)
    order = draw(kept, counts, config.count, config.temperature, run.recipe.seed)
    drawn = [(kept[i], int(counts[i])) for i in order]
    rows = dropped.total() + int(counts.sum())
    report = {
        "rows": rows,
        "dropped": dict(sorted(dropped.items())),
        "distinct": len(prompts),
        "near_copies": len(prompts) - len(kept),
        "drawn": len(drawn),
        **describe(prompt for prompt, _ in drawn),
    }
    table = pa.table({"prompt": [p for p, _ in drawn], "count": [c for _, c in drawn]}, schema=MINED)
    write_shard(run.store, FOLDER, 0, table)
    run.write_json(f"{FOLDER}/report.json", report)
    run.finish(FOLDER, {key: report[key] for key in ("rows", "dropped", "distinct", "near_copies", "drawn")})
    run.store.delete(PARTS)
    return report


def mined_prompts(run: Run) -> list[str]:
    """What was mined, in the order drawn."""
    return read_shard(run.store, FOLDER, 0, MINED, ["prompt"]).column("prompt").to_pylist()


def find_parts(sources: Sequence[str]) -> list[Part]:
    """Every part of the files that `sources` name: files, folders, and names with * below a folder, local or S3.

    Raises UsageError where there is nothing, or a kind of file that cannot be read.
    """
    parts: list[Part] = []
    for source in sources:
        found = _find(source)
        if not found:
            raise UsageError(f"prompts.mine: there is no file {source}; name {', '.join(ENDINGS)} files or a folder")
        for store, name in found:
            parts += _parts_of(store, name)
    return parts


def _find(source: str) -> list[tuple[Store, str]]:
    if "*" in source:
        fixed, star, rest = source.partition("*")
        folder, _, start = fixed.rpartition("/")
        store = open_store(folder or ".")
        pattern = start + star + rest
        return [(store, n) for n in store.list(recursive=True) if fnmatch.fnmatch(n, pattern) and n.endswith(ENDINGS)]
    folder, _, name = source.rstrip("/").rpartition("/")
    if name.endswith(ENDINGS):
        store = open_store(folder or ".")
        return [(store, name)] if store.exists(name) else []
    store = open_store(source)
    return [(store, n) for n in store.list(recursive=True) if n.endswith(ENDINGS)]


def _parts_of(store: Store, name: str) -> list[Part]:
    if not name.endswith(".parquet"):
        return [Part(store.uri, name, None, None)]
    filesystem, path = store.arrow(name)
    try:
        with filesystem.open_input_file(path) as file:
            footer = pq.read_metadata(file)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"{store.uri}/{name}: not a whole Parquet file ({reason}); leave it out") from None
    groups = range(footer.num_row_groups)
    return [Part(store.uri, name, group, footer.row_group(group).num_rows) for group in groups]


class MineActor:
    """Counts the prompts of a part."""

    def __init__(
        self, store: Store, parts: Sequence[Part], config: MineConfig, policy: PolicyConfig, mailbox: Mailbox
    ) -> None:
        self.store, self.parts, self.config, self.mailbox = store, parts, config, mailbox
        self.gate = Gate.load(policy)

    def __call__(self, batch: pa.Table) -> pa.Table:
        number = batch.column("shard")[0].as_py()
        part = self.parts[number]
        seen: Counter[str] = Counter()
        dropped: Counter[str] = Counter()
        for rows in _batches(part, self.config):
            some, lost = clean(
                rows, _column(part, rows, self.config), self.config.limits, self.config.min_chars, self._refuse
            )
            seen.update(some)
            dropped.update(lost)
        found = [{"prompt": prompt, "rule": None, "count": count} for prompt, count in sorted(seen.items())]
        found += [{"prompt": None, "rule": rule, "count": count} for rule, count in sorted(dropped.items())]
        write_shard(self.store, PARTS, number, pa.Table.from_pylist(found, COUNTED))
        self.mailbox.post(1, prompts=len(seen))
        return pa.table({"shard": pa.array([number], pa.int64())})

    def _refuse(self, prompt: str) -> str | None:
        return self.gate.text(prompt).rule


def _batches(part: Part, config: MineConfig) -> Iterator[list[dict[str, Any]]]:
    """The rows of a part with the columns that matter, some at a time."""
    store = open_store(part.folder)
    filesystem, path = store.arrow(part.name)
    if part.group is not None:
        with filesystem.open_input_file(path) as file, pq.ParquetFile(file) as parquet:
            names = parquet.schema_arrow.names
            wanted = [n for n in names if n in (config.column, *COLUMNS, *config.limits)] or names
            for batch in parquet.iter_batches(BATCH_ROWS, [part.group], wanted):
                yield batch.to_pylist()
        return
    with (
        filesystem.open_input_stream(path) as stream,
        io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text,
    ):
        rows: list[dict[str, Any]] = []
        for row in _csv_rows(text, config) if part.name.endswith(".csv") else _json_rows(part, text):
            rows.append(row)
            if len(rows) == BATCH_ROWS:
                yield rows
                rows = []
        if rows:
            yield rows


def _csv_rows(text: io.TextIOWrapper, config: MineConfig) -> Iterator[dict[str, Any]]:
    for row in csv.DictReader(text):
        yield {name: _number(value) if name in config.limits else value for name, value in row.items()}


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _json_rows(part: Part, text: io.TextIOWrapper) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(text, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise UsageError(f"{part.where}, line {number}: not JSON ({error.msg}); correct the line") from None
        yield row if isinstance(row, dict) else {"prompt": row}


def _column(part: Part, rows: Sequence[Mapping[str, Any]], config: MineConfig) -> str:
    """The prompts' column. Raises UsageError where it or a column of `limits` is not there."""
    names = list(rows[0])
    wanted = config.column or prompt_column(names, f"{part.where} (or set prompts.mine.column)")
    if wanted not in names:
        raise UsageError(f"{part.where} has no column {wanted!r}, but {', '.join(names)}; set prompts.mine.column")
    missing = [name for name in config.limits if name not in names]
    if missing:
        raise UsageError(f"{part.where} has no column {missing[0]!r}, which prompts.mine.limits asks for")
    return wanted


def _merge(store: Store, parts: int) -> tuple[list[str], np.ndarray, Counter[str]]:
    """(distinct prompts, the most frequent first; times seen; rows dropped by rule). Case does not distinguish: the
    spelling seen most often stays.
    """
    spellings: dict[str, Counter[str]] = {}
    dropped: Counter[str] = Counter()
    for number in range(parts):
        for row in read_shard(store, PARTS, number, COUNTED).to_pylist():
            if row["rule"] is None:
                spellings.setdefault(row["prompt"].casefold(), Counter())[row["prompt"]] += row["count"]
            else:
                dropped[row["rule"]] += row["count"]
    merged = [(min(seen, key=lambda s: (-seen[s], s)), seen.total()) for seen in spellings.values()]
    merged.sort(key=lambda each: (-each[1], each[0]))
    return [prompt for prompt, _ in merged], np.array([count for _, count in merged], np.int64), dropped


def _without_near_copies(prompts: Sequence[str], counts: np.ndarray, similarity: float) -> tuple[list[str], np.ndarray]:
    """Those that stand for others take over their counts."""
    if similarity >= 1 or not prompts:
        return list(prompts), counts
    stands_for = near_copies(signatures(prompts), similarity)
    sums = np.zeros_like(counts)
    np.add.at(sums, stands_for, counts)
    kept = np.flatnonzero(stands_for == np.arange(len(prompts))).tolist()
    return [prompts[i] for i in kept], sums[kept]
