"""What `pip install .` puts elsewhere works without the repository: recipes, lists and models are package data."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.end_to_end.chain import SMALLER, digests

ROOT = Path(__file__).parents[2]


def test_an_installed_package_generates_outside_the_repository(finished: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target", str(site), str(ROOT)]
    subprocess.run([sys.executable, *install], check=True, cwd=tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(site)}

    def python(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    assert python("-c", "import cjd; print(cjd.__file__)").startswith(str(site))
    assert "tiny" in python("-m", "cjd.cli", "recipe", "list")
    for stage in ("prompts", "generate"):
        python("-m", "cjd.cli", stage, "run", "--recipe", "tiny", *SMALLER)
    assert digests(tmp_path / "run/samples", "*.parquet") == digests(finished / "samples", "*.parquet")
