"""The student's model card and its lineage, computed from the run and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cjd import __version__
from cjd.evaluation import facts
from cjd.evaluation.metrics import CONSISTENCY_BAR, RATIO_BAR
from cjd.policy.licences import Licence, student_licence
from cjd.storage import Run, shard_numbers
from cjd.storage.shards import shard_name

METRICS = "evaluation/metrics.json"


def student_card(run: Run) -> str:
    """README.md of `student/`, with Hugging Face front matter.

    Raises PolicyError when the teacher's licence is not known, UsageError without a student.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    licence = student_licence(run.recipe.teacher.licence)
    metrics = run.read_json(METRICS) if run.store.exists(METRICS) else None
    environment = Environment(
        loader=PackageLoader("cjd.evaluation"), undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    return environment.get_template("card.md.j2").render(
        front_matter=_front_matter(run, licence, metrics).strip(), name=run.recipe.name, code_version=__version__,
        stages=student_stages(run), counts=facts.counts(run), painted=facts.teacher_of_samples(run),
        teacher=run.recipe.teacher, policy=run.recipe.policy, licence=licence, metrics=metrics,
        ratio_bar=RATIO_BAR, consistency_bar=CONSISTENCY_BAR,
    )  # fmt: skip


def student_stages(run: Run) -> list[dict[str, Any]]:
    """The stages of `student/cascade.json`."""
    if not run.store.exists("student/cascade.json"):
        run.require("student", "train")
    return run.read_json("student/cascade.json")["stages"]


def lineage(run: Run) -> dict[str, Any]:
    """What the student descends from: recipe, code, teacher, every shard and weight file with its sha256."""
    painted = facts.teacher_of_samples(run)
    folders = {folder: _shards(run, folder) for folder in ("prompts", "samples")}
    manifests = ("prepared/samples/manifest.json", "prepared/pictures/manifest.json")
    return {
        "recipe": {"name": run.recipe.name, "fingerprint": run.recipe.fingerprint()},
        "code_version": __version__,
        "versions": facts.versions(),
        "teacher": {
            "path": run.recipe.teacher.path,
            "fingerprint": painted.get("teacher"),
            "licence": run.recipe.teacher.licence,
        },
        "licence": student_licence(run.recipe.teacher.licence).id,
        "shards": folders,
        "prepared": {name: facts.sha256_of(run, name) for name in manifests if run.store.exists(name)},
        "student": facts.weights(run),
        "counts": facts.counts(run),
    }


def _shards(run: Run, folder: str) -> list[dict[str, str]]:
    names = [shard_name(folder, number) for number in shard_numbers(run.store, folder)]
    return [{"name": name, "sha256": facts.sha256_of(run, name)} for name in names]


def _front_matter(run: Run, licence: Licence, metrics: Mapping[str, Any] | None) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    results = None
    if metrics:
        scores = [
            ("accuracy", "attribute accuracy", metrics["student"]["attribute_accuracy"]),
            ("accuracy", "ratio to the teacher", metrics["student"]["ratio"]),
            ("fid", "FID to the teacher (judge features)", metrics["fid"]),
        ]
        results = [
            EvalResult(
                task_type="text-to-image", dataset_type="held-out-prompts",
                dataset_name=f"{metrics['prompts']} held-out prompts",
                metric_type=kind, metric_name=name, metric_value=round(value, 4),
            )
            for kind, name, value in scores
        ]  # fmt: skip
    data = ModelCardData(
        license=licence.id, language="en", library_name="diffusers", pipeline_tag="text-to-image",
        tags=["cool-japan-diffusion", "pixel-diffusion", "cascade", "distillation", "synthetic-data"],
        model_name=run.recipe.name if results else None, eval_results=results,
    )  # fmt: skip
    return data.to_yaml()
