"""Painting on a real Ray: exact rows, whatever is interrupted."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from cjd.config.recipe import Recipe, ResourcesConfig
from cjd.errors import CjdError
from cjd.images import decode
from cjd.pipelines import shards
from cjd.records import REJECTS, SAMPLES, sample_id, sample_seed
from cjd.storage import Run, read_shard, shard_numbers

from . import doodler

TOTAL, SHARD_ROWS = 50, 8


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.parquet"))}


def make(folder: Path, resources: ResourcesConfig) -> Run:
    return Run.create(str(folder), Recipe(name="doodle", resources=resources))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, resources: ResourcesConfig, ray_session: None) -> Run:
    run = make(tmp_path_factory.mktemp("finished"), resources)
    counts = doodler.doodle(run, TOTAL, SHARD_ROWS)
    assert counts == {"rows": TOTAL, "accepted": 45, "refused": {"blank": 5}, "shards": 7}
    return run


def test_every_row_once_and_named_by_what_it_is(finished: Run) -> None:
    kept = [
        r
        for n in shard_numbers(finished.store, "samples")
        for r in read_shard(finished.store, "samples", n, SAMPLES).to_pylist()
    ]
    refused = [
        r
        for n in shard_numbers(finished.store, "rejects/samples")
        for r in read_shard(finished.store, "rejects/samples", n, REJECTS).to_pylist()
    ]
    wanted = {sample_id("doodler-1", row["prompt"], row["index"]) for row in map(doodler.row, range(TOTAL))}
    names = [row["sample_id"] for row in kept] + [row["row"] for row in refused]
    assert len(names) == TOTAL
    assert set(names) == wanted
    assert {row["rule"] for row in refused} == {"blank"}
    assert all("blank" in row["prompt"] for row in refused)
    for row in kept:
        expected = doodler.Doodler().paint([row["prompt"]], [sample_seed(row["sample_id"])])["image"][0]
        assert (decode(row["image"]) == expected).all()
        assert json.loads(row["verdicts"])["blank"] > 2


def test_micro_batch_and_actors_change_nothing(finished: Run, tmp_path: Path, resources: ResourcesConfig) -> None:
    one = resources.model_copy(update={"paint": resources.paint.model_copy(update={"actors": 1})})
    run = make(tmp_path / "run", one)
    doodler.doodle(run, TOTAL, SHARD_ROWS, micro_batch_size=5)
    assert contents(tmp_path / "run") == contents(Path(finished.uri))


def test_resume_makes_only_what_is_missing(finished: Run, tmp_path: Path, resources: ResourcesConfig) -> None:
    folder = tmp_path / "run"
    shutil.copytree(finished.uri, folder)
    (folder / "samples/shard-000002.parquet").unlink()
    (folder / "samples/shard-000006.parquet").unlink()
    (folder / "rejects/samples/shard-000006.parquet").unlink(missing_ok=True)
    untouched = (folder / "samples/shard-000000.parquet").stat().st_mtime_ns
    counts = doodler.doodle(make(folder, resources), TOTAL, SHARD_ROWS)
    assert (counts["accepted"], counts["refused"]) == (45, {"blank": 5})
    assert contents(folder) == contents(Path(finished.uri))
    assert (folder / "samples/shard-000000.parquet").stat().st_mtime_ns == untouched


def test_many_shards_go_through_in_windows(
    finished: Run, tmp_path: Path, resources: ResourcesConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "WINDOW", 3)
    monkeypatch.setattr(shards, "WINDOW_PER_ACTOR", 1)
    run = make(tmp_path / "run", resources)
    assert doodler.doodle(run, TOTAL, SHARD_ROWS)["shards"] == 7
    assert contents(tmp_path / "run") == contents(Path(finished.uri))


def test_stages_are_kept_where_asked(tmp_path: Path, resources: ResourcesConfig, ray_session: None) -> None:
    run = make(tmp_path, resources)
    doodler.doodle(run, 4, 4, keep_stages=True)
    schema = SAMPLES.append(read_stage_field())
    for row in read_shard(run.store, "samples", 0, schema).to_pylist():
        assert (decode(row["stage_small"]) == decode(row["image"])[::3, ::3]).all()


def read_stage_field():
    import pyarrow as pa

    return pa.field("stage_small", pa.binary())


@pytest.mark.parametrize("damage", ["truncated", "text", "short", "beyond"])
def test_a_damaged_shard_is_named_and_left_alone(
    finished: Run, tmp_path: Path, resources: ResourcesConfig, damage: str
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(finished.uri, folder)
    victim = folder / "samples/shard-000001.parquet"
    if damage == "truncated":
        victim.write_bytes(victim.read_bytes()[:-100])
    elif damage == "text":
        victim.write_text("not parquet")
    elif damage == "short":
        shutil.copy(folder / "samples/shard-000006.parquet", victim)
    else:
        victim = folder / "samples/shard-000007.parquet"
        shutil.copy(folder / "samples/shard-000001.parquet", victim)
    before = contents(folder)
    with pytest.raises(CjdError, match="shard-00000[17]|shard 7") as caught:
        doodler.doodle(make(folder, resources), TOTAL, SHARD_ROWS)
    assert "\n" not in str(caught.value)
    assert contents(folder) == before


def test_an_error_in_an_actor_is_one_line(tmp_path: Path, resources: ResourcesConfig, ray_session: None) -> None:
    from cjd.pipelines.paint import PaintSettings

    run = make(tmp_path, resources)
    wrong = PaintSettings("another", 1.0, 1, "none", "cc0-1.0")
    original = doodler.SETTINGS
    doodler.SETTINGS = wrong
    try:
        with pytest.raises(CjdError, match="files changed under the run") as caught:
            doodler.doodle(run, 4, 4)
    finally:
        doodler.SETTINGS = original
    assert "\n" not in str(caught.value)


def test_kill_nine_and_again(finished: Run, tmp_path: Path, resources: ResourcesConfig) -> None:
    folder = tmp_path / "run"
    recipe = json.dumps(Recipe(name="doodle", resources=resources).model_dump(mode="json"))
    command = [sys.executable, "-m", "tests.pipelines.doodler", str(folder), recipe]
    root = Path(__file__).parents[2]
    victim = subprocess.Popen([*command, "0.3"], cwd=root, start_new_session=True, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(folder.glob("samples/*.parquet")):
        assert time.monotonic() < deadline and victim.poll() is None
        time.sleep(0.05)
    os.killpg(victim.pid, signal.SIGKILL)
    victim.wait()
    assert len(list(folder.glob("samples/shard-*.parquet"))) < 7
    again = subprocess.run([*command, "0"], cwd=root, capture_output=True, text=True, timeout=120)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout) == {"rows": TOTAL, "accepted": 45, "refused": {"blank": 5}, "shards": 7}
    assert contents(folder) == contents(Path(finished.uri))


def test_prometheus_is_told_through_ray(finished: Run) -> None:
    """Ray's exporter of this node: painted rows, and refused ones by rule."""
    import ray

    port = ray.nodes()[0]["MetricsExportPort"]
    deadline = time.monotonic() + 60
    while True:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        painted = [line for line in lines if line.startswith("ray_cjd_rows_painted")]
        blank = [line for line in lines if line.startswith("ray_cjd_rows_refused") and 'rule="blank"' in line]
        if sum(map(_value, painted)) >= TOTAL and sum(map(_value, blank)) >= 5:
            return
        assert time.monotonic() < deadline, painted + blank
        time.sleep(0.5)


def _value(line: str) -> float:
    return float(line.rpartition(" ")[2])
