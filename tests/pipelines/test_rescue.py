"""What cannot be painted is set aside with its reason, and everything else is as it would have been."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cjd.config.recipe import Recipe, ResourcesConfig
from cjd.pipelines.rescue import CarefulPainter
from cjd.records import REJECTS, SAMPLES
from cjd.storage import Run, read_shard, shard_numbers

from . import doodler


def rows(count: int, poison: tuple[int, ...] = ()) -> list[dict[str, object]]:
    return [{**doodler.row(i, i in poison), "seed": i} for i in range(count)]


def test_a_poisoned_row_costs_only_itself() -> None:
    said: list[str] = []
    careful = CarefulPainter(doodler.Doodler(micro_batch_size=4), tries=2, say=said.append)
    pictures, failed = careful.paint(rows(11, poison=(0, 6, 10)))
    assert failed == dict.fromkeys((0, 6, 10), "ArithmeticError: not a number")
    kept = [i for i in range(11) if i not in failed]
    expected, _ = CarefulPainter(doodler.Doodler(), 1, said.append).paint(rows(11))
    assert np.array_equal(pictures["image"], expected["image"][kept])
    assert said == []


def test_a_flaw_that_passes_is_forgotten() -> None:
    class Flaky(doodler.Doodler):
        calls = 0

        def paint(self, prompts: list[str], seeds: list[int]) -> dict[str, np.ndarray]:
            self.calls += 1
            if self.calls in (1, 2, 3):
                raise RuntimeError("the device stumbled")
            return super().paint(prompts, seeds)

    pictures, failed = CarefulPainter(Flaky(), tries=3, say=print).paint(rows(3))
    assert failed == {} and len(pictures["image"]) == 3


def test_out_of_memory_halves_the_batch_for_good_and_says_so() -> None:
    said: list[str] = []
    painter = doodler.Doodler(micro_batch_size=8, room=3)
    pictures, failed = CarefulPainter(painter, 1, said.append).paint(rows(20))
    assert (len(pictures["image"]), failed, painter.micro_batch_size) == (20, {}, 2)
    assert said == [f"out of memory at {n} pictures a batch; going on with {n // 2}" for n in (8, 4)]


def test_nothing_left_to_paint() -> None:
    pictures, failed = CarefulPainter(doodler.Doodler(), 1, print).paint(rows(3, poison=(0, 1, 2)))
    assert pictures == {} and len(failed) == 3


def test_a_set_with_poison_is_complete(tmp_path: Path, resources: ResourcesConfig, ray_session: None) -> None:
    run = Run.create(str(tmp_path), Recipe(name="doodle", resources=resources))
    poison = (0, 9, *range(16, 24))  # the third shard as a whole
    counts = doodler.doodle(run, 50, 8, poison=poison, room=2)
    assert counts["refused"]["failed"] == len(poison)
    assert counts["accepted"] + sum(counts["refused"].values()) == 50
    there = shard_numbers(run.store, "rejects/samples")
    lost = [
        row
        for number in there
        for row in read_shard(run.store, "rejects/samples", number, REJECTS).to_pylist()
        if row["rule"] == "failed"
    ]
    assert {row["detail"] for row in lost} == {"ArithmeticError: not a number"}
    assert read_shard(run.store, "samples", 2, SAMPLES).num_rows == 0
    assert doodler.doodle(run, 50, 8, poison=poison) == counts


def test_without_a_place_for_rejects_it_is_an_error(tmp_path: Path, resources: ResourcesConfig, ray_session: None):
    from cjd.errors import CjdError

    run = Run.create(str(tmp_path), Recipe(name="doodle", resources=resources))
    with pytest.raises(CjdError, match="could not be painted: ArithmeticError"):
        doodler.doodle(run, 4, 4, poison=(1,), gate=None, rejects=None)
