"""Resume equals no kill; another world size continues the same sequence; damage falls back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from cjd.config.recipe import TrainConfig
from cjd.errors import UsageError
from cjd.storage import Run
from cjd.train.checkpoint import Checkpoints
from cjd.train.loop import check_layout
from tests.train.processes import run_loop
from tests.train.toy import ToyTask, toy_run

CONFIG = TrainConfig(
    samples=160, batch_size=8, learning_rate=1e-2, checkpoint_samples=32, log_samples=8, preview_samples=0, zero_stage=1
)


def _weights(run: Run) -> dict[str, torch.Tensor]:
    return load_file(run.store.local("toy.safetensors"))


def _losses(run: Run) -> list[tuple[int, float]]:
    import json

    lines = run.store.read("train/toy/metrics.jsonl").decode().splitlines()
    return [(line["samples"], line["loss"]) for line in map(json.loads, lines)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    tmp = tmp_path_factory.mktemp("undisturbed")
    run = toy_run(str(tmp / "run"))
    run_loop(ToyTask(run.store, CONFIG), run, 2, tmp)
    return run


def test_killed_and_continued_is_bit_for_bit_the_undisturbed_run(undisturbed: Run, tmp_path: Path) -> None:
    run = toy_run(str(tmp_path / "run"))
    task = ToyTask(run.store, CONFIG)
    run_loop(task, run, 2, tmp_path, kill_at=88)
    found, _ = Checkpoints(run.store.sub("train/toy"), 2).newest()
    assert found is not None
    assert found.samples == 64
    run_loop(task, run, 2, tmp_path)
    assert _losses(run) == _losses(undisturbed)
    for name, value in _weights(undisturbed).items():
        assert torch.equal(value, _weights(run)[name]), name


@pytest.mark.parametrize("zero_stage", [1, 3])
def test_another_world_size_continues_the_same_sequence(undisturbed: Run, tmp_path: Path, zero_stage: int) -> None:
    run = toy_run(str(tmp_path / "run"))
    task = ToyTask(run.store, CONFIG.model_copy(update={"zero_stage": zero_stage}))
    run_loop(task, run, 2, tmp_path, kill_at=88)
    run_loop(task, run, 1, tmp_path)
    for name, value in _weights(undisturbed).items():
        torch.testing.assert_close(_weights(run)[name], value, rtol=1e-4, atol=1e-6)


def test_a_corrupt_checkpoint_falls_back_to_the_one_before_and_says_so(undisturbed: Run, tmp_path: Path) -> None:
    run = toy_run(str(tmp_path / "run"))
    task = ToyTask(run.store, CONFIG)
    run_loop(task, run, 2, tmp_path, kill_at=104)
    store = run.store.sub("train/toy")
    newest = sorted(store.list("checkpoints", recursive=True))[-1].rsplit("/", 1)[0]
    ema = store.local(newest) / "ema-00000.safetensors"
    ema.write_bytes(ema.read_bytes()[:-4] + b"oops")
    found, said = Checkpoints(store, 2).newest()
    assert found is not None
    assert found.samples == 64
    assert "samples-000000000096 is corrupt" in said[0]
    run_loop(task, run, 2, tmp_path)
    assert "using the one before it" in Path(run.uri, "said.txt").read_text()
    for name, value in _weights(undisturbed).items():
        assert torch.equal(value, _weights(run)[name]), name


def test_a_checkpoint_without_a_manifest_is_not_there(undisturbed: Run) -> None:
    store = undisturbed.store.sub("train/toy")
    newest, _ = Checkpoints(store, 2).newest()
    assert newest is not None
    manifest = store.read(f"{newest.name}/manifest.json")
    store.delete(f"{newest.name}/manifest.json")
    before, said = Checkpoints(store, 2).newest()
    store.write(f"{newest.name}/manifest.json", manifest)
    assert before is not None
    assert before.samples < newest.samples
    assert not said


def test_a_full_disk_is_told_and_training_goes_on_when_there_is_room(undisturbed: Run, tmp_path: Path) -> None:
    run = toy_run(str(tmp_path / "run"))
    task = ToyTask(run.store, CONFIG)
    with pytest.raises(AssertionError):
        run_loop(task, run, 1, tmp_path, room=4000)  # enough for all but the checkpoint
    said = Path(run.uri, "said.txt").read_text()
    assert said.startswith("cannot write") and "free space" in said
    assert Checkpoints(run.store.sub("train/toy"), 2).newest() == (None, [])
    run_loop(task, run, 2, tmp_path)
    for name, value in _weights(undisturbed).items():
        assert torch.equal(value, _weights(run)[name]), name


def test_a_batch_that_does_not_divide_is_refused() -> None:
    with pytest.raises(UsageError, match="does not divide over 3 workers"):
        check_layout(CONFIG, 3, "toy")
