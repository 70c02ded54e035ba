"""A whole teacher of very small parts, made once by the tasks themselves."""

from __future__ import annotations

import pytest

from cjd.config import Recipe
from cjd.storage import Store
from tests.teacher.small import make_teacher, small_recipe


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    return small_recipe()


@pytest.fixture(scope="session")
def run_store(tmp_path_factory, recipe) -> Store:
    return make_teacher(str(tmp_path_factory.mktemp("run")), recipe)


@pytest.fixture(scope="session")
def teacher(run_store):
    return run_store.local("teacher")
