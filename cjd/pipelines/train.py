"""Train the student's cascade, stage after stage."""

from __future__ import annotations

from typing import Any

from cjd.errors import UsageError
from cjd.pipelines.runtime import ray_session
from cjd.progress import Progress
from cjd.storage import Run


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
    from cjd.teacher.folder import resolve_teacher
    from cjd.text.encoder import student_text_folders
    from cjd.train.launch import train

    teacher = resolve_teacher(run.recipe.teacher.path, run.store)
    folders = student_text_folders(run.recipe, run.store, teacher)
    with ray_session(run.recipe.resources):
        for name in names if only is None else [only]:
            train(run, StageTask(run.store, run.recipe, name, *folders), progress)
    stages = {name: run.done(f"train/{name}") for name in names}
    summary = {"stages": {name: made for name, made in stages.items() if made is not None}}
    if all(stages.values()):
        write_cascade(run.store, run.recipe)
        run.finish("student", summary)
    return summary
