"""Make the teacher, and the judge: pictures, the VAE, the U-Net."""

from __future__ import annotations

from typing import Any

from cjd.pipelines import evaluate, prepare, source
from cjd.pipelines.generate import contact_sheet
from cjd.pipelines.runtime import ray_session
from cjd.progress import Progress
from cjd.storage import Run

MEASURED = "## Measured"


def run(run: Run, progress: Progress) -> dict[str, Any]:
    """Draw, prepare and train; writes teacher/ (a diffusers folder) and, where the recipe asks, judge/."""
    if (summary := run.done("teacher")) is not None:
        return summary
    run.section("finetune")
    with ray_session(run.recipe.resources):
        pictures = source.run(run, progress)
        prepared = prepare.run(run, progress, "pictures")
        trained = {name: _train(run, progress, name) for name in _tasks(run)}
        scores = score(run, progress) if run.recipe.evaluate is not None else None
    summary = {"pictures": pictures["rows"], "rows": prepared["rows"], "trained": trained, "scores": scores}
    run.finish("teacher", summary)
    return summary


def score(run: Run, progress: Progress) -> dict[str, Any]:
    """How often the judge finds what held-out prompts ask for in the teacher's pictures; it goes into the card.

    Returns {"attribute_accuracy", "attributes", "prompts"}, and writes it to evaluation/teacher.json.
    """
    from cjd.evaluation.judge import Judge, count_hits, resolve_judge
    from cjd.evaluation.metrics import accuracy_table

    config = run.section("evaluate")
    rows = [{**row, "index": 0} for row in evaluate.held_out_rows(run, config.prompts)]
    evaluate.paint_by_teacher(run, progress, rows)
    contact_sheet(run.store, evaluate.TEACHER)
    painted = evaluate.read_set(run, evaluate.TEACHER)
    judge = Judge.load(resolve_judge(config.judge, run.store))
    found = judge.judge(painted["image"])
    scores = accuracy_table(count_hits(found, painted["attributes"], judge.vocabulary)) | {"prompts": len(rows)}
    run.write_json("evaluation/teacher.json", scores)
    card = run.store.read("teacher/README.md").decode().split(MEASURED)[0]
    run.store.write("teacher/README.md", (card.rstrip() + "\n\n" + _measured(run, scores)).encode())
    return scores


def _measured(run: Run, scores: dict[str, Any]) -> str:
    generate = run.section("generate")
    lines = [
        MEASURED,
        "",
        f"The judge finds {scores['attribute_accuracy']:.3f} of the asked attributes (mean over attributes) in its "
        f"pictures for {scores['prompts']} combinations left out of its training, one picture each, "
        f"{generate.num_inference_steps} steps of {generate.scheduler}, guidance {generate.guidance_scale:g}.",
        "",
        "| attribute | found | asked |",
        "| --- | --- | --- |",
        *(f"| {name} | {row['accuracy']:.3f} | {row['asked']} |" for name, row in scores["attributes"].items()),
    ]
    return "\n".join(lines) + "\n"


def _tasks(run: Run) -> list[str]:
    finetune = run.section("finetune")
    text = ["text"] if finetune.text_encoder.train is not None and finetune.init == "new" else []
    return ["vae", *text, "unet", *(["judge"] if run.recipe.judge is not None else [])]


def _train(run: Run, progress: Progress, name: str) -> dict[str, Any]:
    from cjd.evaluation.judge_task import JudgeTask
    from cjd.teacher.text_task import TextTask
    from cjd.teacher.unet_task import TeacherUNetTask
    from cjd.teacher.vae_task import VaeTask
    from cjd.train.launch import train

    task = {"vae": VaeTask, "text": TextTask, "unet": TeacherUNetTask, "judge": JudgeTask}[name]
    return train(run, task(run.store, run.recipe), progress)
