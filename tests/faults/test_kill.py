"""kill -9 of the whole process group in every stage: the same command goes on, and nothing differs."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.end_to_end.chain import digests, heartbeat, kill_group, losses, start, wait_for

STAGES = ["generate", "prepare", "train.base", "train.sr-64", "evaluation-student"]


@pytest.mark.timeout(900)
def test_killed_in_every_stage(finished: Path, tmp_path: Path) -> None:
    run, log = tmp_path / "run", tmp_path / "log.txt"
    chance = random.Random()
    for stage in STAGES:
        process = start(str(run), log)
        wait_for(process, run, stage, log)
        delay = chance.uniform(0, 8)
        time.sleep(delay)
        ended = process.poll()
        if ended is None:
            kill_group(process)
        assert ended in (None, 0), f"{stage}: exit {ended}\n{log.read_text()[-3000:]}"
        print(f"{stage}: killed after {delay:.1f} s at {heartbeat(run, stage)}")
    process = start(str(run), log)
    assert process.wait(timeout=600) == 0, log.read_text()[-3000:]
    assert digests(run / "samples", "*.parquet") == digests(finished / "samples", "*.parquet")
    assert digests(run / "prepared", "*.safetensors") == digests(finished / "prepared", "*.safetensors")
    for task in ("base", "sr-64"):
        assert losses(run, task) == losses(finished, task)
    assert digests(run / "student", "*.safetensors") == digests(finished / "student", "*.safetensors")
    assert not list(run.rglob(".tmp-*/"))
