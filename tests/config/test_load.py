from __future__ import annotations

from pathlib import Path

import pytest

from cjd.config import load_recipe, recipe_names
from cjd.errors import UsageError


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_read_and_survives_its_json(name: str) -> None:
    recipe = load_recipe(name)
    assert type(recipe).model_validate(recipe.model_dump(mode="json")) == recipe


def test_overrides_read_values_as_toml_does() -> None:
    recipe = load_recipe(
        "tiny",
        [
            "generate.guidance_scale=7.5",
            "student.stages.base.train.samples=64",
            "student.stages.0.size=16",
            "name=mine",
        ],
    )
    assert recipe.generate is not None and recipe.student is not None
    assert recipe.generate.guidance_scale == 7.5
    assert recipe.student.stages[0].train.samples == 64
    assert recipe.student.stages[0].size == 16
    assert recipe.name == "mine"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("generate.guidence_scale=1", "unknown key 'generate.guidence_scale'; did you mean 'guidance_scale'"),
        ("student.stages.base.unet.zzz=1", "valid keys are attention_head_dim"),
        ("student.stages.base.unet.block_out_channels=[32, 48]", "48 channels do not divide into heads of 32"),
        ("generate.guidance_interval=[0.5, 0.2]", "guidance_interval goes from a share of the steps to another"),
        ("student.stages.middle.size=1", "is none of base, sr-64"),
        ("seed.x=1", "seed is a value, not a section"),
        ("seed.x.y=1", "under a plain value"),
        ("seed", "not of the form"),
        ("seed=-1", "greater than or equal to 0"),
        ("student.stages.sr-64.size=16", "stage sizes must rise"),
    ],
)
def test_what_is_wrong_is_named(override: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_recipe("tiny", [override])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_names_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean tiny"):
        load_recipe("tinny")
    (tmp_path / "bad.toml").write_text("name = ")
    with pytest.raises(UsageError, match="not valid TOML"):
        load_recipe(str(tmp_path / "bad.toml"))
    (tmp_path / "latin.toml").write_bytes("name = 'é'".encode("latin-1"))
    with pytest.raises(UsageError, match="not UTF-8"):
        load_recipe(str(tmp_path / "latin.toml"))


def test_the_fingerprint_is_of_what_decides_the_outcome() -> None:
    tiny = load_recipe("tiny")
    assert load_recipe("tiny", ["resources.paint.actors=7", "duration=long"]).fingerprint() == tiny.fingerprint()
    assert load_recipe("tiny", ["generate.guidance_scale=4"]).fingerprint() != tiny.fingerprint()
