"""`cjd recipe list|show|check`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from cjd.config import load_recipe, recipe_names


def list_recipes() -> None:
    names = recipe_names()
    width = max(len(name) for name in names)
    for name in names:
        recipe = load_recipe(name)
        duration = f" ({recipe.duration})" if recipe.duration else ""
        print(f"{name:<{width}}  {recipe.description}{duration}")


def show_recipe(name: str, overrides: Sequence[str], resolved: bool) -> None:
    recipe = load_recipe(name, overrides)
    if resolved or overrides:
        print(json.dumps(recipe.model_dump(mode="json"), indent=2, ensure_ascii=False))
    elif name in recipe_names():
        print((resources.files("cjd") / "recipes" / f"{name}.toml").read_text(encoding="utf-8"), end="")
    else:
        print(Path(name).read_text(encoding="utf-8"), end="")


def check_recipe(name: str, overrides: Sequence[str]) -> None:
    recipe = load_recipe(name, overrides)
    sections = [key for key in type(recipe).model_fields if hasattr(getattr(recipe, key), "model_fields")]
    print(f"{name} is right: {recipe.name}, fingerprint {recipe.fingerprint()}, sections {', '.join(sections)}")
