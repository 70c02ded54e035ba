from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cjd.errors import UsageError
from cjd.storage import open_store
from cjd.teacher.folder import check_teacher, resolve_teacher, teacher_fingerprint


@pytest.fixture
def copy(teacher, tmp_path) -> Path:
    return Path(shutil.copytree(teacher, tmp_path / "copy"))


def test_a_whole_teacher_passes(teacher):
    check_teacher(teacher)


@pytest.mark.parametrize(
    "missing", ["model_index.json", "unet", "vae", "tokenizer", "scheduler", "text_encoder/config.json"]
)
def test_a_missing_part_is_named(copy, missing):
    path = copy / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(UsageError, match=missing):
        check_teacher(copy)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_pickled_weights_are_refused(copy, part):
    weights = next((copy / part).glob("*.safetensors"))
    weights.rename(copy / part / "pytorch_model.bin")
    with pytest.raises(UsageError, match=f"{part} holds pickled weights.*safetensors"):
        check_teacher(copy)


def test_weights_missing(copy):
    next((copy / "unet").glob("*.safetensors")).unlink()
    with pytest.raises(UsageError, match="no weights"):
        check_teacher(copy)


def test_what_is_not_a_teacher(tmp_path):
    with pytest.raises(UsageError, match="no teacher at"):
        check_teacher(tmp_path / "nowhere")
    (tmp_path / "model.ckpt").write_bytes(b"")
    with pytest.raises(UsageError, match="single checkpoint file"):
        check_teacher(tmp_path / "model.ckpt")
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "IFPipeline"}))
    with pytest.raises(UsageError, match="is a IFPipeline"):
        check_teacher(tmp_path)


def test_fingerprint_is_of_the_content(teacher, copy):
    before = teacher_fingerprint(teacher)
    assert len(before) == 16 and teacher_fingerprint(copy) == before
    (copy / "README.md").write_text("another card")
    assert teacher_fingerprint(copy) == before
    weights = next((copy / "unet").glob("*.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert teacher_fingerprint(copy) != before


def test_no_machine_is_named_in_the_folder(run_store, teacher):
    for file in [*teacher.rglob("*.json"), teacher / "README.md"]:
        assert run_store.uri not in file.read_text()


def test_resolve(run_store, teacher, tmp_path):
    assert resolve_teacher("run", run_store) == teacher
    assert resolve_teacher(str(teacher), run_store) == teacher
    for path in ("asset:no-such", str(tmp_path / "nowhere"), "run"):
        with pytest.raises(UsageError):
            resolve_teacher(path, open_store(tmp_path))
