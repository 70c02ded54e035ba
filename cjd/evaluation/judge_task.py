"""Training the judge on captioned pictures, roughened so that it is fair to generated ones."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from cjd.config.recipe import Recipe, TrainConfig
from cjd.errors import UsageError
from cjd.evaluation.judge import SIZE, Judge, Vocabulary
from cjd.evaluation.metrics import accuracy_table
from cjd.seeds import RowRandom, derive_seed
from cjd.storage import Store

HELD_OUT = 500  # pictures of combinations that training leaves out, drawn to measure the judge


def roughen(x_BCHW: torch.Tensor, random: RowRandom) -> torch.Tensor:
    """What generated pictures do to a drawing: shift, blur, change of tone, noise. In and out: [-1, 1]."""
    rows, side = len(x_BCHW), x_BCHW.shape[-1]
    draw = random.uniform(8)
    shift = (draw[:, :2] - 0.5) * (8 / side)  # up to 2 px either way at 64 px: the grid spans 2
    scale = 1 + (draw[:, 2] - 0.5) * 0.08
    theta = torch.zeros(rows, 2, 3, device=x_BCHW.device)
    theta[:, 0, 0] = theta[:, 1, 1] = scale
    theta[:, :, 2] = shift
    where = F.affine_grid(theta, list(x_BCHW.shape), align_corners=False)
    x = F.grid_sample(x_BCHW, where, padding_mode="border", align_corners=False)
    blurred = F.interpolate(F.interpolate(x, scale_factor=0.5, mode="area"), size=(side, side), mode="bilinear")
    amount = ((draw[:, 3] - 0.4) / 0.6).clamp(0, 1).sqrt()  # 0 for four rows in ten
    x = torch.lerp(x, blurred, amount[:, None, None, None])
    contrast, brightness = 1 + (draw[:, 4] - 0.5) * 0.4, (draw[:, 5] - 0.5) * 0.3
    x = x * contrast[:, None, None, None] + brightness[:, None, None, None]
    noise = random.normal(*x.shape[1:]) * (0.12 * draw[:, 6].square())[:, None, None, None]
    return (x + noise).clamp(-1, 1)


class JudgeObjective(nn.Module):
    """Cross-entropy over the attributes that apply to each picture."""

    def __init__(self, judge: Judge, column: str) -> None:
        super().__init__()
        self.judge = judge
        self.column = column

    def forward(self, batch: Mapping[str, torch.Tensor], random: RowRandom) -> dict[str, torch.Tensor]:
        """`image_<size>` uint8 `[B, 3, S, S]`, `attributes` `[B, K]` (-1: does not apply) -> loss, accuracy `[B]`."""
        x_BCHW = batch[self.column].float() / 127.5 - 1
        if x_BCHW.shape[-1] != self.judge.size:
            x_BCHW = F.interpolate(x_BCHW, size=(self.judge.size,) * 2, mode="area")
        targets_BK = batch["attributes"].long()
        applies_BK = targets_BK >= 0
        losses, hits = [], []
        for target_B, logits in zip(targets_BK.unbind(1), self.judge(roughen(x_BCHW, random)).values(), strict=True):
            losses.append(F.cross_entropy(logits.float(), target_B, ignore_index=-1, reduction="none"))
            hits.append(logits.argmax(1) == target_B)
        named_B = applies_BK.sum(1).clamp(min=1)
        return {
            "loss": torch.stack(losses, 1).sum(1) / named_B,
            "accuracy": (torch.stack(hits, 1) & applies_BK).sum(1).float() / named_B,
        }


@dataclass(frozen=True)
class JudgeTask:
    """Trains the judge of a run on its `pictures`; the result goes to `judge/`."""

    store: Store
    recipe: Recipe

    name = "judge"
    dataset = "pictures"

    @property
    def picture_size(self) -> int:
        if self.recipe.source is None:
            raise UsageError(f"recipe {self.recipe.name} has no [source] section, which the judge learns from")
        return self.recipe.source.size

    @property
    def columns(self) -> tuple[str, ...]:
        return (f"image_{self.picture_size}", "attributes")

    @property
    def config(self) -> TrainConfig:
        return self._section().train

    def _section(self) -> Any:
        if self.recipe.judge is None:
            raise UsageError(f"recipe {self.recipe.name} has no [judge] section, which this stage needs")
        return self.recipe.judge

    def vocabulary(self) -> Vocabulary:
        import json

        return Vocabulary.of(json.loads(self.store.read("prepared/pictures/manifest.json"))["vocabulary"])

    def build(self) -> JudgeObjective:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(self.recipe.seed, "judge"))
            judge = Judge(self.vocabulary(), self._section().channels, min(SIZE, self.picture_size))
        return JudgeObjective(judge, self.columns[0])

    def preview(self, objective: nn.Module) -> np.ndarray | None:
        return None

    def export(self, weights: Mapping[str, torch.Tensor]) -> None:
        objective = self.build()
        objective.load_state_dict(dict(weights))
        judge = objective.judge.eval()
        images, asked = held_out_pictures(HELD_OUT, self.recipe.seed, self.picture_size)
        held_out = accuracy_table(judge.accuracy(images, asked))
        with tempfile.TemporaryDirectory() as folder:
            judge.save(Path(folder), held_out={"pictures": len(asked), **held_out})
            (Path(folder) / "README.md").write_text(_card(judge, self.config, len(asked), held_out), encoding="utf-8")
            self.store.upload(Path(folder), "judge")


def held_out_pictures(count: int, seed: int, size: int) -> tuple[np.ndarray, list[dict[str, str]]]:
    """Freshly drawn pictures, uint8 `[count, size, size, 3]`, of combinations that training leaves out."""
    from cjd.prompts import is_held_out
    from cjd.sources import paperdoll

    images, asked, number = [], [], 0
    while len(images) < count:
        fresh = derive_seed(seed, "judge held out", number)
        doll, number = paperdoll.sample_doll(fresh), number + 1
        if is_held_out(doll.attributes()):
            images.append(np.asarray(paperdoll.draw(doll, size=size, seed=fresh)))
            asked.append(doll.attributes())
    return np.stack(images), asked


def _card(judge: Judge, config: TrainConfig, count: int, table: dict[str, Any]) -> str:
    rows = [f"| {name} | {row['accuracy']:.3f} | {row['asked']} |" for name, row in table["attributes"].items()]
    options = [f"- {name}: {', '.join(values)}" for name, values in judge.vocabulary.values]
    size = sum(p.numel() for p in judge.parameters())
    return "\n".join([
        "---", "license: cc0-1.0", "pipeline_tag: image-classification", "tags: [cool-japan-diffusion, judge]", "---",
        "",
        "# Judge", "",
        f"A convolutional classifier of {size:,} parameters for {judge.size} px pictures. It says which attributes a",
        "picture shows, so that \"does the picture show what the prompt asked\" is a number, for the teacher and for",
        f"the student. Trained on {config.samples:,} procedurally drawn pictures (repeats included), shifted, blurred,",
        "toned and made noisy at random; no picture of anybody's is in them.", "",
        f"Accuracy on {count} fresh drawings of combinations that training left out: "
        f"**{table['attribute_accuracy']:.3f}**", "",
        "| attribute | accuracy | pictures |", "| --- | --- | --- |", *rows, "", "Values:", "", *options, "",
    ])  # fmt: skip
