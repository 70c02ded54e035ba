"""Rows → pictures → screened shards: the machine of every stage that paints.

Two pools of Ray Data actors: one paints a shard, the other screens, encodes and writes it, so that the
painting device never waits. A picture is a function of its row, and a shard of its number, so two runs
give the same bytes whatever dies on the way.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from cjd import __version__
from cjd.config.recipe import PolicyConfig
from cjd.errors import CjdError, UsageError
from cjd.pipelines.payload import pack, unpack
from cjd.pipelines.rescue import CarefulPainter, Painter
from cjd.pipelines.shards import check_shards, limit_threads, over_shards, rows_of, shard_count
from cjd.progress import Progress
from cjd.progress.mailbox import Mailbox
from cjd.records import REJECTS, SAMPLES, sample_id, sample_seed
from cjd.storage import Run, Store, read_shard, shard_numbers, write_shard

STAGE_PREFIX = "stage_"
FAILED = "failed"  # the rule of a row that could not be painted


RowSource = Callable[[int], Sequence[Mapping[str, Any]]]


@dataclass(frozen=True)
class PaintSettings:
    """What each sample row says about how it was made. `teacher` is the painter's fingerprint."""

    teacher: str
    guidance_scale: float
    num_inference_steps: int
    scheduler: str
    licence: str


def stage_column(name: str) -> str:
    """The column that holds a cascade stage's own output, beside `image`."""
    return STAGE_PREFIX + name


def paint_set(
    run: Run,
    progress: Progress,
    *,
    stage: str,
    folder: str,
    rejects: str | None,
    total_rows: int,
    shard_rows: int,
    row_source: RowSource,
    painter: Callable[[], Painter],
    settings: PaintSettings,
    image_format: str = "png",
    gate: PolicyConfig | None = None,
    keep_stages: bool = False,
    tries: int = 3,
    on_shard: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Paint every row of a set into `folder`/shard-*.parquet; shards that are there already are kept.

    `row_source`: shard number -> its rows {"prompt_id", "index", "prompt", "attributes"}, picklable.
    `painter`: makes the painter inside an actor, picklable. `gate`: the policy that pictures pass, None
    for no screening; refused ones go to `rejects`, and so do rows that cannot be painted in `tries` tries (rule
    "failed"); without `rejects` one of these ends the stage. `keep_stages` adds a column `stage_<name>` (binary)
    for each other picture the painter returns. `on_shard` is called after each new shard. Needs a Ray session.

    Returns {"rows", "accepted", "refused": {rule: count}, "shards"}.
    """
    if gate is not None and rejects is None:
        raise ValueError("a gate needs a folder for what it refuses")
    shards = shard_count(total_rows, shard_rows)
    before = _shards_before(run.store, folder, rejects, total_rows, shard_rows, settings)
    todo = [number for number in range(shards) if number not in before]
    done = sum(rows_of(number, total_rows, shard_rows) for number in before)
    accepted = sum(before.values())
    refused = _rules_before(run.store, rejects, before, total_rows, shard_rows)
    with progress.stage(stage, total_rows, "pictures", done) as bar:
        mailbox = Mailbox()
        paint = {
            "row_source": row_source,
            "painter": painter,
            "settings": settings,
            "keep_stages": keep_stages,
            "tries": tries,
            "threads": run.recipe.resources.paint.threads,
            "mailbox": mailbox,
        }
        write = {
            "store": run.store,
            "folder": folder,
            "rejects": rejects,
            "settings": settings,
            "image_format": image_format,
            "gate": gate,
        }
        pools = run.recipe.resources
        with mailbox.forward(bar):
            for row in over_shards(todo, [(PaintActor, paint, pools.paint), (WriteActor, write, pools.write)]):
                accepted += row["accepted"]
                refused.update(row["rules"])
                if row["rules"]:
                    by_rule = {f"refused_{rule}": count for rule, count in refused.items()}
                    bar.advance(0, refused=refused.total(), **by_rule)
                on_shard()
    return {"rows": total_rows, "accepted": accepted, "refused": dict(sorted(refused.items())), "shards": shards}


def _shards_before(
    store: Store, folder: str, rejects: str | None, total_rows: int, shard_rows: int, settings: PaintSettings
) -> dict[int, int]:
    """Finished shards and how many rows each holds."""
    shards = shard_count(total_rows, shard_rows)
    numbers = shard_numbers(store, folder)
    if numbers and numbers[-1] >= shards:
        raise CjdError(
            f"{store.uri}/{folder} holds shard {numbers[-1]}, but this run has only {shards} shards; "
            "move it away and run the same command again"
        )
    before = check_shards(store, folder, numbers, SAMPLES, {"teacher": settings.teacher})
    refused: dict[int, int] = {}
    if rejects is not None:
        listed = [number for number in shard_numbers(store, rejects) if number in before]
        refused = check_shards(store, rejects, listed, REJECTS, {})
    for number, rows in before.items():
        wanted = rows_of(number, total_rows, shard_rows)
        if rows + refused.get(number, 0) != wanted:
            raise CjdError(
                f"{store.uri}/{folder}/shard-{number:06d}.parquet holds {rows} rows and {refused.get(number, 0)} "
                f"were refused, not {wanted}; move it away and run the same command again"
            )
    return before


def _rules_before(
    store: Store, rejects: str | None, before: Mapping[int, int], total_rows: int, shard_rows: int
) -> Counter[str]:
    rules: Counter[str] = Counter()
    for number, rows in before.items():
        if rejects is not None and rows < rows_of(number, total_rows, shard_rows):
            rules.update(read_shard(store, rejects, number, REJECTS, ["rule"]).column("rule").to_pylist())
    return rules


class PaintActor:
    """Paints the rows of a shard, a constant number at a time."""

    def __init__(
        self,
        row_source: RowSource,
        painter: Callable[[], Painter],
        settings: PaintSettings,
        keep_stages: bool,
        tries: int,
        threads: int,
        mailbox: Mailbox,
    ) -> None:
        limit_threads(threads)
        self.row_source = row_source
        self.settings = settings
        self.keep_stages = keep_stages
        self.mailbox = mailbox
        self.painter = painter()
        self.metrics = counters()
        self.careful = CarefulPainter(self.painter, tries, lambda line: mailbox.post(0, say=line))
        if self.painter.fingerprint != settings.teacher:
            raise UsageError(
                f"the model's files changed under the run ({self.painter.fingerprint} now, {settings.teacher} at the "
                "start); put them back, or start a new run"
            )

    def __call__(self, batch: pa.Table) -> pa.Table:
        number = batch.column("shard")[0].as_py()
        rows = [self._named(row) for row in self.row_source(number)]
        began = time.monotonic()
        painted, failed = self.careful.paint(rows, on_part=self.mailbox.post)
        self.metrics["painted"].inc(len(rows))
        self.metrics["seconds"].inc(time.monotonic() - began)
        pictures = {name: array for name, array in painted.items() if name == "image" or self.keep_stages}
        kept = [row for position, row in enumerate(rows) if position not in failed]
        lost = [{**rows[position], "reason": reason} for position, reason in failed.items()]
        return pa.table({"shard": pa.array([number], pa.int64()), "payload": pack(kept, pictures, lost)})

    def _named(self, row: Mapping[str, Any]) -> dict[str, Any]:
        identity = sample_id(self.settings.teacher, row["prompt"], row["index"])
        return {
            "sample_id": identity,
            "prompt_id": row["prompt_id"],
            "index": row["index"],
            "prompt": row["prompt"],
            "attributes": row["attributes"],
            "seed": sample_seed(identity),
        }


class WriteActor:
    """Screens, encodes and writes a painted shard: first what is refused, then the samples, which end it."""

    def __init__(
        self,
        store: Store,
        folder: str,
        rejects: str | None,
        settings: PaintSettings,
        image_format: str,
        gate: PolicyConfig | None,
    ) -> None:
        from cjd.policy import Gate

        self.store = store
        self.folder = folder
        self.rejects = rejects
        self.settings = settings
        self.image_format = image_format
        self.gate = Gate.load(gate) if gate is not None else None
        self.metrics = counters()

    def __call__(self, batch: pa.Table) -> pa.Table:
        number = batch.column("shard")[0].as_py()
        rows, pictures, lost = unpack(batch.column("payload")[0].as_buffer())
        stages = [name for name in pictures if name != "image"]
        schema = SAMPLES
        for name in stages:
            schema = schema.append(pa.field(stage_column(name), pa.binary()))
        kept: list[dict[str, Any]] = []
        refused = [_reject(row, FAILED, detail=row["reason"]) for row in lost]
        if refused and self.rejects is None:
            raise CjdError(f"a picture of {self.store.uri}/{self.folder} could not be painted: {refused[0]['detail']}")
        for i, row in enumerate(rows):
            verdict = self.gate.image(pictures["image"][i]) if self.gate else None
            if verdict is not None and not verdict.ok:
                refused.append(_reject(row, verdict.rule, verdict.list, verdict.score, verdict.detail))
            else:
                kept.append(self._sample(row, {n: a[i] for n, a in pictures.items()}, verdict))
        if refused and self.rejects is not None:
            write_shard(self.store, self.rejects, number, pa.Table.from_pylist(refused, REJECTS))
        write_shard(self.store, self.folder, number, pa.Table.from_pylist(kept, schema))
        if kept:  # Ray counts nothing but what is more than nothing
            self.metrics["written"].inc(len(kept))
        for row in refused:
            self.metrics["refused"].inc(1, tags={"rule": row["rule"]})
        return pa.table(
            {
                "shard": pa.array([number], pa.int64()),
                "accepted": pa.array([len(kept)], pa.int64()),
                "rules": pa.array([[row["rule"] for row in refused]], pa.list_(pa.string())),
            }
        )

    def _sample(self, row: Mapping[str, Any], pictures: Mapping[str, np.ndarray], verdict: Any) -> dict[str, Any]:
        from hashlib import sha256

        from cjd.images import encode

        image = pictures["image"]
        data = encode(image, self.image_format)
        return {
            **row,
            "guidance_scale": self.settings.guidance_scale,
            "num_inference_steps": self.settings.num_inference_steps,
            "scheduler": self.settings.scheduler,
            "teacher": self.settings.teacher,
            "code_version": __version__,
            "width": image.shape[1],
            "height": image.shape[0],
            "sha256": sha256(data).hexdigest(),
            "verdicts": _json(verdict.scores if verdict is not None else {}),
            "licence": self.settings.licence,
            "image": data,
            **{stage_column(n): encode(a, self.image_format) for n, a in pictures.items() if n != "image"},
        }


def _reject(
    row: Mapping[str, Any],
    rule: str | None,
    name: str | None = "built-in",
    score: float | None = None,
    detail: str = "",
) -> dict[str, Any]:
    return {
        "row": row["sample_id"],
        "kind": "sample",
        "prompt": row["prompt"],
        "rule": rule,
        "list": name,
        "score": score,
        "detail": detail,
    }


def counters() -> dict[str, Any]:
    """What the actors tell Prometheus through Ray's own exporter (there under `ray_`)."""
    from ray.util.metrics import Counter

    return {
        "painted": Counter("cjd_rows_painted", "Rows that a model has painted."),
        "seconds": Counter("cjd_seconds_painting", "Seconds that the painting actors were at it."),
        "written": Counter("cjd_rows_written", "Rows that went into a finished shard."),
        "refused": Counter("cjd_rows_refused", "Rows that were refused or failed.", tag_keys=("rule",)),
    }


def _json(content: Mapping[str, Any]) -> str:
    import json

    return json.dumps(content, ensure_ascii=False, sort_keys=True)
