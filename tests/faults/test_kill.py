"""kill -9 of the whole process group in every stage: the same command goes on, and nothing differs."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.chain import digests, heartbeat, kill_group, losses, start, wait_for


def _files(pattern: str, most: int) -> Callable[[Path, random.Random], Callable[[], bool]]:
    """Ready when a random number of files, up to `most`, are there that were not at the start."""

    def make(run: Path, chance: random.Random) -> Callable[[], bool]:
        wanted = len(list(run.glob(pattern))) + chance.randint(0, most)
        return lambda: len(list(run.glob(pattern))) >= wanted

    return make


def _checkpoint(task: str) -> Callable[[Path, random.Random], Callable[[], bool]]:
    """Ready when a random one of the six checkpoints is whole."""

    def make(run: Path, chance: random.Random) -> Callable[[], bool]:
        wanted = 16 * chance.randint(1, 5)
        folder = run / f"train/{task}/checkpoints"
        return lambda: any(int(p.parent.name[8:]) >= wanted for p in folder.glob("*/manifest.json"))

    return make


STAGES = {
    "prompts": _files("prompts/shard-*.parquet", 0),
    "generate": _files("samples/shard-*.parquet", 5),
    "prepare": _files("prepared/samples/shard-*", 4),
    "train.base": _checkpoint("base"),
    "train.sr-64": _checkpoint("sr-64"),
    "evaluation-teacher": _files("evaluation/teacher/shard-*.parquet", 5),
    "evaluation-student": _files("evaluation/student/shard-*.parquet", 2),
    "evaluate": _files("evaluation/metrics.json", 0),
}


@pytest.mark.timeout(900)
def test_killed_in_every_stage(finished: Path, tmp_path: Path) -> None:
    run, log = tmp_path / "run", tmp_path / "log.txt"
    chance = random.Random()
    for stage, moment in STAGES.items():
        process = start(str(run), log)
        wait_for(process, run, stage, log)
        ready = moment(run, chance)
        while not ready():
            assert process.poll() is None, f"{stage} ended before it was killed\n{log.read_text()[-3000:]}"
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.3))
        assert process.poll() is None, f"{stage}: the command ended\n{log.read_text()[-3000:]}"
        kill_group(process)
        print(f"killed in {stage}: {heartbeat(run, stage)}")
    process = start(str(run), log)
    assert process.wait(timeout=600) == 0, log.read_text()[-3000:]
    assert digests(run / "samples", "*.parquet") == digests(finished / "samples", "*.parquet")
    assert digests(run / "prepared", "*.safetensors") == digests(finished / "prepared", "*.safetensors")
    for task in ("base", "sr-64"):
        assert losses(run, task) == losses(finished, task)
    assert digests(run / "student", "*.safetensors") == digests(finished / "student", "*.safetensors")
