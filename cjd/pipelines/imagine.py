"""Prompts by a language model: imagined/, a shard an actor's task, each row from its own seed."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from cjd.config.recipe import GeneratorConfig
from cjd.errors import UsageError
from cjd.pipelines.runtime import ray_session
from cjd.pipelines.shards import check_shards, limit_threads, over_shards, rows_of, shard_count
from cjd.progress import Progress
from cjd.progress.mailbox import Mailbox
from cjd.prompts import normalise
from cjd.seeds import derive_seed
from cjd.storage import Run, Store, read_shard, shard_numbers, write_shard

FOLDER = "imagined"
IMAGINED = pa.schema([("prompt", pa.string()), ("seed", pa.int64())])


def run(run: Run, progress: Progress) -> dict[str, Any]:
    """Write imagined/shard-*.parquet, row i from start i % starts; the summary."""
    from cjd.text.writer import generator_folder

    if (summary := run.done(FOLDER)) is not None:
        return summary
    config: GeneratorConfig = run.section("prompts").generator
    generator_folder(config.path)
    shards = shard_count(config.count, config.shard_rows)
    before = check_shards(run.store, FOLDER, shard_numbers(run.store, FOLDER), IMAGINED, {})
    todo = [number for number in range(shards) if number not in before]
    pool = run.recipe.resources.prepare
    with (
        ray_session(run.recipe.resources),
        progress.stage("imagine", config.count, "prompts", sum(before.values())) as bar,
    ):
        mailbox = Mailbox()
        arguments = {
            "store": run.store, "config": config, "seed": run.recipe.seed, "threads": pool.threads,
            "device": "cuda" if pool.gpus else "cpu", "mailbox": mailbox,
        }  # fmt: skip
        with mailbox.forward(bar):
            for _ in over_shards(todo, [(ImagineActor, arguments, pool)]):
                pass
    summary = {"rows": config.count, "shards": shards, "shard_rows": config.shard_rows}
    run.finish(FOLDER, summary)
    return summary


def imagined_prompts(run: Run) -> list[str]:
    """What was imagined, in order."""
    shards = range(run.require(FOLDER, "prompts")["shards"])
    tables = [read_shard(run.store, FOLDER, number, IMAGINED, ["prompt"]) for number in shards]
    return [prompt for table in tables for prompt in table.column("prompt").to_pylist()]


class ImagineActor:
    """Writes a shard of prompts."""

    def __init__(
        self, store: Store, config: GeneratorConfig, seed: int, threads: int, device: str, mailbox: Mailbox
    ) -> None:
        from cjd.text.writer import PromptWriter

        limit_threads(threads)
        self.store, self.config, self.seed, self.mailbox = store, config, seed, mailbox
        self.writer = PromptWriter.load(config, device)

    def __call__(self, batch: pa.Table) -> pa.Table:
        number = batch.column("shard")[0].as_py()
        first, starts = number * self.config.shard_rows, self.config.starts
        rows = range(first, first + rows_of(number, self.config.count, self.config.shard_rows))
        seeds = [derive_seed(self.seed, "imagine", i) for i in rows]
        prompts = [_fitting(text) for text in self.writer.write([starts[i % len(starts)] for i in rows], seeds)]
        table = pa.table({"prompt": prompts, "seed": seeds}, schema=IMAGINED)
        write_shard(self.store, FOLDER, number, table)
        self.mailbox.post(len(prompts))
        return pa.table({"rows": pa.array([len(prompts)], pa.int64())})


def _fitting(text: str) -> str:
    """Normalised; empty where it is too long for a prompt."""
    try:
        return normalise(text)
    except UsageError:
        return ""
