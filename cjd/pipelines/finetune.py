"""Make the teacher, and the judge: pictures, the VAE, the U-Net."""

from __future__ import annotations

from typing import Any

from cjd.pipelines import prepare, source
from cjd.pipelines.runtime import ray_session
from cjd.progress import Progress
from cjd.storage import Run


def run(run: Run, progress: Progress) -> dict[str, Any]:
    """Draw, prepare and train; writes teacher/ (a diffusers folder) and, where the recipe asks, judge/."""
    if (summary := run.done("teacher")) is not None:
        return summary
    run.section("finetune")
    with ray_session(run.recipe.resources):
        pictures = source.run(run, progress)
        prepared = prepare.run(run, progress, "pictures")
        trained = {name: _train(run, progress, name) for name in _tasks(run)}
    summary = {"pictures": pictures["rows"], "rows": prepared["rows"], "trained": trained}
    run.finish("teacher", summary)
    return summary


def _tasks(run: Run) -> list[str]:
    return ["vae", "unet", *(["judge"] if run.recipe.judge is not None else [])]


def _train(run: Run, progress: Progress, name: str) -> dict[str, Any]:
    from cjd.evaluation.judge_task import JudgeTask
    from cjd.teacher.unet_task import TeacherUNetTask
    from cjd.teacher.vae_task import VaeTask
    from cjd.train.launch import train

    task = {"vae": VaeTask, "unet": TeacherUNetTask, "judge": JudgeTask}[name]
    return train(run, task(run.store, run.recipe), progress)
