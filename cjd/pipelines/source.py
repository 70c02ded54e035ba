"""The teacher's own training pictures, drawn by the paper doll illustrator: pictures/."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pyarrow as pa

from cjd.config.recipe import SourceConfig
from cjd.errors import CjdError
from cjd.pipelines.runtime import ray_session
from cjd.pipelines.shards import check_shards, over_shards, rows_of, shard_count
from cjd.progress import Progress
from cjd.progress.mailbox import Mailbox
from cjd.prompts import Grammar, is_held_out
from cjd.records import PICTURES
from cjd.seeds import derive_seed
from cjd.storage import Run, Store, shard_numbers, write_shard

POST_EVERY = 64


def run(run: Run, progress: Progress) -> dict[str, Any]:
    """Write pictures/shard-*.parquet, without the combinations that are kept for evaluation."""
    if (summary := run.done("pictures")) is not None:
        return summary
    config: SourceConfig = run.section("source")
    shards = shard_count(config.count, config.shard_rows)
    before = check_shards(run.store, "pictures", shard_numbers(run.store, "pictures"), PICTURES, {})
    for number, rows in before.items():
        if number >= shards or rows != rows_of(number, config.count, config.shard_rows):
            raise CjdError(
                f"{run.uri}/pictures/shard-{number:06d}.parquet is not one of this run's shards ({rows} rows); "
                "move it away and run the same command again"
            )
    todo = [number for number in range(shards) if number not in before]
    with (
        ray_session(run.recipe.resources),
        progress.stage("source", config.count, "pictures", sum(before.values())) as bar,
    ):
        mailbox = Mailbox()
        arguments = {"store": run.store, "config": config, "seed": run.recipe.seed, "mailbox": mailbox}
        with mailbox.forward(bar):
            for _ in over_shards(todo, [(DrawActor, arguments, run.recipe.resources.prepare)]):
                pass
    summary = {"rows": config.count, "shards": shards, "source": config.kind, "licence": "cc0-1.0"}
    run.finish("pictures", summary)
    return summary


class DrawActor:
    """Draws and writes a shard of captioned pictures."""

    def __init__(self, store: Store, config: SourceConfig, seed: int, mailbox: Mailbox) -> None:
        self.store, self.config, self.seed, self.mailbox = store, config, seed, mailbox
        self.grammar = Grammar.load()

    def __call__(self, batch: pa.Table) -> pa.Table:
        number = batch.column("shard")[0].as_py()
        first = number * self.config.shard_rows
        rows = []
        for i in range(first, min(self.config.count, first + self.config.shard_rows)):
            rows.append(self.picture(i))
            if len(rows) % POST_EVERY == 0:
                self.mailbox.post(POST_EVERY)
        self.mailbox.post(len(rows) % POST_EVERY)
        write_shard(self.store, "pictures", number, pa.Table.from_pylist(rows, PICTURES))
        return pa.table({"rows": pa.array([len(rows)], pa.int64())})

    def picture(self, number: int) -> dict[str, Any]:
        """Row `number` of the set: the same for the same seed."""
        import numpy as np

        from cjd.images import encode
        from cjd.sources.paperdoll import draw, sample_doll

        attempt = 0
        doll = sample_doll(derive_seed(self.seed, "doll", number, attempt))
        while is_held_out(doll.attributes()):
            attempt += 1
            doll = sample_doll(derive_seed(self.seed, "doll", number, attempt))
        attributes = doll.attributes()
        seed = derive_seed(self.seed, "picture", number)
        image = draw(doll, self.config.size, seed)
        data = encode(np.asarray(image))
        digest = hashlib.sha256(data).hexdigest()
        return {
            "picture_id": hashlib.sha256(f"paperdoll\0{self.seed}\0{number}".encode()).hexdigest()[:32],
            "caption": self.grammar.realise(attributes, seed),
            "attributes": json.dumps(attributes, ensure_ascii=False),
            "source": "paperdoll",
            "licence": "cc0-1.0",
            "width": image.width,
            "height": image.height,
            "sha256": digest,
            "image": data,
        }
