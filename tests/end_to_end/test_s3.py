"""The chain with its run on S3: a real server over HTTP."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from cjd.storage import open_store
from tests.end_to_end.chain import cjd, digests, distill_command


@pytest.mark.timeout(900)
def test_a_run_on_s3_is_the_run_on_disk(s3: str, finished: Path, tmp_path: Path) -> None:
    run = f"{s3}/runs/demo"
    done = subprocess.run(distill_command(run), capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stderr[-3000:]
    store = open_store(run)
    shards = store.list("samples")
    local = digests(finished / "samples", "*.parquet")
    assert {
        name.removeprefix("samples/"): hashlib.sha256(store.read(name)).hexdigest()
        for name in shards
        if name.endswith(".parquet")
    } == local
    for stage in ("base", "sr-64"):
        name = f"student/{stage}/unet/diffusion_pytorch_model.safetensors"
        assert store.read(name) == (finished / name).read_bytes()
    assert store.exists("evaluation/report.html")
    assert not store.exists(".lock")
    stages = json.loads(cjd("status", run, "--json").stdout)["stages"]
    assert all(stage["state"] == "done" for stage in stages)
    picture = tmp_path / "girl.png"
    assert cjd("sample", run, "a girl with long white hair", "-o", str(picture)).returncode == 0
    assert picture.stat().st_size > 500
