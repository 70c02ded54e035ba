from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cjd.config.recipe import TrainConfig
from cjd.errors import CjdError, UsageError
from cjd.storage import open_store
from cjd.train.data import PreparedData, batches
from cjd.train.schedule import ema_decay, learning_rate
from tests.train.toy import toy_run


def test_rows_come_from_the_right_shard(tmp_path: Path) -> None:
    run = toy_run(str(tmp_path / "run"), rows=50)
    data = PreparedData(run.store, "toy")
    everything = data.read(np.arange(50), ["image_2", "text"])
    some = np.array([49, 0, 20, 19, 39, 40, 0])
    picked = data.read(some, ["image_2", "text"])
    assert torch.equal(picked["image_2"], everything["image_2"][some])
    assert torch.equal(picked["text"], everything["text"][some])
    assert picked["text_null"].shape == (1, 4)


@pytest.mark.parametrize("world", [1, 2, 4])
def test_ranks_together_read_the_global_batches(tmp_path: Path, world: int) -> None:
    run = toy_run(str(tmp_path / "run"), rows=50)
    data = PreparedData(run.store, "toy")
    streams = [
        batches(data, ["text"], start=16, stop=120, batch_size=8, rank=r, world=world, seed=1) for r in range(world)
    ]
    numbers = [np.concatenate([part[0] for part in parts]) for parts in zip(*streams, strict=True)]
    assert np.concatenate(numbers).tolist() == list(range(16, 120))


def test_missing_and_damaged_data_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="first run: cjd prepare"):
        PreparedData(open_store(tmp_path), "samples")
    run = toy_run(str(tmp_path / "run"))
    shard = run.store.local("prepared/toy/shard-000001.safetensors")
    shard.write_bytes(shard.read_bytes()[:60])
    with pytest.raises(CjdError, match="not a whole safetensors file"):
        PreparedData(run.store, "toy")


def test_learning_rate_warms_up_and_decays() -> None:
    config = TrainConfig(samples=1000, batch_size=10, warmup_samples=100, learning_rate=1.0, lr_schedule="cosine")
    rates = [learning_rate(config, s) for s in range(0, 1000, 10)]
    assert 0 < rates[0] < 0.11
    assert max(rates) == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.02


def test_ema_is_short_at_first() -> None:
    config = TrainConfig(samples=1000, ema_decay=0.99)
    assert ema_decay(config, 0) == pytest.approx(0.1)
    assert ema_decay(config, 10**6) == 0.99
