"""`make bench-generate`: the generate stage beside a plain StableDiffusionPipeline loop, on the same cores.

The plain loop is what one would write by hand: the stock pipeline, two threads, its best batch size, PNG files.
The stage runs as users run it: two Ray Data actors of one thread that paint, and one that screens, hashes, encodes and
writes Parquet. Whole job: from the command's first line to its last, Ray's start and the models' loading included,
for both. Steady state: pictures between the first and the last finished shard (or batch) over the time between.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
SETTINGS = {"num_inference_steps": 8, "guidance_scale": 3.0}
SHARD_ROWS = 32  # small, so that two actors end together
FAST = ["generate.num_inference_steps=6", "generate.precision=bf16"]

PLAIN = """
import json, sys, time
began = time.time()
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
from pathlib import Path
folder, prompts, batch, out, steps, scale = sys.argv[1], json.load(open(sys.argv[2])), int(sys.argv[3]), *sys.argv[4:7]
torch.set_num_threads(2)
pipe = StableDiffusionPipeline.from_pretrained(folder)
pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
pipe.set_progress_bar_config(disable=True)
size = pipe.unet.config.sample_size * pipe.vae_scale_factor
marks = []
for start in range(0, len(prompts), batch):
    some = prompts[start : start + batch]
    generator = [torch.Generator().manual_seed(start + i) for i in range(len(some))]
    images = pipe(some, num_inference_steps=int(steps), guidance_scale=float(scale), generator=generator,
                  height=size, width=size).images
    for i, image in enumerate(images):
        image.save(Path(out) / f"{start + i:06d}.png")
    marks.append((time.time(), start + len(some)))
print(json.dumps({"began": began, "marks": marks}))
"""


def plain(teacher: Path, prompts: list[str], batch: int) -> dict[str, float]:
    """images/s of the hand-written loop."""
    with tempfile.TemporaryDirectory() as folder:
        listing = Path(folder) / "prompts.json"
        listing.write_text(json.dumps(prompts))
        began = time.time()
        settings = [str(SETTINGS["num_inference_steps"]), str(SETTINGS["guidance_scale"])]
        command = [sys.executable, "-c", PLAIN, str(teacher), str(listing), str(batch), folder, *settings]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=_environment(2))
        whole = len(prompts) / (time.time() - began)
    marks = json.loads(done.stdout.splitlines()[-1])["marks"]
    return {"batch": batch, "whole": whole, "steady": _steady(marks)}


def stage(run: Path, count: int, overrides: list[str]) -> dict[str, Any]:
    """images/s of `cjd generate`."""
    base = [
        "--recipe",
        "tiny",
        f"prompts.count={count}",
        f"generate.shard_rows={SHARD_ROWS}",
        "resources.write.actors=1",
        *overrides,
    ]
    cjd = [sys.executable, "-m", "cjd.cli"]
    subprocess.run([*cjd, "prompts", str(run), *base], check=True, capture_output=True)
    began = time.time()
    subprocess.run([*cjd, "generate", str(run), *base], check=True, capture_output=True, env=_environment(1))
    whole = count / (time.time() - began)
    shards = sorted(p.stat().st_mtime for p in (run / "samples").glob("shard-*.parquet"))
    return {"whole": whole, "steady": _steady([(at, SHARD_ROWS * (i + 1)) for i, at in enumerate(shards)])}


def judged(run: Path) -> float:
    """Mean over attributes of what the judge finds in a run's samples."""
    import numpy as np

    from cjd.evaluation.judge import Judge, resolve_judge
    from cjd.images import decode
    from cjd.records import SAMPLES
    from cjd.storage import open_store, read_shard, shard_numbers

    store = open_store(run)
    judge = Judge.load(resolve_judge("asset:tiny-judge", store))
    tables = [
        read_shard(store, "samples", n, SAMPLES, ["image", "attributes"]) for n in shard_numbers(store, "samples")
    ]
    rows = [row for table in tables for row in table.to_pylist()]
    counts = judge.accuracy(np.stack([decode(r["image"]) for r in rows]), [json.loads(r["attributes"]) for r in rows])
    return sum(hits / asked for hits, asked in counts.values()) / len(counts)


def _steady(marks: list[tuple[float, int]]) -> float:
    (first, before), (last, after) = marks[len(marks) // 10], marks[-1]
    return (after - before) / (last - first)


def _environment(threads: int) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONWARNINGS": "ignore"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=4000, help="pictures of a whole job")
    parser.add_argument("--batches", type=int, nargs="*", default=[8, 16, 32, 64], help="tried for the plain loop")
    parser.add_argument("--keep", type=Path, help="a folder for the runs (default: a temporary one)")
    options = parser.parse_args()
    from cjd.pipelines.generate import PromptRows
    from cjd.storage import Run
    from cjd.teacher.folder import resolve_teacher

    folder = options.keep or Path(tempfile.mkdtemp(prefix="cjd-bench-"))
    ours = stage(folder / "exact", options.count, [])
    run = Run.open(str(folder / "exact"))
    rows = PromptRows.of(run)
    prompts = [rows.prompt(i)["prompt"] for i in range(options.count)]
    teacher = resolve_teacher(run.recipe.teacher.path, run.store)
    tried = [plain(teacher, prompts[:256], batch) for batch in options.batches]
    best = max(tried, key=lambda result: result["steady"])["batch"]
    loop = plain(teacher, prompts, int(best))
    fast = stage(folder / "fast", options.count, FAST)
    result = {
        "pictures": options.count,
        "plain": loop,
        "stage": {**ours, "judge": judged(folder / "exact")},
        "fast": {**fast, "judge": judged(folder / "fast"), "options": FAST},
        "ratios": {
            "steady": ours["steady"] / loop["steady"],
            "whole": ours["whole"] / loop["whole"],
            "fast_steady": fast["steady"] / loop["steady"],
        },
        "plain_batches": tried,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "generate-cpu.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    if not options.keep:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
