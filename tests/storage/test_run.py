from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cjd.config.recipe import Recipe, ResourcesConfig
from cjd.errors import BusyError, CjdError, UsageError
from cjd.storage import Run, open_store
from cjd.storage.lock import run_lock

RECIPE = Recipe.model_validate({"name": "r", "prompts": {"count": 3}, "evaluate": {"prompts": 8}})


def test_a_run_remembers_its_recipe(tmp_path: Path) -> None:
    run = Run.create(str(tmp_path / "run"), RECIPE)
    assert Run.open(run.uri).recipe == RECIPE
    assert json.loads(run.store.read("recipe.json"))["fingerprint"] == RECIPE.fingerprint()


def test_another_recipe_is_refused_and_named(tmp_path: Path) -> None:
    Run.create(str(tmp_path), RECIPE)
    other = RECIPE.model_copy(update={"seed": 7})
    with pytest.raises(UsageError, match="made with another recipe .seed: 0 there, 7 asked"):
        Run.create(str(tmp_path), other)
    assert Run.open(str(tmp_path)).recipe == RECIPE


def test_resources_may_change(tmp_path: Path) -> None:
    Run.create(str(tmp_path), RECIPE)
    wider = RECIPE.model_copy(update={"resources": ResourcesConfig.model_validate({"paint": {"actors": 9}})})
    assert Run.create(str(tmp_path), wider).recipe.resources.paint.actors == 9
    assert Run.open(str(tmp_path)).recipe.resources.paint.actors == 9


def test_foreign_folders_and_broken_recipes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match=r"is not a run .it holds letter\.txt"):
        Run.create(str(tmp_path), RECIPE)
    with pytest.raises(UsageError, match="is not a run"):
        Run.open(str(tmp_path))
    (tmp_path / "recipe.json").write_text("{")
    with pytest.raises(UsageError, match="not a recipe this program wrote"):
        Run.open(str(tmp_path))


def test_stages_are_required_by_name(tmp_path: Path) -> None:
    run = Run.create(str(tmp_path), RECIPE)
    with pytest.raises(UsageError, match="first run: cjd generate"):
        run.require("samples", "generate")
    run.finish("samples", {"rows": 3})
    assert run.require("samples", "generate") == {"rows": 3}
    with pytest.raises(UsageError, match=r"no \[student\] section"):
        run.section("student")
    run.store.write("samples/_done.json", b"{")
    with pytest.raises(CjdError, match="not valid JSON"):
        run.done("samples")


def test_one_writer_locally_and_none_after_its_death(tmp_path: Path) -> None:
    script = (
        "import sys, time; from cjd.storage import open_store; from cjd.storage.lock import run_lock\n"
        "with run_lock(open_store(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    with pytest.raises(BusyError, match=f"in use by process {holder.pid} on"), run_lock(open_store(tmp_path)):
        pass
    holder.kill()
    holder.wait()
    with run_lock(open_store(tmp_path)):
        pass


def test_one_writer_on_s3(s3: str, tmp_path: Path) -> None:
    store = open_store(f"{s3}/{tmp_path.name}")
    with run_lock(store), pytest.raises(BusyError, match="in use by process"), run_lock(store):
        pass
    assert not store.exists(".lock")


def test_a_lock_that_nobody_renews_is_taken_over(s3: str, tmp_path: Path) -> None:
    store = open_store(f"{s3}/{tmp_path.name}")
    dead = {"host": "gone", "pid": 1, "token": "t", "beat": time.time() - 60}
    store.write(".lock", json.dumps(dead).encode())
    with run_lock(store):
        assert json.loads(store.read(".lock"))["token"] != "t"
