"""The teacher and the judge that come with the package: small, stock, and as good as their card says."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest

from cjd.config import load_recipe
from cjd.evaluation.judge import Judge
from cjd.prompts import Grammar, held_out_prompts
from cjd.teacher.painter import TeacherPainter

ASSETS = Path(str(resources.files("cjd") / "assets"))
PICTURES = 96


def test_the_teacher_is_at_most_twelve_megabytes() -> None:
    files = list((ASSETS / "tiny-teacher").rglob("*.safetensors"))
    assert {file.parent.name for file in files} == {"text_encoder", "unet", "vae"}
    assert sum(file.stat().st_size for file in files) <= 12_000_000


def test_stock_diffusers_loads_the_teacher() -> None:
    from diffusers import DiffusionPipeline, StableDiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained(ASSETS / "tiny-teacher")
    assert isinstance(pipeline, StableDiffusionPipeline)
    assert pipeline.scheduler.config.prediction_type == "v_prediction"


def test_it_draws_what_is_asked_as_its_card_says() -> None:
    recipe = load_recipe("tiny-teacher")
    assert recipe.generate is not None
    told = re.search(r"finds ([01]\.\d+) of the asked", (ASSETS / "tiny-teacher/README.md").read_text())
    assert told
    asked = held_out_prompts(PICTURES, 77, Grammar.load("illustration"))
    painted = TeacherPainter(ASSETS / "tiny-teacher", recipe.generate).paint(
        [row["text"] for row in asked], list(range(PICTURES))
    )
    counts = Judge.load(ASSETS / "tiny-judge").accuracy(painted["image"], [row["attributes"] for row in asked])
    found = sum(hits / times for hits, times in counts.values()) / len(counts)
    assert found == pytest.approx(float(told.group(1)), abs=0.04)
