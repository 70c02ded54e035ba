"""What `pip install .` puts elsewhere is whole: the run that every other test compares with was made by it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.end_to_end.chain import RECIPE, SMALLER


def test_the_finished_run_was_made_outside_the_repository(installed: Path, finished: Path, tmp_path: Path) -> None:
    def python(*arguments: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(installed)}
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    assert python("-c", "import cjd; print(cjd.__file__)").startswith(str(installed))
    assert RECIPE in python("-m", "cjd.cli", "recipe", "list")
    python("-m", "cjd.cli", "distill", str(finished), "--recipe", RECIPE, *SMALLER)  # nothing is left to do
