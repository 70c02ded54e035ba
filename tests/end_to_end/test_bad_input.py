"""Whatever is wrong is told in one line that says what to do, and the run stays as it was."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cjd.cli.app import main
from tests.end_to_end.chain import SMALLER, digests, kill_group, start, wait_for


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """The exit code and the one line of a command that does not work."""
    capsys.readouterr()
    code = main(list(arguments))
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("cjd:")]
    assert code not in (0, None)
    assert len(lines) == 1, lines
    assert "unexpected" not in lines[0]
    return code, lines[0]


@pytest.fixture
def started(tmp_path: Path) -> Path:
    """A run whose prompts are made."""
    run = tmp_path / "run"
    assert main(["prompts", str(run), "--recipe", "tiny", *SMALLER]) == 0
    return run


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """The finished run, to be damaged."""
    return Path(shutil.copytree(finished, tmp_path / "copy"))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("generate.guidence_scale=3", "did you mean 'guidance_scale'"),
        ("genrate.guidance_scale=3", "did you mean 'generate'"),
        ("generate.num_inference_steps=many", "valid integer"),
        ("student.stages.bse.size=32", "none of base, sr-64"),
        ("student.stages.base.size=-1", "greater than 0"),
        ("generate", "not of the form section.key=value"),
    ],
)
def test_a_wrong_recipe_key_or_value(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, override: str, said: str
) -> None:
    code, line = refused(capsys, "distill", str(tmp_path / "run"), "--recipe", "tiny", override)
    assert code == 2
    assert said in line
    assert not (tmp_path / "run").exists()


def test_another_recipe_than_the_run_was_made_with(capsys: pytest.CaptureFixture[str], started: Path) -> None:
    before = digests(started, "*.json")
    overrides = [*SMALLER, "generate.guidance_scale=9"]
    code, line = refused(capsys, "generate", str(started), "--recipe", "tiny", *overrides)
    assert code == 2
    assert "made with another recipe (generate.guidance_scale: 3.0 there, 9" in line
    assert digests(started, "*.json") == before


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.txt", b"", "empty"),
        ("blank.txt", b"\n  \n", "no prompts in it"),
        ("latin.txt", "a girl\nun caf\xe9\n".encode("latin-1"), "line 2"),
        ("long.txt", b"a girl\n" + b"very " * 2000 + b"\n", "line 2"),
        ("columns.csv", b"a,b\n1,2\n", "prompt"),
        ("broken.jsonl", b'{"prompt": "a girl"}\n{"prompt": \n', "line 2"),
        ("broken.parquet", b"PAR1 no", "broken.parquet"),
    ],
)
def test_a_prompt_file_that_cannot_be_used(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    code, line = refused(capsys, "prompts", str(tmp_path / "run"), "--recipe", "tiny", *SMALLER, "--import", str(file))
    assert code == 2
    assert said in line
    assert name in line


def _pickled(folder: Path) -> None:
    for part in ("unet", "vae", "text_encoder", "tokenizer", "scheduler"):
        (folder / part).mkdir(parents=True)
        (folder / part / "diffusion_pytorch_model.bin").write_bytes(b"\x80\x04.")
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: None, "there is no teacher at"),
        (lambda folder: folder.mkdir(), "diffusers"),
        (_pickled, "safetensors"),
    ],
    ids=["missing", "not a pipeline", "pickled"],
)
def test_a_teacher_that_cannot_be_used(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, make: object, said: str
) -> None:
    teacher = tmp_path / "teacher"
    make(teacher)  # type: ignore[operator]
    run = tmp_path / "run"
    code, line = refused(capsys, "distill", str(run), "--recipe", "tiny", *SMALLER, f"teacher.path={teacher}")
    assert code == 2
    assert said in line
    assert str(teacher) in line
    assert not run.exists()


def test_a_truncated_shard_and_a_foreign_one(capsys: pytest.CaptureFixture[str], copy: Path) -> None:
    shard = copy / "samples/shard-000001.parquet"
    whole = shard.read_bytes()
    (copy / "samples/_done.json").unlink()
    shard.write_bytes(whole[: len(whole) // 2])
    code, line = refused(capsys, "generate", str(copy))
    assert code == 1
    assert "shard-000001.parquet" in line
    pq.write_table(pa.table({"x": [1, 2, 3]}), shard)
    code, line = refused(capsys, "generate", str(copy))
    assert code == 1
    assert "shard-000001.parquet" in line
    assert "run the same command again" in line


def test_a_stage_before_its_data(capsys: pytest.CaptureFixture[str], started: Path) -> None:
    for stage, first in (("prepare", "generate"), ("train", "prepare"), ("evaluate", "train"), ("card", "train")):
        code, line = refused(capsys, stage, str(started))
        assert code == 2, stage
        assert f"cjd {first} " in line, line


def test_a_run_that_is_none(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "there is no run" in refused(capsys, "generate", str(tmp_path / "nothing"))[1]
    (tmp_path / "letter.txt").write_text("dear")
    code, line = refused(capsys, "distill", str(tmp_path), "--recipe", "tiny")
    assert code == 2
    assert "letter.txt" in line
    assert sorted(p.name for p in tmp_path.iterdir()) == ["letter.txt"]


def test_a_full_disk(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """No file may grow beyond 600 bytes: the write of a shard fails as it does when the disk is full."""
    run = tmp_path / "run"
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600));"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "from cjd.cli.app import main; sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["prompts", str(run), "--recipe", "tiny", *SMALLER]
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert main(arguments) == 0


def test_an_unwritable_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, line = refused(capsys, "prompts", str(tmp_path / "file" / "run"), "--recipe", "tiny", *SMALLER)
    assert code in (1, 2)
    assert str(tmp_path / "file") in line


def test_two_processes_on_one_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run, log = tmp_path / "run", tmp_path / "log.txt"
    first = start(str(run), log)
    try:
        wait_for(first, run, "prompts", log)
        code, line = refused(capsys, "generate", str(run))
        assert code == 75
        assert f"in use by process {first.pid}" in line
        assert main(["status", str(run)]) == 0
    finally:
        kill_group(first)


def test_an_unknown_licence_is_told_before_the_run_is_made(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, line = refused(capsys, "distill", str(tmp_path / "run"), "--recipe", "tiny", "teacher.licence=mine")
    assert code == 3
    assert "teacher.licence 'mine' is not known" in line
    assert not (tmp_path / "run").exists()


def test_refused_prompts_leave_with_the_policys_code(capsys: pytest.CaptureFixture[str], finished: Path) -> None:
    prompt = "a painting of a girl with long white hair, 4k, detailed, by Greg Rutkowski"
    output = os.fspath(finished.parent / "refused.png")
    code, line = refused(capsys, "sample", str(finished), prompt, "-o", output)
    assert code == 3
    assert "artist" in line
    assert not Path(output).exists()
