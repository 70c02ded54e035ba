"""Randomness that belongs to a row, not to a batch: one generator per row, seeded by what the row is.

Batch mates, batch size, worker count and restarts then change nothing about a row's noise. Draws are
made on the CPU, so that every device sees the same numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def derive_seed(*parts: object) -> int:
    """A seed in [0, 2**63) from anything with a stable `str`; equal parts give equal seeds."""
    text = "\0".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


class RowRandom:
    """One `torch.Generator` per row. Every draw returns `[rows, *shape]` on `device`.

    The k-th draw of a row depends only on its seed and on the shapes drawn before.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device | str = "cpu") -> None:
        import torch

        self.device = torch.device(device)
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __len__(self) -> int:
        return len(self.generators)

    def normal(self, *shape: int) -> torch.Tensor:
        """Standard normal, float32."""
        import torch

        return torch.stack([torch.randn(shape, generator=g) for g in self.generators]).to(self.device)

    def uniform(self, *shape: int) -> torch.Tensor:
        """Uniform in [0, 1), float32."""
        import torch

        return torch.stack([torch.rand(shape, generator=g) for g in self.generators]).to(self.device)

    def integers(self, low: int, high: int, *shape: int) -> torch.Tensor:
        """Uniform integers in [low, high), int64."""
        import torch

        return torch.stack([torch.randint(low, high, shape, generator=g) for g in self.generators]).to(self.device)
