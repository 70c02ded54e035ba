"""A run: one directory that every stage reads from and writes to.

`recipe.json` says what the run is made of; `<stage>/_done.json` says that a stage's output is complete.
"""

from __future__ import annotations

import json
from typing import Any

from cjd import __version__
from cjd.config import Recipe, resolve
from cjd.errors import CjdError, UsageError
from cjd.storage.store import Store, open_store

RECIPE = "recipe.json"


class Run:
    """`store` holds everything; `recipe` is what the run was made with. Picklable."""

    def __init__(self, store: Store, recipe: Recipe) -> None:
        self.store = store
        self.recipe = recipe

    @property
    def uri(self) -> str:
        return self.store.uri

    @classmethod
    def create(cls, uri: str, recipe: Recipe) -> Run:
        """Start a run, or continue one that was made with the same recipe.

        Raises UsageError when the directory belongs to another recipe or to something else.
        """
        store = open_store(uri)
        before = _read_recipe(store)
        if before is None:
            if foreign := store.entries():
                raise UsageError(
                    f"{store.uri} is not empty and is not a run (it holds {foreign[0]}, but no {RECIPE}); name another folder"
                )
        elif before["fingerprint"] != recipe.fingerprint():
            difference = _first_difference(before["recipe"], recipe.model_dump(mode="json"))
            raise UsageError(
                f"{store.uri} was made with another recipe ({difference}); "
                f"go on with recipe {before['recipe']['name']} as it was, or name another folder"
            )
        run = cls(store, recipe)
        if before is None or before["recipe"] != recipe.model_dump(mode="json"):
            run._write_recipe()
        return run

    @classmethod
    def open(cls, uri: str) -> Run:
        """An existing run, with the recipe that it was made with. Raises UsageError when there is none."""
        store = open_store(uri)
        content = _read_recipe(store)
        if content is None:
            raise UsageError(
                f"{store.uri} is not a run (it has no {RECIPE}); start one with: cjd distill {uri} --recipe tiny"
            )
        return cls(store, resolve(content["recipe"], f"{store.uri}/{RECIPE}"))

    def _write_recipe(self) -> None:
        self.write_json(
            RECIPE,
            {
                "recipe": self.recipe.model_dump(mode="json"),
                "fingerprint": self.recipe.fingerprint(),
                "code_version": __version__,
            },
        )

    def done(self, stage: str) -> dict[str, Any] | None:
        """The summary that a finished stage left, or None."""
        name = f"{stage}/_done.json"
        return self.read_json(name) if self.store.exists(name) else None

    def finish(self, stage: str, summary: dict[str, Any]) -> None:
        """Mark a stage's output complete."""
        self.write_json(f"{stage}/_done.json", summary)

    def require(self, stage: str, command: str) -> dict[str, Any]:
        """The summary of a stage that must be complete. Raises UsageError that names the command to run."""
        summary = self.done(stage)
        if summary is None:
            raise UsageError(f"{self.uri}/{stage} is not complete; first run: cjd {command} {self.uri}")
        return summary

    def section(self, name: str) -> Any:
        """A section of the recipe that must be there."""
        value = getattr(self.recipe, name)
        if value is None:
            raise UsageError(f"recipe {self.recipe.name} has no [{name}] section, which this stage needs")
        return value

    def read_json(self, name: str) -> Any:
        try:
            return json.loads(self.store.read(name))
        except ValueError as error:
            raise CjdError(
                f"{self.uri}/{name} is not valid JSON ({error}); delete it and run the same command again"
            ) from None

    def write_json(self, name: str, content: Any) -> None:
        self.store.write(name, (json.dumps(content, indent=2, ensure_ascii=False, sort_keys=False) + "\n").encode())


def _read_recipe(store: Store) -> dict[str, Any] | None:
    if not store.exists(RECIPE):
        return None
    try:
        content = json.loads(store.read(RECIPE))
        if not {"recipe", "fingerprint"} <= set(content):
            raise KeyError("recipe")
    except (ValueError, KeyError, TypeError):
        raise UsageError(
            f"{store.uri}/{RECIPE} is not a recipe this program wrote; restore it or name another folder"
        ) from None
    return content


def _first_difference(old: Any, new: Any, path: str = "") -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(k for k in new if k not in old)]:
            if key not in ("resources", "description", "duration") and old.get(key) != new.get(key):
                return _first_difference(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, (a, b) in enumerate(zip(old, new, strict=True)):
            if a != b:
                return _first_difference(a, b, f"{path}.{i}")
    shown = [json.dumps(v, ensure_ascii=False)[:40] for v in (old, new)]
    return f"{path}: {shown[0]} there, {shown[1]} asked"
