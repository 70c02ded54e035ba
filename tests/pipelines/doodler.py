"""A small painter of its own, and a command that paints with it: for tests that need no neural network."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cjd.config.recipe import PolicyConfig, Recipe
from cjd.pipelines.paint import PaintSettings, paint_set
from cjd.pipelines.runtime import ray_session
from cjd.progress import Progress
from cjd.records import prompt_id
from cjd.storage import Run

SIZE = 24
SETTINGS = PaintSettings("doodler-1", 1.0, 1, "none", "cc0-1.0")


class Doodler:
    """Noise that its seed decides; prompts with "blank" in them come out white, "poison" cannot be painted, and
    more than `room` at once do not go into memory.
    """

    fingerprint = "doodler-1"

    def __init__(self, pause: float = 0.0, micro_batch_size: int = 3, room: int = 1000) -> None:
        self.pause, self.micro_batch_size, self.room = pause, micro_batch_size, room

    def embed(self, prompts: Sequence[str]) -> None:
        """It reads nothing ahead."""

    def paint(self, prompts: list[str], seeds: list[int]) -> dict[str, np.ndarray]:
        time.sleep(self.pause)
        if len(prompts) > self.room:
            import torch

            raise torch.OutOfMemoryError("no room")
        if any("poison" in prompt for prompt in prompts):
            raise ArithmeticError("not a number")
        pictures = [self._one(prompt, seed) for prompt, seed in zip(prompts, seeds, strict=True)]
        whole = np.stack(pictures)
        return {"image": whole, "small": whole[:, ::3, ::3]}

    @staticmethod
    def _one(prompt: str, seed: int) -> np.ndarray:
        if "blank" in prompt:
            return np.full((SIZE, SIZE, 3), 255, np.uint8)
        return np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)


@dataclass(frozen=True)
class MakeDoodler:
    pause: float = 0.0
    micro_batch_size: int = 3
    room: int = 1000
    pids: str | None = None  # a folder where the painting process leaves its number

    def __call__(self) -> Doodler:
        if self.pids:
            (Path(self.pids) / str(os.getpid())).touch()
        return Doodler(self.pause, self.micro_batch_size, self.room)


@dataclass(frozen=True)
class Rows:
    """Row i is a prompt of its own; every tenth asks for a blank picture. Those of `poison` cannot be painted."""

    total: int
    shard_rows: int
    poison: tuple[int, ...] = ()

    def __call__(self, number: int) -> Sequence[Mapping[str, Any]]:
        first = number * self.shard_rows
        return [row(i, i in self.poison) for i in range(first, min(self.total, first + self.shard_rows))]


def row(i: int, poison: bool = False) -> dict[str, Any]:
    prompt = f"picture {i}" + (" blank" if i % 10 == 3 else "") + (" poison" if poison else "")
    return {"prompt_id": prompt_id(prompt), "prompt": prompt, "attributes": "{}", "index": i % 2}


def doodle(run: Run, total: int = 50, shard_rows: int = 8, pause: float = 0.0, **options: Any) -> dict[str, Any]:
    return paint_set(
        run,
        Progress(run.store),
        stage="generate",
        folder="samples",
        rejects=options.pop("rejects", "rejects/samples"),
        total_rows=total,
        shard_rows=shard_rows,
        row_source=Rows(total, shard_rows, options.pop("poison", ())),
        painter=MakeDoodler(
            pause, options.pop("micro_batch_size", 3), options.pop("room", 1000), options.pop("pids", None)
        ),
        settings=SETTINGS,
        gate=options.pop("gate", PolicyConfig()),
        **options,
    )


if __name__ == "__main__":
    made = Run.create(sys.argv[1], Recipe.model_validate(json.loads(sys.argv[2])))
    with ray_session(made.recipe.resources):
        print(json.dumps(doodle(made, pause=float(sys.argv[3]))))
