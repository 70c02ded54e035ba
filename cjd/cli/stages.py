"""Open or create the run, hold its lock, and call one stage of `cjd.pipelines`."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cjd.cli.quiet import quiet
from cjd.cli.report import reporting

if TYPE_CHECKING:
    from cjd.storage import Run


def run_stage(
    stage: str, uri: str, recipe: str | None, overrides: Sequence[str] = (), log_json: bool = False, **options: Any
) -> None:
    """Run `cjd.pipelines.<stage>` on the run at `uri`; leaves with an exit code when that fails."""
    with reporting(again="the run continues where it was with the same command"), _open(uri, recipe, overrides) as run:
        quiet()
        from cjd.progress import Progress

        progress = Progress(run.store, json_lines=log_json)
        summary = importlib.import_module(f"cjd.pipelines.{stage}").run(run, progress, **options)
        if log_json:
            progress.emit({"event": "done", "stage": stage, "summary": summary})


@contextmanager
def _open(uri: str, recipe_name: str | None, overrides: Sequence[str]) -> Iterator[Run]:
    """The run, locked. Everything that can be refused is refused before anything is written."""
    from cjd.config import load_recipe, with_overrides
    from cjd.errors import UsageError
    from cjd.storage import Run, open_store
    from cjd.storage.lock import run_lock

    if uri.startswith("-") or ("=" in uri and "/" not in uri.partition("=")[0]):
        raise UsageError(f"{uri!r} is not a run; the run's folder comes first, then key=value overrides")
    store = open_store(uri)
    exists = store.exists("recipe.json")
    if recipe_name is None and not exists and not store.entries():
        raise UsageError(f"there is no run at {store.uri}; start one with --recipe NAME (cjd recipe list shows them)")
    recipe = load_recipe(recipe_name, overrides) if recipe_name else with_overrides(Run.open(uri).recipe, overrides)
    if not exists:
        if store.entries():
            Run.create(uri, recipe)  # refuses a folder that holds something else, and leaves no lock in it
        quiet()
        importlib.import_module("cjd.pipelines.preflight").check(recipe, store)
    with run_lock(store):
        yield Run.create(uri, recipe)
