"""The command line as its users meet it, in processes of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import cjd
from cjd.config import load_recipe
from cjd.storage import Run
from cjd.storage.lock import run_lock

ROOT = Path(cjd.__file__).parent.parent


def cjd_run(*arguments: str, env: dict[str, str] | None = None, code: int | None = 0) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "cjd.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | (env or {}), timeout=120)
    if code is not None:
        assert done.returncode == code, done.stdout + done.stderr
    return done


def one_line(done: subprocess.CompletedProcess) -> str:
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("cjd: error: ")
    return line


@pytest.fixture
def run(tmp_path) -> Run:
    return Run.create(str(tmp_path / "run"), load_recipe("small"))


def test_nothing_heavy_is_imported_before_a_command_needs_it():
    heavy = ("torch", "ray", "diffusers", "transformers", "deepspeed", "pyarrow", "pandas", "numpy", "boto3", "fastapi")
    code = f"import sys, cjd.cli.app; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_names_every_command():
    text = cjd_run("--help").stdout
    for command in ("distill", "prompts", "generate", "prepare", "train", "evaluate", "card", "finetune", "sample"):
        assert command in text
    assert cjd_run("--version").stdout.strip() == f"cjd {cjd.__version__}"
    assert cjd_run("paint", code=2).stderr


def test_recipes_are_listed_shown_and_checked(tmp_path):
    assert "cjd-2.1" in cjd_run("recipe", "list").stdout
    (tmp_path / "copy.toml").write_text(cjd_run("recipe", "show", "small").stdout)
    assert load_recipe(str(tmp_path / "copy.toml")) == load_recipe("small")
    shown = cjd_run("recipe", "show", "small", "generate.guidance_scale=2.5").stdout
    assert json.loads(shown)["generate"]["guidance_scale"] == 2.5
    assert load_recipe("small").fingerprint() in cjd_run("recipe", "check", "small").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["recipe", "check", "smal"], "did you mean small"),
        (["recipe", "check", "small", "generate.guidance=7"], "did you mean 'guidance_scale'"),
        (["recipe", "check", "small", "generate.shard_rows=many"], "generate.shard_rows"),
        (["status", "{tmp}/nowhere"], "is not a run"),
        (["generate", "{tmp}/nowhere"], "--recipe"),
        (["distill", "{tmp}/nowhere", "--recipe", "smal"], "did you mean small"),
        (["distill", "gs://bucket/run", "--recipe", "small"], "s3://"),
        (["sample", "{tmp}/nowhere", "a girl", "-o", "{tmp}/girl.jpg"], "PNG"),
        (["sample", "{tmp}/nowhere", "a girl", "-o", "{tmp}/no/girl.png"], "not a folder"),
        (["sample", "{tmp}/nowhere", "a girl", "-o", "{tmp}/girl.png"], "is not a run"),
        (["serve", "{tmp}/nowhere", "--port", "0"], "is not a run"),
    ],
)
def test_wrong_usage_is_one_line_and_leaves_nothing_behind(tmp_path, arguments, words):
    done = cjd_run(*(a.replace("{tmp}", str(tmp_path)) for a in arguments), code=2)
    assert words in one_line(done)
    assert list(tmp_path.iterdir()) == []


def test_another_recipe_or_another_folder_is_refused(run, tmp_path):
    before = run.store.read("recipe.json")
    done = cjd_run("prompts", run.uri, "seed=5", code=2)
    assert "seed: 0 there, 5 asked" in one_line(done) and run.store.read("recipe.json") == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("mine")
    assert "letter.txt" in one_line(cjd_run("prompts", str(tmp_path / "other"), "--recipe", "small", code=2))
    assert [p.name for p in (tmp_path / "other").iterdir()] == ["letter.txt"]


def test_a_run_in_use_is_try_again(run):
    with run_lock(run.store):
        line = one_line(cjd_run("prompts", run.uri, code=75))
    assert str(os.getpid()) in line


def test_status_tells_what_stages_tell(run):
    assert "nothing has started" in cjd_run("status", run.uri).stdout
    from cjd.progress import Progress

    with Progress(run.store, json_lines=True).stage("generate", total=4, unit="samples") as stage:
        stage.advance(4, refused=1)
    (content,) = [json.loads(line) for line in cjd_run("status", run.uri, "--json").stdout.splitlines()]
    assert content["recipe"] == "small" and content["stages"][0]["fields"] == {"refused": 1}
    table = cjd_run("status", run.uri).stdout
    assert "generate" in table and "4/4 samples" in table and "done" in table


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_says_how_to_go_on(run, number):
    code = """
import time
from cjd.cli.report import reporting
with reporting(again="the run continues where it was with the same command"):
    print("ready", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as p:
        assert p.stdout and p.stdout.readline() == "ready\n"
        time.sleep(0.1)
        p.send_signal(number)
        _, said = p.communicate(timeout=10)
    assert p.returncode == 130 and said.splitlines() == [
        "cjd: interrupted; the run continues where it was with the same command"
    ]


@pytest.mark.parametrize("file", sorted(p.name for p in (ROOT / "jobs").glob("*.py")))
def test_jobs_are_thin_and_take_the_same_arguments(file, tmp_path):
    assert len((ROOT / "jobs" / file).read_text().splitlines()) < 40
    command = [sys.executable, str(ROOT / "jobs" / file), str(tmp_path / "nowhere")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2 and "--recipe" in one_line(done)
