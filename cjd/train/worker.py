"""What Ray Train runs in each worker: set the process up, then train."""

from __future__ import annotations

import functools
import os
from typing import Any


def train_worker(arguments: dict[str, Any]) -> None:
    """`arguments`: task, store, seed, threads, mailbox. Runs on every rank, in Ray's process group."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import ray.train.torch
    import torch

    from cjd.train.loop import train

    torch.set_num_threads(arguments["threads"])
    device = ray.train.torch.get_device()
    tell = functools.partial(arguments["mailbox"].post, 0)
    train(arguments["task"], arguments["store"], seed=arguments["seed"], device=device, tell=tell)
