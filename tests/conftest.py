"""One real local Ray for all tests that need it, and one finished run of the whole chain."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cjd.config.recipe import PoolConfig, ResourcesConfig, WorkersConfig
from tests.end_to_end.chain import distill_command
from tests.s3_server import S3Server

ROOT = Path(__file__).parents[1]

# A shell's background jobs begin with it ignored, and so would the commands that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


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
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder outside the repository that holds what `pip install .` installs, for PYTHONPATH."""
    site = tmp_path_factory.mktemp("site")
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target", str(site), str(ROOT)]
    subprocess.run([sys.executable, *install], check=True, cwd=site)
    return site


@pytest.fixture(scope="session")
def finished(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the whole chain by the installed package, undisturbed; `output.txt` beside it is what was printed."""
    folder = tmp_path_factory.mktemp("chain")
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = distill_command(str(folder / "run"))
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
    (folder / "output.txt").write_text(done.stdout + done.stderr)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "run"


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real S3 server over HTTP: the address of an empty bucket. Its credentials are in the environment."""
    folder = tmp_path_factory.mktemp("s3")
    (folder / "bucket").mkdir()
    server = S3Server(folder)
    before = {name: os.environ.get(name) for name in server.environment}
    os.environ.update(server.environment)
    server.start()
    try:
        yield "s3://bucket"
    finally:
        server.stop()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
