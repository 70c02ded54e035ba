"""One real local Ray for all tests that need it, and one finished run of the whole chain."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cjd.config.recipe import PoolConfig, ResourcesConfig, WorkersConfig
from tests.end_to_end.chain import distill_command


@pytest.fixture(scope="session")
def resources() -> ResourcesConfig:
    return ResourcesConfig(
        paint=PoolConfig(actors=2, cpus=0.5),
        write=PoolConfig(actors=1, cpus=0.25),
        prepare=PoolConfig(actors=2, cpus=0.5),
        train=WorkersConfig(workers=2, cpus=0.5),
    )


@pytest.fixture(scope="session")
def ray_session(resources: ResourcesConfig) -> Iterator[None]:
    from cjd.pipelines import runtime

    with runtime.ray_session(resources):
        yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the whole chain, undisturbed; `output.txt` beside it holds what the command printed."""
    folder = tmp_path_factory.mktemp("chain")
    done = subprocess.run(distill_command(str(folder / "run")), capture_output=True, text=True)
    (folder / "output.txt").write_text(done.stdout + done.stderr)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "run"
