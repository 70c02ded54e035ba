"""Train the student's cascade, stage after stage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cjd.config import Recipe
from cjd.errors import UsageError
from cjd.pipelines.runtime import ray_session
from cjd.progress import Progress
from cjd.storage import Run, Store


def run(run: Run, progress: Progress, only: str | None = None) -> dict[str, Any]:
    """Train every stage of the student, or `only` one, and write student/; returns the summary.

    student/ is complete when every stage is.
    """
    names = [stage.name for stage in run.section("student").stages]
    if only is not None and only not in names:
        raise UsageError(f"the student has no stage {only!r}; its stages are {', '.join(names)}")
    if (summary := run.done("student")) is not None:
        return summary
    run.require("prepared/samples", "prepare")
    from cjd.student.export import write_cascade
    from cjd.student.task import StageTask
    from cjd.train.launch import train

    text_folders = TextFolders(run.recipe, run.store)
    text_folders()
    with ray_session(run.recipe.resources):
        for name in names if only is None else [only]:
            train(run, StageTask(run.store, run.recipe, name, text_folders), progress)
    stages = {name: run.done(f"train/{name}") for name in names}
    summary = {"stages": {name: made for name, made in stages.items() if made is not None}}
    if all(stages.values()):
        write_cascade(run.store, run.recipe)
        run.finish("student", summary)
    return summary


@dataclass(frozen=True)
class TextFolders:
    """Finds the student's (tokenizer folder, text encoder folder) on the machine where it is called. Picklable."""

    recipe: Recipe
    store: Store

    def __call__(self) -> tuple[Path, Path]:
        """Raises UsageError when one of them is not there."""
        from cjd.teacher.folder import resolve_teacher
        from cjd.text.encoder import student_text_folders

        teacher = resolve_teacher(self.recipe.teacher.path, self.store)
        return student_text_folders(self.recipe, self.store, teacher)
