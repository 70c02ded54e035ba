"""Painting that survives: a row that cannot be painted is set aside, and too little memory means smaller batches."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

Pictures = dict[str, np.ndarray]  # name -> uint8 [N, H, W, 3]


class Painter(Protocol):
    """A model that draws. A row's picture depends on its prompt and seed alone."""

    fingerprint: str
    micro_batch_size: int  # rows that the model sees at once; may be lowered between two calls

    def embed(self, prompts: Sequence[str]) -> None:
        """Look at a shard's prompts in one go, before any of them is painted."""
        ...

    def paint(self, prompts: list[str], seeds: list[int]) -> Pictures:
        """{"image": uint8 `[N, H, W, 3]`, and each stage's name of a cascade: uint8 `[N, s, s, 3]`}. Raises
        ArithmeticError where a picture is not of numbers.
        """
        ...


class CarefulPainter:
    """Paints rows through `painter`.

    Out of memory: the micro-batch is halved, for good, and `say` is told. Any other error: the rows of the
    batch are painted one by one, each up to `tries` times; what still fails is left out, with its reason.
    """

    def __init__(self, painter: Painter, tries: int, say: Callable[[str], None]) -> None:
        self.painter = painter
        self.tries = tries
        self.say = say

    def paint(
        self, rows: Sequence[Mapping[str, Any]], on_part: Callable[[int], None] = lambda rows: None
    ) -> tuple[Pictures, dict[int, str]]:
        """Pictures of the rows that could be painted, in order, and {position in `rows`: why not} of the others.
        `on_part` is told of every so many rows that are dealt with.
        """
        parts: list[Pictures] = []
        failed: dict[int, str] = {}
        with contextlib.suppress(Exception):  # of one prompt, or of memory: painting meets it again, and deals with it
            self.painter.embed([row["prompt"] for row in rows])
        start = 0
        while start < len(rows):
            size = self.painter.micro_batch_size
            part = rows[start : start + size]
            try:
                parts.append(self._paint(part))
            except Exception as error:
                if is_out_of_memory(error) and size > 1:
                    self._halve(size)
                    continue
                for position in range(start, start + len(part)):
                    one = self._alone(rows[position])
                    if isinstance(one, str):
                        failed[position] = one
                    else:
                        parts.append(one)
            start += len(part)
            on_part(len(part))
        names = parts[0] if parts else {}
        return {name: np.concatenate([part[name] for part in parts]) for name in names}, failed

    def _paint(self, rows: Sequence[Mapping[str, Any]]) -> Pictures:
        return self.painter.paint([row["prompt"] for row in rows], [row["seed"] for row in rows])

    def _alone(self, row: Mapping[str, Any]) -> Pictures | str:
        reason = ""
        for _ in range(self.tries):
            try:
                return self._paint([row])
            except Exception as error:
                reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        return reason

    def _halve(self, size: int) -> None:
        _free_memory()
        self.painter.micro_batch_size = size // 2
        self.say(f"out of memory at {size} pictures a batch; going on with {size // 2}")


def is_out_of_memory(error: BaseException) -> bool:
    """Of an accelerator, as torch tells it."""
    import torch

    return isinstance(error, torch.OutOfMemoryError)


def _free_memory() -> None:
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
