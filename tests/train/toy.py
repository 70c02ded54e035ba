"""A task small enough to train in a second: learn the mean picture of each text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from safetensors.torch import save
from torch import nn

from cjd.config.recipe import Recipe, TrainConfig
from cjd.seeds import RowRandom
from cjd.storage import Run, Store


class ToyObjective(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 16), nn.GELU(), nn.Linear(16, 3))
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, batch: dict[str, torch.Tensor], random: RowRandom) -> dict[str, torch.Tensor]:
        picture = batch["image_2"].float().flatten(1)[:, :3] / 255
        noise = 0.1 * random.normal(3)
        out = self.net(batch["text"][:, 0])
        return {"loss": (out - picture - noise).pow(2).mean(1), "timesteps": random.integers(0, 1000)}


@dataclass(frozen=True)
class ToyTask:
    store: Store
    config: TrainConfig
    name: str = "toy"
    dataset: str = "toy"
    columns: tuple[str, ...] = ("image_2", "text")
    die_at: int = 0

    def build(self) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return ToyObjective()

    def preview(self, objective: nn.Module) -> np.ndarray:
        return np.zeros((4, 4, 3), np.uint8)

    def export(self, weights: Mapping[str, torch.Tensor]) -> None:
        self.store.write("toy.safetensors", save(dict(weights)))


def toy_run(folder: str, rows: int = 50, **resources: object) -> Run:
    recipe = Recipe.model_validate({"name": "toy", "resources": {"train": {"cpus": 0.5, **resources}}})
    run = Run.create(folder, recipe)
    generator = np.random.default_rng(0)
    shards = []
    for k, start in enumerate(range(0, rows, 20)):
        n = min(20, rows - start)
        picture = torch.from_numpy(generator.integers(0, 256, (n, 3, 2, 2), np.uint8))
        text = torch.from_numpy(generator.integers(0, 6, n).astype(np.int32))
        name = f"shard-{k:06d}.safetensors"
        run.store.write(f"prepared/toy/{name}", save({"image_2": picture, "text": text}))
        shards.append({"name": name, "rows": n})
    embeddings = torch.randn(6, 1, 4, generator=torch.Generator().manual_seed(0)).bfloat16()
    run.store.write("prepared/toy/text.safetensors", save({"embeddings": embeddings}))
    run.store.write("prepared/toy/manifest.json", json.dumps({"rows": rows, "shards": shards}).encode())
    return run
