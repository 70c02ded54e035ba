"""What the training loop needs to know of a model: a `Task`. Each task lives with its model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import nn

    from cjd.config.recipe import TrainConfig
    from cjd.seeds import RowRandom

Batch = dict[str, "torch.Tensor"]


class Objective(Protocol):
    """The trainable `nn.Module` that a task builds: its forward is the loss.

    Frozen companions (a VAE, a text encoder) are kept out of `parameters()` or have requires_grad False.
    """

    def __call__(self, batch: Batch, random: RowRandom) -> dict[str, torch.Tensor]:
        """`batch`: the task's columns as `[B, ...]` on the device, and `text_null` `[L, D]` where the
        data set has text embeddings. `random`: one generator per row, the only source of randomness.

        Returns "loss" `[B]`, float32, one value per row; other entries `[B]` are averaged and logged, save
        "timesteps" `[B]` (int64), by which the loss is also logged in buckets.
        """
        ...


class Task(Protocol):
    """One thing to train. Picklable: plain settings, nothing loaded; it is sent to the workers."""

    @property
    def name(self) -> str:
        """The folder below `train/`."""
        ...

    @property
    def dataset(self) -> str:
        """The folder below `prepared/` whose rows it trains on."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of that data set that a batch needs; "text" gives embeddings `[B, L, D]`."""
        ...

    @property
    def config(self) -> TrainConfig: ...

    def build(self) -> nn.Module:
        """The objective, initialised on the CPU in float32, the same for the same recipe."""
        ...

    def preview(self, objective: nn.Module) -> np.ndarray | None:
        """A sheet of pictures, uint8 `[H, W, 3]`, made at fixed noise from (EMA) weights; None for none."""
        ...

    def export(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Write the finished model into the run. `weights`: the objective's state dict (EMA), CPU float32."""
        ...
