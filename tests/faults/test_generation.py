"""Whatever dies while pictures are painted, every row is there once, and every picture is the undisturbed run's."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cjd.records import REJECTS, SAMPLES, sample_id
from cjd.storage import open_store, read_shard, shard_numbers
from tests.faults import arena
from tests.pipelines import doodler

ROOT = Path(__file__).parents[2]


def fingerprints(uri: str) -> dict[str, str]:
    """sample_id -> sha256, or the rule by which it was refused. Fails where a row is there twice or not at all."""
    store = open_store(uri)
    kept = [r for n in shard_numbers(store, "samples") for r in read_shard(store, "samples", n, SAMPLES).to_pylist()]
    refused = [
        row
        for number in shard_numbers(store, "rejects/samples")
        for row in read_shard(store, "rejects/samples", number, REJECTS).to_pylist()
    ]
    names = [row["sample_id"] for row in kept] + [row["row"] for row in refused]
    rows = map(doodler.row, range(arena.TOTAL))
    assert sorted(names) == sorted(sample_id("doodler-1", row["prompt"], row["index"]) for row in rows)
    assert len(names) == arena.TOTAL
    assert not list(Path(store.uri).rglob(".tmp-*"))
    return {row["sample_id"]: row["sha256"] for row in kept} | {row["row"]: row["rule"] for row in refused}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> dict[str, str]:
    run = arena.make(str(tmp_path_factory.mktemp("undisturbed")))
    doodler.doodle(run, arena.TOTAL, arena.SHARD_ROWS)
    return fingerprints(run.uri)


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What each scenario's runs came to, on one cluster."""
    folder = tmp_path_factory.mktemp("arena")
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    command = [sys.executable, "-m", "tests.faults.arena", str(folder), str(seed)]
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "AWS_"))}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=plain, timeout=540)
    results: dict[str, list[dict[str, Any]]] = {}
    for line in done.stdout.splitlines():
        if line.startswith('{"scenario"'):
            result = json.loads(line)
            results.setdefault(result["scenario"], []).append(result)
    assert done.returncode == 0, f"after {list(results)}: {done.stderr[-3000:]}"
    return results


@pytest.mark.timeout(600)
@pytest.mark.parametrize("scenario", list(arena.RUNS))
def test_killed_at_random(
    undisturbed: dict[str, str], disturbed: dict[str, list[dict[str, Any]]], scenario: str
) -> None:
    assert len(disturbed[scenario]) == arena.RUNS[scenario]
    assert arena.RUNS[scenario] * arena.STRIKES[scenario] >= 5
    for result in disturbed[scenario]:
        assert result["counts"]["accepted"] + sum(result["counts"]["refused"].values()) == arena.TOTAL
        assert fingerprints(result["uri"]) == undisturbed
