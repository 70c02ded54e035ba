"""The training loop: one for every task. It runs in each worker, and knows nothing of Ray.

Progress is the number of samples seen. Everything random belongs to a global sample number, so what is
learnt does not depend on when the run was stopped, nor the order of samples on how many workers there are.
"""

from __future__ import annotations

import errno
import json
import math
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist

from cjd.config.recipe import TrainConfig
from cjd.errors import CjdError, UsageError
from cjd.seeds import RowRandom, derive_seed
from cjd.storage import Store
from cjd.train.checkpoint import Checkpoints
from cjd.train.data import PreparedData, batches
from cjd.train.ema import ShardedEma
from cjd.train.engine import make_engine, set_learning_rate
from cjd.train.log import MetricsLog
from cjd.train.schedule import ema_decay, learning_rate
from cjd.train.task import Task

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Tell = Callable[..., None]  # tell(at=samples, loss=…) as training goes, tell(say="a line") for what must be seen


def train(task: Task, run: Store, *, seed: int, device: torch.device, tell: Tell) -> None:
    """Train `task` to its end from its newest checkpoint; every rank calls this, in an initialised process group.

    Rank 0 exports the result into the run, then writes `train/<task>/_done.json`.
    """
    rank, world, config = dist.get_rank(), dist.get_world_size(), task.config
    check_layout(config, world, task.name)
    store = run.sub(f"train/{task.name}")
    data = PreparedData(run, task.dataset)
    checkpoints = Checkpoints(store, config.keep_checkpoints)
    found, passed_over = _agree(checkpoints, rank)
    objective = task.build().to(device)
    universal = found is not None and found.world != world
    engine = make_engine(objective, config, world=world, device=device, universal=universal)
    ema = ShardedEma(engine.module, rank, world)
    if found is not None:
        checkpoints.load(found, engine, ema)
    start = found.samples if found else 0
    if rank == 0:
        tell(at=start, **({"say": "\n".join(passed_over)} if passed_over else {}))
    log = MetricsLog(store, start) if rank == 0 else None
    end = math.ceil(config.samples / config.batch_size) * config.batch_size
    state = _State(task, config, engine, ema, checkpoints, log, device, seed, tell)
    order_seed = derive_seed(seed, "data")
    stream = batches(
        data, task.columns, start=start, stop=end, batch_size=config.batch_size, rank=rank, world=world, seed=order_seed
    )
    waiting_since = time.monotonic()
    try:
        for samples, batch in stream:
            state.step(samples, batch, time.monotonic() - waiting_since)
            waiting_since = time.monotonic()
        _finish(state, run, end, data.rows)
    except OSError as error:  # of a library's writer: ours tell it themselves
        if error.errno not in _NO_ROOM:
            raise
        raise CjdError(
            f"cannot write {store.uri}: {error.strerror}; free space, then run the same command again"
        ) from error


def check_layout(config: TrainConfig, world: int, name: str) -> None:
    """Raises UsageError unless the global batch divides evenly over the workers and micro-batches."""
    micro = config.micro_batch_size or config.batch_size // world
    if config.batch_size % world or (config.batch_size // world) % max(1, micro):
        raise UsageError(
            f"train.{name}: batch_size {config.batch_size} does not divide over {world} workers "
            f"in micro-batches of {micro}; change one of the three"
        )


class _State:
    """What one step touches."""

    def __init__(
        self,
        task: Task,
        config: TrainConfig,
        engine: Any,
        ema: ShardedEma,
        checkpoints: Checkpoints,
        log: MetricsLog | None,
        device: torch.device,
        seed: int,
        tell: Tell,
    ) -> None:
        self.task, self.config, self.engine, self.ema = task, config, engine, ema
        self.checkpoints, self.log, self.device, self.seed, self.tell = checkpoints, log, device, seed, tell
        self.micro = config.micro_batch_size or config.batch_size // ema.world

    def step(self, samples: Any, batch: dict[str, torch.Tensor], waited: float) -> None:
        """One global batch: forward and backward on this rank's share, one optimizer step, one EMA step."""
        first = int(samples[0]) - self.ema.rank * len(samples)
        seen = first + self.config.batch_size
        rate = learning_rate(self.config, first)
        set_learning_rate(self.engine, rate)
        for at in range(0, len(samples), self.micro):
            losses = self._backward(samples[at : at + self.micro], _slice(batch, at, self.micro, len(samples)))
            if self.log:
                grad_norm = float(self.engine.get_global_grad_norm() or 0.0)
                self.log.add(losses, grad_norm, waited)
        self.ema.update(ema_decay(self.config, first // self.config.batch_size))
        self._report(seen, rate)

    def _backward(self, numbers: Any, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        random = RowRandom([derive_seed(self.seed, self.task.name, int(n)) for n in numbers], self.device)
        batch = {name: value.to(self.device, non_blocking=True) for name, value in batch.items()}
        losses = self.engine(batch, random)
        self.engine.backward(losses["loss"].mean())
        self.engine.step()
        return losses

    def _report(self, seen: int, rate: float) -> None:
        config = self.config
        if self.log:
            if _passes(seen, config.log_samples, config.batch_size):
                line = self.log.line(seen, rate)
                if not math.isfinite(line["loss"]):
                    raise CjdError(
                        f"train.{self.task.name}: the loss is {line['loss']} at {seen} samples; lower the learning rate "
                        "and run the same command again (it continues from the last checkpoint)"
                    )
                self.tell(at=seen, loss=line["loss"])
            else:
                self.tell(at=seen)
        if _passes(seen, config.checkpoint_samples, config.batch_size):
            self.save(seen)
        if config.preview_samples and _passes(seen, config.preview_samples, config.batch_size):
            self.preview(self.ema.gather(), seen)

    def save(self, seen: int) -> None:
        if self.log:
            self.log.flush()
        self.checkpoints.save(self.engine, self.ema, seen, self.config.zero_stage)

    def preview(self, weights: dict[str, torch.Tensor] | None, seen: int) -> None:
        if self.log and weights is not None:
            objective = self.task.build()
            objective.load_state_dict(weights)
            sheet = self.task.preview(objective.to(self.device).eval())
            if sheet is not None:
                self.log.preview(sheet, seen)
        dist.barrier()


def _finish(state: _State, run: Store, end: int, rows: int) -> None:
    weights = state.ema.gather()
    summary: dict[str, Any] = {"samples": end, "rows": rows, "workers": state.ema.world}
    if state.log and weights is not None:
        summary["parameters"] = sum(w.numel() for w in weights.values())
        summary["loss"] = next((line["loss"] for line in reversed(state.log.lines) if "loss" in line), None)
        state.task.export(weights)
        state.log.close()
        run.write(f"train/{state.task.name}/_done.json", json.dumps(summary, indent=2).encode())
    dist.barrier()


def _agree(checkpoints: Checkpoints, rank: int) -> tuple[Any, list[str]]:
    """Rank 0 chooses the checkpoint, so that a file vanishing meanwhile cannot split the ranks."""
    choice: list[Any] = [checkpoints.newest() if rank == 0 else None]
    dist.broadcast_object_list(choice, src=0)
    return choice[0]


def _passes(seen: int, every: int, batch_size: int) -> bool:
    """Whether a multiple of `every` lies in the batch that ends at `seen`."""
    return seen // every > (seen - batch_size) // every


def _slice(batch: dict[str, torch.Tensor], at: int, size: int, rows: int) -> dict[str, torch.Tensor]:
    """The rows of a micro-batch; what has no row dimension (the empty prompt) goes along whole."""
    return {k: v if k == "text_null" else v[at : min(at + size, rows)] for k, v in batch.items()}
