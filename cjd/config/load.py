"""Find a recipe by name or file, apply `section.key=value` overrides, say clearly what is wrong."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from cjd.config.recipe import Recipe
from cjd.errors import UsageError


def recipe_names() -> list[str]:
    """The recipes that come with the package."""
    folder = resources.files("cjd") / "recipes"
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml"))


def load_recipe(name_or_file: str, overrides: Iterable[str] = ()) -> Recipe:
    """Read a packaged recipe by name or a TOML file, with `section.key=value` overrides.

    Raises UsageError, one line, for anything that is wrong.
    """
    text, where = _read(name_or_file)
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where} is not valid TOML: {error}") from None
    for override in overrides:
        _apply(content, override)
    return _absolute(resolve(content, where))


def with_overrides(recipe: Recipe, overrides: Iterable[str]) -> Recipe:
    """The recipe with `section.key=value` overrides. Raises UsageError, one line."""
    content = recipe.model_dump(mode="json")
    for override in overrides:
        _apply(content, override)
    return _absolute(resolve(content, f"recipe {recipe.name}"))


def _absolute(recipe: Recipe) -> Recipe:
    """Local paths from the working directory of now: a run is continued from anywhere, and read by any process."""

    def path(value: str, *words: str) -> str:
        return value if value in words or ":" in value else str(Path(value).expanduser().absolute())

    changes: dict[str, Any] = {
        "teacher": recipe.teacher.model_copy(update={"path": path(recipe.teacher.path, "run")}),
        "policy": recipe.policy.model_copy(
            update={
                "safety": path(recipe.policy.safety, "none"),
                "extra_lists": tuple(path(each) for each in recipe.policy.extra_lists),
            }
        ),
    }
    if recipe.student is not None:
        encoder = path(recipe.student.text_encoder, "teacher")
        changes["student"] = recipe.student.model_copy(update={"text_encoder": encoder})
    if recipe.evaluate is not None:
        changes["evaluate"] = recipe.evaluate.model_copy(update={"judge": path(recipe.evaluate.judge, "run")})
    if recipe.finetune is not None:
        changes["finetune"] = recipe.finetune.model_copy(update={"init": path(recipe.finetune.init, "new")})
    if (prompts := recipe.prompts) is not None:
        named: dict[str, Any] = {}
        if prompts.grammar.endswith(".toml"):
            named["grammar"] = path(prompts.grammar)
        if prompts.mine is not None:
            named["mine"] = prompts.mine.model_copy(update={"sources": tuple(map(path, prompts.mine.sources))})
        if prompts.generator is not None:
            named["generator"] = prompts.generator.model_copy(update={"path": path(prompts.generator.path)})
        changes["prompts"] = prompts.model_copy(update=named)
    return recipe.model_copy(update=changes)


def resolve(content: dict[str, Any], where: str) -> Recipe:
    """Validate a recipe's content; the first error becomes one clear line."""
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise UsageError(f"{where}: {_explain(error, content)}") from None


def _read(name_or_file: str) -> tuple[str, str]:
    if name_or_file in recipe_names():
        file = resources.files("cjd") / "recipes" / f"{name_or_file}.toml"
        return file.read_text(encoding="utf-8"), f"recipe {name_or_file}"
    path = Path(name_or_file)
    if not path.is_file():
        near = difflib.get_close_matches(name_or_file, recipe_names(), n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; the packaged ones are {', '.join(recipe_names())}"
        raise UsageError(f"no recipe {name_or_file!r} by that name or file{hint}")
    try:
        return path.read_text(encoding="utf-8"), str(path)
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text; save the recipe as UTF-8") from None


def _apply(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise UsageError(f"override {override!r} is not of the form section.key=value, as in generate.guidance_scale=5")
    *path, last = key.split(".")
    node: Any = content
    for part in path:
        node = _child(node, part, override)
    if isinstance(node, list):
        node[_index(node, last, override)] = _value(text)
    elif isinstance(node, dict):
        node[last] = _value(text)
    else:
        raise UsageError(f"override {override!r}: {'.'.join(path)} is a value, not a section")


def _child(node: Any, part: str, override: str) -> Any:
    if isinstance(node, list):
        return node[_index(node, part, override)]
    if isinstance(node, dict):
        if node.get(part) is None:
            node[part] = {}
        return node[part]
    raise UsageError(f"override {override!r}: there is no section {part!r} under a plain value")


def _index(node: list[Any], part: str, override: str) -> int:
    """A list of named tables (the student's stages) is addressed by name or by number."""
    for i, item in enumerate(node):
        if isinstance(item, dict) and item.get("name") == part:
            return i
    if part.isdigit() and int(part) < len(node):
        return int(part)
    names = [str(item.get("name", i)) if isinstance(item, dict) else str(i) for i, item in enumerate(node)]
    raise UsageError(f"override {override!r}: {part!r} is none of {', '.join(names)}")


def _value(text: str) -> Any:
    """TOML's own reading of the value (numbers, booleans, lists), a bare word otherwise."""
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        return text


def _explain(error: ValidationError, content: dict[str, Any]) -> str:
    errors = error.errors()
    first = next(
        (each for each in errors if each["type"] == "extra_forbidden"), errors[0]
    )  # a typo hides behind "missing"
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        parent, key = list(first["loc"][:-1]), str(first["loc"][-1])
        near = difflib.get_close_matches(key, _valid_keys(parent), n=1, cutoff=0.5)
        valid = f"did you mean {near[0]!r}?" if near else f"valid keys are {', '.join(sorted(_valid_keys(parent)))}"
        return f"unknown key {where!r}; {valid}"
    if first["type"] == "missing":
        return f"{where!r} is missing; add it to the recipe"
    given = json.dumps(first.get("input"), default=str, ensure_ascii=False)
    message = first["msg"].removeprefix("Value error, ")
    return f"{where!r}: {message[:1].lower()}{message[1:]}" + (f" (got {given})" if len(given) < 80 else "")


def _valid_keys(path: list[Any]) -> list[str]:
    model: Any = Recipe
    for part in path:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        model = next((m for m in _models(annotation)), None)
        if model is None:
            return []
    return list(model.model_fields)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for arg in get_args(annotation) for m in _models(arg)]
