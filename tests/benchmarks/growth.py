"""`make bench-growth`: painting with a painter that does nothing, at 1 k, 10 k, 100 k and 1 M rows.

What is left is the stage itself: Ray Data, hashing, screening, encoding, Parquet, listing. The time per row and the
command's memory must not grow with the rows. Then a finished run of 100,000 shards is continued.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
ONE = """
import json, resource, sys, time
from tests.benchmarks.growth import paint_nothing
began = time.monotonic()
paint_nothing(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": time.monotonic() - began, "memory_mb": memory}))
"""


class Nothing:
    """The same small picture for every row."""

    fingerprint = "nothing"
    micro_batch_size = 256

    def embed(self, prompts):
        pass

    def paint(self, prompts, seeds):
        import numpy as np

        picture = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(1, 8, 8, 3)
        return {"image": np.repeat(picture, len(prompts), axis=0)}


class Rows:
    def __init__(self, total: int, shard_rows: int) -> None:
        self.total, self.shard_rows = total, shard_rows

    def __call__(self, number: int):
        first = number * self.shard_rows
        rows = range(first, min(self.total, first + self.shard_rows))
        return [{"prompt_id": f"{i:016x}", "prompt": f"row {i}", "attributes": "{}", "index": 0} for i in rows]


def paint_nothing(folder: str, total: int, shard_rows: int) -> None:
    from cjd.config.recipe import PolicyConfig, Recipe
    from cjd.pipelines.paint import PaintSettings, paint_set
    from cjd.pipelines.runtime import ray_session
    from cjd.progress import Progress
    from cjd.storage import Run

    run = Run.create(folder, Recipe(name="growth"))
    if run.done("samples") is not None:
        return
    with ray_session(run.recipe.resources):
        counts = paint_set(
            run, Progress(run.store), stage="generate", folder="samples", rejects="rejects/samples", total_rows=total,
            shard_rows=shard_rows, row_source=Rows(total, shard_rows), painter=Nothing, gate=PolicyConfig(),
            settings=PaintSettings("nothing", 1.0, 1, "none", "cc0-1.0"),
        )  # fmt: skip
    assert counts["accepted"] == total, counts
    run.finish("samples", counts)


def measure(folder: Path, total: int, shard_rows: int) -> dict[str, float]:
    command = [sys.executable, "-c", ONE, str(folder), str(total), str(shard_rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--shard-rows", type=int, default=1000)
    parser.add_argument("--shards", type=int, default=100_000, help="of the finished run that is continued")
    options = parser.parse_args()
    grown = []
    with tempfile.TemporaryDirectory(prefix="cjd-growth-") as name:
        folder = Path(name)
        for total in options.rows:
            made = measure(folder / str(total), total, min(options.shard_rows, total // 4))
            grown.append({"rows": total, **made, "us_per_row": 1e6 * made["seconds"] / total})
            print(grown[-1], flush=True)
        continued = continue_finished(folder / "many", options.shards)
    last, second = grown[-1], grown[min(1, len(grown) - 1)]
    ratios = {key: last[key] / second[key] for key in ("us_per_row", "memory_mb")}
    result = {"growth": grown, "last_over_second": ratios, "continue": continued}
    RESULTS.mkdir(exist_ok=True)
    plot(grown, RESULTS / "growth-cpu.png")
    (RESULTS / "growth-cpu.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def plot(grown: list[dict[str, float]], file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(8, 2.8), constrained_layout=True)
    rows = [made["rows"] for made in grown]
    for axis, key, label in zip(axes, ("us_per_row", "memory_mb"), ("µs a row", "MB of the command"), strict=True):
        axis.semilogx(rows, [made[key] for made in grown], "o-")
        axis.set(xlabel="rows", ylabel=label, ylim=(0, None))
        axis.grid(alpha=0.3)
    figure.savefig(file, dpi=110)
    pyplot.close(figure)


def continue_finished(folder: Path, shards: int) -> dict[str, float]:
    """A run of so many shards: all there but not marked as finished, so that every one is looked at, then marked."""
    import pyarrow as pa

    from cjd.config.recipe import Recipe
    from cjd.records import SAMPLES
    from cjd.storage import Run, shard_name, write_shard

    store = Run.create(str(folder), Recipe(name="growth")).store
    row = {field.name: "nothing" if field.name == "teacher" else None for field in SAMPLES}
    write_shard(store, "one", 0, pa.Table.from_pylist([row], SAMPLES))
    whole = store.read(shard_name("one", 0))
    store.delete("one")
    (folder / "samples").mkdir(parents=True)
    for number in range(shards):
        (folder / shard_name("samples", number)).write_bytes(whole)
    began = time.monotonic()
    paint_nothing(str(folder), shards, 1)
    unmarked = time.monotonic() - began
    began = time.monotonic()
    paint_nothing(str(folder), shards, 1)
    finished = time.monotonic() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"shards": shards, "unmarked_seconds": unmarked, "finished_seconds": finished, "memory_mb": memory}


if __name__ == "__main__":
    main()
