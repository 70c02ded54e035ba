"""The whole chain: prompts, pictures, the student, its evaluation and its card."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import Any

from cjd.pipelines import card, evaluate, generate, prepare, prompts, train
from cjd.pipelines.runtime import ray_session
from cjd.progress import Progress
from cjd.storage import Run

SECTIONS = ("prompts", "generate", "student", "evaluate")


def run(run: Run, progress: Progress) -> dict[str, Any]:
    """Every stage that is not complete yet, in one Ray session; returns the summaries by stage."""
    for name in SECTIONS:
        run.section(name)
    began = time.monotonic()
    about = f": {run.recipe.duration}" if run.recipe.duration else ""
    progress.say(f"distilling {run.recipe.teacher.path} into {run.uri} by recipe {run.recipe.name}{about}")
    made = {"prompts": prompts.run(run, progress)}
    with ray_session(run.recipe.resources):
        made["samples"] = generate.run(run, progress)
        made["prepared"] = prepare.run(run, progress)
        made["student"] = train.run(run, progress)
        made["evaluation"] = evaluate.run(run, progress)
    made["card"] = card.run(run, progress)
    for line in _closing(run, made, time.monotonic() - began):
        progress.say(line)
    return made


def _closing(run: Run, made: dict[str, Any], seconds: float) -> list[str]:
    samples = made["samples"]
    refused = sum(samples["refused"].values()) + sum(made["prompts"]["refused"].values())
    program = sys.argv[0] if Path(sys.argv[0]).name == "cjd" else "cjd"
    uri = shlex.quote(run.uri)
    return [
        f"done in {seconds / 60:.1f} minutes: {samples['accepted']} teacher pictures ({refused} rows refused)",
        f"  pictures  {run.uri}/samples/contact-sheet.png",
        f"  student   {run.uri}/student (a diffusers folder for each stage, and README.md, its card)",
        f"  report    {run.uri}/evaluation/report.html",
        "next:",
        f'  {program} sample {uri} "anime, a cute girl with long white hair in the coffee shop" --seed 1 -o girl.png',
        f"  {program} serve {uri}",
        f"  xdg-open {uri}/evaluation/report.html",
    ]
