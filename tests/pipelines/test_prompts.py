"""prompts/: as many as asked, screened, numbered without gaps, the same twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from cjd.config.recipe import PromptsConfig, Recipe
from cjd.errors import UsageError
from cjd.pipelines import prompts
from cjd.progress import Progress
from cjd.prompts import TEACHER_PROMPTS, Grammar, held_out_prompts
from cjd.records import PROMPTS, REJECTS, prompt_id
from cjd.storage import Run, read_shard


def make(folder: Path, **options: object) -> Run:
    return Run.create(str(folder), Recipe(name="p", prompts=PromptsConfig.model_validate({"count": 40, **options})))


def rows(run: Run) -> list[dict[str, str]]:
    return read_shard(run.store, "prompts", 0, PROMPTS).to_pylist()


def test_refused_prompts_are_made_up_for_and_recorded(tmp_path: Path) -> None:
    brought = tmp_path / "mine.txt"
    brought.write_text("a castle on a hill\na girl by greg rutkowski\nA Castle on a Hill\n", encoding="utf-8")
    run = make(tmp_path / "run")
    summary = prompts.run(run, Progress(), [str(brought)])
    made = rows(run)
    assert len(made) == summary["rows"] == 40
    assert [row["prompt"] for row in made[:13]] == list(TEACHER_PROMPTS)
    assert made[13]["origin"] == "import"
    assert all(row["prompt_id"] == prompt_id(row["prompt"]) for row in made)
    assert len({row["prompt_id"] for row in made}) == 40
    assert summary["refused"] == {"artist": 1}
    (refused,) = read_shard(run.store, "rejects/prompts", 0, REJECTS).to_pylist()
    assert (refused["rule"], refused["detail"]) == ("artist", "Greg Rutkowski")
    assert summary["imports"][0]["rows"] == 3
    with pytest.raises(UsageError, match="made already"):
        other = tmp_path / "other.txt"
        other.write_text("a lake\n")
        prompts.run(run, Progress(), [str(other)])


def test_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        prompts.run(make(tmp_path / name), Progress())
    first, second = (tmp_path / name / "prompts/shard-000000.parquet" for name in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()


def test_only_what_was_brought(tmp_path: Path) -> None:
    brought = tmp_path / "mine.txt"
    brought.write_text("a castle on a hill\na lake\n")
    run = make(tmp_path / "run", builtin=False, grammar_fill=False)
    prompts.run(run, Progress(), [str(brought)])
    assert [row["prompt"] for row in rows(run)] == ["a castle on a hill", "a lake"]


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    brought = tmp_path / "mine.txt"
    brought.write_text("by greg rutkowski\n")
    run = make(tmp_path / "run", builtin=False, grammar_fill=False)
    with pytest.raises(UsageError, match="no prompt is left"):
        prompts.run(run, Progress(), [str(brought)])
    assert run.done("prompts") is None


def test_an_imported_prompt_that_evaluation_keeps_for_itself_is_recorded(tmp_path: Path) -> None:
    (reserved,) = held_out_prompts(1, 0, Grammar.load("illustration"))
    brought = tmp_path / "mine.txt"
    brought.write_text(f"a lake\n{reserved['text']}\n", encoding="utf-8")
    run = make(tmp_path / "run")
    summary = prompts.run(run, Progress(), [str(brought)])
    assert reserved["text"] not in [row["prompt"] for row in rows(run)]
    assert summary["refused"] == {"held_out": 1}
    (refused,) = read_shard(run.store, "rejects/prompts", 0, REJECTS).to_pylist()
    assert (refused["rule"], refused["prompt"]) == ("held_out", reserved["text"])
