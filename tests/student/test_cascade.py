import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cjd.errors import UsageError
from cjd.seeds import derive_seed
from cjd.storage import open_store
from cjd.student.cascade import Cascade, student_fingerprint
from cjd.student.export import write_cascade
from tests.student.conftest import PROMPTS, SIZES, make_recipe

STOCK = Path(__file__).with_name("stock_pipelines.py")
SEEDS = [11, 12, 13, 14, 15, 16, 17, 18]


@pytest.fixture(scope="module")
def cascades(student_folders):
    return {count: Cascade.load(folder, micro_batch_size=4) for count, folder in student_folders.items()}


def test_stock_diffusers_paints_the_same_pictures_without_this_package(student_folders, cascades, tmp_path):
    """Students of two and three stages, in another process and folder, where `cjd` does not import."""
    for count, folder in student_folders.items():
        shutil.copytree(folder, tmp_path / str(count))
    job = {"prompts": PROMPTS[:4], "seeds": {n: [derive_seed(s, n) for s in SEEDS[:4]] for n in SIZES}}
    (tmp_path / "job.json").write_text(json.dumps(job))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    command = [
        sys.executable,
        "-I",
        "-W",
        "error::UserWarning",
        str(STOCK),
        "job.json",
        "out.npz",
        *map(str, student_folders),
    ]
    finished = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert finished.returncode == 0, finished.stderr
    said = [line for line in finished.stderr.splitlines() if line.strip() and "Loading weights" not in line]
    # IF's pipelines are annotated for T5, and diffusers remarks on any other encoder, which works as well.
    assert all(line.startswith("Expected types for text_encoder") for line in said), finished.stderr
    stock = np.load(tmp_path / "out.npz")
    for count, cascade in cascades.items():
        ours = cascade.paint(PROMPTS[:4], SEEDS[:4])
        for name in list(SIZES)[:count]:
            theirs = stock[f"{count}/{name}"]
            assert theirs.shape == ours[name].shape == (4, SIZES[name], SIZES[name], 3)
            assert np.abs(theirs.astype(int) - ours[name].astype(int)).max() <= 1
            assert ours[name].std() > 5, "pictures of one colour would prove nothing"


def test_a_row_does_not_depend_on_its_batch_mates(cascades):
    many = cascades[3].paint(PROMPTS, SEEDS)
    for row in (0, 3, 6):
        one = cascades[3].paint([PROMPTS[row]], [SEEDS[row]])
        assert all(np.array_equal(one[name][0], many[name][row]) for name in many)


def test_the_picture_follows_from_prompt_seed_and_settings(cascades):
    cascade = cascades[2]
    first = cascade.paint(PROMPTS[:1], [1])["image"]
    assert np.array_equal(first, cascade.paint(PROMPTS[:1], [1])["image"])
    assert not np.array_equal(first, cascade.paint(PROMPTS[:1], [2])["image"])
    assert not np.array_equal(first, cascade.paint(PROMPTS[1:2], [1])["image"])
    assert not np.array_equal(first, cascade.paint(PROMPTS[:1], [1], guidance_scale=1.0)["image"])
    assert not np.array_equal(first, cascade.paint(PROMPTS[:1], [1], num_inference_steps=2)["image"])
    assert not np.array_equal(first, cascade.paint(PROMPTS[:1], [1], negative_prompts=["rain"])["image"])
    assert np.array_equal(first, cascade.paint(PROMPTS[:1], [1], negative_prompts=[""])["image"])


def test_every_stage_is_told_as_it_is_done(cascades):
    seen = []
    pictures = cascades[3].paint(PROMPTS[:2], [1, 2], on_stage=lambda name, x: seen.append((name, x)))
    assert [name for name, _ in seen] == list(SIZES)
    assert all(np.array_equal(x, pictures[name]) for name, x in seen)
    assert cascades[3].size == 32 and np.array_equal(pictures["image"], pictures["sr-32"])
    assert cascades[3].paint([], [])["image"].shape == (0, 32, 32, 3)


def test_the_fingerprint_is_the_weights_content(student_folders, cascades, tmp_path):
    copy = shutil.copytree(student_folders[2], tmp_path / "elsewhere")
    (copy / "README.md").write_text("a card")
    assert student_fingerprint(copy) == cascades[2].fingerprint != cascades[3].fingerprint
    file = copy / "base" / "unet" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    assert student_fingerprint(copy) != cascades[2].fingerprint


def test_a_folder_that_is_no_student_is_refused_with_what_to_do(tmp_path, student_folders):
    with pytest.raises(UsageError, match="cjd distill"):
        Cascade.load(tmp_path / "nowhere")
    part = shutil.copytree(student_folders[2], tmp_path / "part")
    shutil.rmtree(part / "sr-16")
    with pytest.raises(UsageError, match="sr-16"):
        Cascade.load(part)
    (part / "cascade.json").write_text("[]")
    with pytest.raises(UsageError, match="cascade"):
        Cascade.load(part)
    with pytest.raises(UsageError, match="cjd train"):
        write_cascade(open_store(tmp_path), make_recipe(["base"]))
