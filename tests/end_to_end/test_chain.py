"""`cjd distill` from prompts to card, and what its user does next."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from PIL import Image

from tests.end_to_end.chain import cjd, command, digests, distill_command, losses

PROMPT = "anime, a cute girl with long white hair in the coffee shop"

STOCK = """
import json, sys
sys.modules["cjd"] = None
import torch
from diffusers import DiffusionPipeline
student, prompt, seeds = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
stages = json.load(open(f"{student}/cascade.json"))["stages"]
picture = None
for stage in stages:
    pipe = DiffusionPipeline.from_pretrained(f"{student}/{stage['name']}")
    pipe.set_progress_bar_config(disable=True)
    generator = [torch.Generator().manual_seed(seeds[stage["name"]])]
    options = dict(generator=generator, num_inference_steps=stage["num_inference_steps"],
                   guidance_scale=stage["guidance_scale"], clean_caption=False)
    if picture is not None:
        options |= dict(image=picture, noise_level=stage["noise_level"])
    picture = pipe([prompt], **options).images
picture[0].save(sys.argv[4])
"""


def test_the_run_holds_what_the_design_names(finished: Path) -> None:
    for name in (
        "recipe.json", "prompts/_done.json", "samples/shard-000000.parquet", "samples/contact-sheet.png",
        "prepared/samples/manifest.json", "train/base/metrics.jsonl", "train/sr-64/metrics.jsonl",
        "student/cascade.json", "student/README.md", "evaluation/metrics.json", "evaluation/report.html",
        "evaluation/contact-sheet.png", "lineage.json", "status/generate.json",
    ):  # fmt: skip
        assert (finished / name).is_file(), name
    assert list((finished / "train/base/tensorboard").glob("events.*"))
    assert list((finished / "train/base/previews").glob("*.png"))


def test_it_says_how_long_and_ends_with_the_next_commands(finished: Path) -> None:
    said = (finished.parent / "output.txt").read_text()
    assert re.search(r"about \d+ minutes", said)
    for line in (f'cjd sample {finished} "anime', f"cjd serve {finished}", "evaluation/report.html"):
        assert line in said
    assert "Warning" not in said
    assert "Traceback" not in said


def test_every_figure_is_there(finished: Path) -> None:
    metrics = json.loads((finished / "evaluation/metrics.json").read_text())
    assert 0 <= metrics["teacher"]["attribute_accuracy"] <= 1
    assert 0 <= metrics["student"]["attribute_accuracy"] <= 1
    ratio = metrics["student"]["attribute_accuracy"] / metrics["teacher"]["attribute_accuracy"]
    assert metrics["student"]["ratio"] == pytest.approx(ratio)
    assert metrics["stages"]["sr-64"]["consistency_psnr"] > 0
    assert metrics["fid"] > metrics["floor"]["fid"] >= 0
    assert set(metrics) >= {"kid", "losses"}


def test_the_report_needs_no_network(finished: Path) -> None:
    page = (finished / "evaluation/report.html").read_text()
    loads = re.findall(r'(?:src|href)\s*=\s*"([^"]*)"', page)
    assert loads
    assert all(where.startswith(("data:", "#")) for where in loads if "://" not in where or "src" in where)
    assert not re.findall(r'src\s*=\s*"https?:', page)
    assert "<script src" not in page
    assert "@import" not in page


def test_the_card_is_a_hugging_face_model_card(finished: Path) -> None:
    card = ModelCard.load(finished / "student/README.md")
    assert card.data.to_dict()["license"] == "cc0-1.0"
    lineage = json.loads((finished / "lineage.json").read_text())
    assert lineage["code_version"]


def test_a_second_run_makes_identical_samples(finished: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    for stage in ("prompts", "generate"):
        overrides = distill_command(str(again))[4:]
        done = subprocess.run(command(stage, str(again), *overrides[1:]), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert digests(again / "samples", "*.parquet") == digests(finished / "samples", "*.parquet")


def test_the_same_command_again_changes_nothing(finished: Path) -> None:
    before = digests(finished, "*.parquet") | digests(finished, "*.safetensors")
    done = subprocess.run(distill_command(str(finished)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert digests(finished, "*.parquet") | digests(finished, "*.safetensors") == before


def test_stock_diffusers_draws_what_cjd_sample_draws(finished: Path, tmp_path: Path) -> None:
    from cjd.seeds import derive_seed

    ours = tmp_path / "ours.png"
    assert cjd("sample", str(finished), PROMPT, "--seed", "1", "-o", str(ours)).returncode == 0
    seeds = {name: derive_seed(1, name) for name in ("base", "sr-64")}
    script = tmp_path / "stock.py"
    script.write_text(STOCK)
    theirs = tmp_path / "theirs.png"
    arguments = [str(finished / "student"), PROMPT, json.dumps(seeds), str(theirs)]
    done = subprocess.run([sys.executable, "-I", str(script), *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    pairs = zip(Image.open(ours).tobytes(), Image.open(theirs).tobytes(), strict=True)
    assert max(abs(a - b) for a, b in pairs) <= 1


def test_status_tells_every_stage(finished: Path) -> None:
    done = cjd("status", str(finished), "--json")
    stages = {stage["stage"]: stage for stage in json.loads(done.stdout)["stages"]}
    assert {"prompts", "generate", "train.base", "train.sr-64", "evaluate"} <= set(stages)
    assert all(stage["state"] == "done" for stage in stages.values())
    assert losses(finished, "base")[-1][0] == 96
