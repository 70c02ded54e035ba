"""One real local Ray for all tests that need it, and one finished run of the whole chain."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cjd.config.recipe import PoolConfig, ResourcesConfig, WorkersConfig
from tests.end_to_end.chain import distill_command

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
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    keep = {
        "AWS_ACCESS_KEY_ID": "cjdtestkey",
        "AWS_SECRET_ACCESS_KEY": "cjdtestsecret",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    rclone = Path(sys.executable).with_name("rclone")
    server = subprocess.Popen(
        [rclone, "serve", "s3", "--auth-key", "cjdtestkey,cjdtestsecret", "--addr", f"127.0.0.1:{port}", folder],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    before = {name: os.environ.get(name) for name in keep}
    os.environ.update(keep)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "the S3 server did not start"
                time.sleep(0.1)
        yield "s3://bucket"
    finally:
        server.kill()
        server.wait()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
