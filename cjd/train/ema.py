"""An exponential moving average of the weights, sharded over the ranks as ZeRO-3 shards parameters.

Of every parameter each rank keeps 1 / world (flattened, padded to a multiple of world), so the average
costs 4 bytes / world a parameter, and no rank ever holds all of it while training.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.distributed as dist
from torch import nn


class ShardedEma:
    """float32. `module` is the trained module; with ZeRO-3 its parameters carry `ds_tensor`, their own shard."""

    def __init__(self, module: nn.Module, rank: int, world: int) -> None:
        self.module, self.rank, self.world = module, rank, world
        self.shards = {name: shard.float().clone() for name, shard in self._local_shards().items()}

    def _local_shards(self) -> dict[str, torch.Tensor]:
        return {name: self._shard(p) for name, p in self.module.named_parameters() if p.requires_grad}

    def _shard(self, parameter: nn.Parameter) -> torch.Tensor:
        if (own := getattr(parameter, "ds_tensor", None)) is not None:
            return own.detach().flatten()
        flat = parameter.detach().flatten()
        size = -(-flat.numel() // self.world)
        return flat[self.rank * size : (self.rank + 1) * size]

    @torch.no_grad()
    def update(self, decay: float) -> None:
        now = list(self._local_shards().values())
        torch._foreach_lerp_(list(self.shards.values()), [shard.float() for shard in now], 1.0 - decay)

    def state(self) -> dict[str, torch.Tensor]:
        """This rank's shards, on the CPU."""
        return {name: shard.cpu().contiguous() for name, shard in self.shards.items()}

    def load(self, states: list[Mapping[str, torch.Tensor]]) -> None:
        """From the shards of every rank that saved, in rank order; their number may differ from this world's."""
        for name, shard in self.shards.items():
            whole = torch.cat([state[name] for state in states])
            size = -(-self._numel(name) // self.world)
            piece = whole[: self._numel(name)][self.rank * size : (self.rank + 1) * size]
            shard.zero_()
            shard[: piece.numel()].copy_(piece)

    def _numel(self, name: str) -> int:
        parameter = self.module.get_parameter(name)
        return getattr(parameter, "ds_numel", parameter.numel())

    @torch.no_grad()
    def gather(self) -> dict[str, torch.Tensor] | None:
        """The whole averaged state dict (buffers as they are), float32 on the CPU of rank 0; None elsewhere.

        One parameter at a time, so no device holds more than one of them whole.
        """
        whole: dict[str, torch.Tensor] = {}
        for name, shard in self.shards.items():
            parameter = self.module.get_parameter(name)
            numel, shape = self._numel(name), getattr(parameter, "ds_shape", parameter.shape)
            padded = torch.zeros(-(-numel // self.world), device=shard.device)
            padded[: shard.numel()] = shard
            pieces = [torch.empty_like(padded) for _ in range(self.world)]
            dist.all_gather(pieces, padded)
            if self.rank == 0:
                whole[name] = torch.cat(pieces)[:numel].view(shape).cpu()
        if self.rank != 0:
            return None
        for name, value in self.module.state_dict().items():
            whole.setdefault(name, value.detach().cpu())
        return whole
