"""`make bench-mine`: a log of a million prompts in DiffusionDB's columns is mined.

The log is made up: prompts of the grammar with the small differences that people's have (case, blanks, an added or
dropped word), drawn by Zipf's law, in several Parquet files. Named baseline: one Python process that only reads the
column and counts the distinct prompts, without case.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

RESULTS = Path(__file__).parent / "results"
FILES, ROW_GROUP = 4, 50_000
ADDED = ["4k", "8k", "highly detailed", "trending on artstation", "by greg rutkowski", "masterpiece", "sharp focus"]
RECIPE = """
name = "mine"
[prompts]
count = {count}
builtin = false
grammar_fill = false
[prompts.mine]
sources = ["{folder}/*.parquet"]
count = {count}
limits = {{ prompt_nsfw = 0.5, image_nsfw = 0.5 }}
temperature = 2.0
"""


def write_log(folder: Path, rows: int, distinct: int) -> None:
    from cjd.prompts import Grammar

    grammar = Grammar.load()
    chance = random.Random(0)
    texts = []
    for i in range(distinct):
        words = [grammar.realise(grammar.sample_attributes(i), i)]
        words += chance.sample(ADDED, chance.choice([0, 0, 1, 2, 3]))
        texts.append(", ".join(words))
    ranks = np.random.default_rng(0).zipf(1.3, rows) % distinct
    for number, part in enumerate(np.array_split(ranks, FILES)):
        prompts = [_careless(texts[i], chance) for i in part]
        nsfw = np.random.default_rng(number).beta(0.5, 8, (2, len(part))).astype(np.float32)
        table = pa.table(
            {
                "image_name": [f"{number}-{i}.png" for i in range(len(part))],
                "prompt": prompts,
                "seed": np.arange(len(part), dtype=np.uint32),
                "cfg": np.full(len(part), 7.0, np.float32),
                "image_nsfw": nsfw[0],
                "prompt_nsfw": nsfw[1],
            }
        )
        pq.write_table(table, folder / f"metadata-{number}.parquet", row_group_size=ROW_GROUP)


def _careless(text: str, chance: random.Random) -> str:
    kind = chance.random()
    if kind < 0.1:
        return text.upper() if kind < 0.02 else text.capitalize()
    if kind < 0.2:
        return f"  {text} "
    return text.rpartition(",")[0] or text if kind < 0.25 else text


def baseline(folder: Path) -> float:
    began = time.perf_counter()
    seen: Counter[str] = Counter()
    for file in sorted(folder.glob("*.parquet")):
        seen.update(text.casefold() for text in pq.read_table(file, columns=["prompt"])["prompt"].to_pylist())
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--distinct", type=int, default=200_000)
    parser.add_argument("--count", type=int, default=50_000, help="prompts drawn")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cjd-mine-") as name:
        folder = Path(name)
        write_log(folder, options.rows, options.distinct)
        (folder / "mine.toml").write_text(RECIPE.format(count=options.count, folder=folder))
        plain = baseline(folder)
        command = [
            sys.executable,
            "-m",
            "cjd.cli",
            "prompts",
            str(folder / "run"),
            "--recipe",
            str(folder / "mine.toml"),
        ]
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        assert status == 0, "cjd prompts failed"
        mined = json.loads((folder / "run" / "mined" / "report.json").read_text())
        kept = json.loads((folder / "run" / "prompts" / "report.json").read_text())
    result = {
        "rows": options.rows,
        "times_the_baseline": seconds / plain,
        "memory_mb_of_the_command": usage.ru_maxrss / 1024,
        "mined": {key: mined[key] for key in ("rows", "dropped", "distinct", "near_copies", "drawn", "lengths")},
        "commonest_words": dict(list(mined["words"].items())[:10]),
        "prompts": {key: value for key, value in kept.items() if isinstance(value, int | float)},
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "mine-cpu.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
