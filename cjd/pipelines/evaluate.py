"""Student against teacher, on prompts that training did not see; all of it below `evaluation/`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cjd.errors import UsageError
from cjd.images import decode, encode
from cjd.pipelines.generate import PICTURE_LICENCE, TeacherFactory, device
from cjd.pipelines.paint import PaintSettings, paint_set, stage_column
from cjd.pipelines.runtime import ray_session
from cjd.progress import Progress
from cjd.records import SAMPLES, prompt_id
from cjd.seeds import derive_seed
from cjd.storage import Run, Store, read_shard, shard_numbers

if TYPE_CHECKING:
    from cjd.student.cascade import Cascade

FOLDER = "evaluation"
FEWEST_PROMPTS = 4
TEACHER, STUDENT = f"{FOLDER}/teacher", f"{FOLDER}/student"


def run(run: Run, progress: Progress) -> dict[str, Any]:
    """Paint the held-out prompts by teacher and student, judge them, and write metrics, contact sheet and report.

    Raises UsageError before there is a student.
    """
    if (summary := run.done(FOLDER)) is not None:
        return summary
    config = run.section("evaluate")
    if config.prompts < FEWEST_PROMPTS:
        raise UsageError(f"evaluate.prompts is {config.prompts}; distances need at least {FEWEST_PROMPTS}")
    run.require("student", "train")
    stages = run.read_json("student/cascade.json")["stages"]
    rows = held_out_rows(run, config.prompts)
    with ray_session(run.recipe.resources):
        # The teacher paints every prompt twice: how far apart its own pictures are is the floor of a distance.
        paint_by_teacher(run, progress, [{**row, "index": index} for index in (0, 1) for row in rows])
        paint_by_student(run, progress, [{**row, "index": 0} for row in rows], stages)
    with progress.stage("evaluate", 5, "steps") as part:
        metrics, pairs = measure(run, stages, part.advance)
        run.write_json(f"{FOLDER}/metrics.json", metrics)
        part.advance()
        _write_report(run, metrics, pairs)
        part.advance()
    summary = {
        "report": f"{FOLDER}/report.html",
        "prompts": metrics["prompts"],
        "teacher_accuracy": metrics["teacher"]["attribute_accuracy"],
        "student_accuracy": metrics["student"]["attribute_accuracy"],
        "ratio": metrics["student"]["ratio"],
        "consistency_psnr": {n: s["consistency_psnr"] for n, s in metrics["stages"].items() if "consistency_psnr" in s},
        "fid": metrics["fid"],
        "fid_floor": metrics["floor"]["fid"],
    }
    run.finish(FOLDER, summary)
    return summary


def held_out_rows(run: Run, count: int) -> list[dict[str, Any]]:
    """What `paint_set` needs of each row, save its index; the same for the same recipe."""
    from cjd.prompts import Grammar, held_out_prompts

    prompts = run.recipe.prompts
    grammar = Grammar.load(prompts.grammar, prompts.weights or None) if prompts else Grammar.load()
    drawn = held_out_prompts(count, derive_seed(run.recipe.seed, "evaluate"), grammar)
    return [
        {
            "prompt_id": prompt_id(row["text"]),
            "prompt": row["text"],
            "attributes": json.dumps(row["attributes"], ensure_ascii=False),
        }
        for row in drawn
    ]


def paint_by_teacher(run: Run, progress: Progress, rows: list[dict[str, Any]]) -> None:
    """Rows {"prompt_id", "prompt", "attributes", "index"} into evaluation/teacher/. Needs a Ray session."""
    from cjd.teacher.folder import resolve_teacher, teacher_fingerprint

    config, teacher = run.section("evaluate"), run.recipe.teacher
    generate = run.section("generate").model_copy(update={"micro_batch_size": config.micro_batch_size})
    settings = PaintSettings(
        teacher=teacher_fingerprint(resolve_teacher(teacher.path, run.store)),
        guidance_scale=generate.guidance_scale,
        num_inference_steps=generate.num_inference_steps,
        scheduler=generate.scheduler,
        licence=PICTURE_LICENCE,
    )
    _paint(run, progress, TEACHER, rows, TeacherFactory(teacher.path, run.store, generate, device(run)), settings)


def paint_by_student(
    run: Run, progress: Progress, rows: list[dict[str, Any]], stages: Sequence[Mapping[str, Any]]
) -> None:
    """The same into evaluation/student/, with the picture of every stage."""
    from cjd.student.cascade import student_fingerprint

    settings = PaintSettings(
        teacher=student_fingerprint(run.store.local("student")),
        guidance_scale=stages[0]["guidance_scale"],
        num_inference_steps=stages[0]["num_inference_steps"],
        scheduler="dpmsolver++",
        licence=PICTURE_LICENCE,
    )
    painter = StudentFactory(run.store, run.section("evaluate").micro_batch_size, device(run))
    _paint(run, progress, STUDENT, rows, painter, settings)


def _paint(
    run: Run, progress: Progress, folder: str, rows: list[dict[str, Any]], painter: Any, settings: PaintSettings
) -> None:
    config = run.section("evaluate")
    paint_set(
        run, progress, stage=folder.replace("/", "-"), folder=folder, rejects=None,
        total_rows=len(rows), shard_rows=config.shard_rows, row_source=partial(_shard_rows, rows, config.shard_rows),
        painter=painter, settings=settings, keep_stages=folder == STUDENT,
    )  # fmt: skip


def _shard_rows(rows: list[dict[str, Any]], shard_rows: int, number: int) -> list[dict[str, Any]]:
    return rows[number * shard_rows : (number + 1) * shard_rows]


@dataclass(frozen=True)
class StudentFactory:
    """Makes the student's painter where it is called; picklable."""

    store: Store
    micro_batch_size: int
    device: str

    def __call__(self) -> Cascade:
        from cjd.student.cascade import Cascade

        return Cascade.load(self.store.local("student"), self.device, self.micro_batch_size)


def measure(
    run: Run, stages: Sequence[Mapping[str, Any]], step: Callable[[], None] = lambda: None
) -> tuple[dict[str, Any], list[Any]]:
    """The metrics of three painted sets, and the contact sheet's pairs. `step` is called after each part."""
    from cjd.evaluation import facts
    from cjd.evaluation.judge import Judge, count_hits, resolve_judge
    from cjd.evaluation.metrics import accuracy_table, consistency_psnr, distances
    from cjd.evaluation.report import Pair

    config = run.section("evaluate")
    judge = Judge.load(resolve_judge(config.judge, run.store))
    names = [stage["name"] for stage in stages]
    teacher, student = read_set(run, TEACHER), read_set(run, STUDENT, names)
    asked = student["attributes"]
    first, again = np.split(teacher["image"], [len(asked)])
    found = {name: judge.judge(images) for name, images in [("teacher", first), *student["stages"].items()]}
    tables = {name: accuracy_table(count_hits(seen, asked, judge.vocabulary)) for name, seen in found.items()}
    step()
    of_stages: dict[str, dict[str, Any]] = {}
    for stage, before in zip(names, [None, *names], strict=False):
        pictures = student["stages"][stage]
        row = {"size": pictures.shape[1], "attribute_accuracy": tables[stage]["attribute_accuracy"]}
        if before is not None:
            row["consistency_psnr"] = consistency_psnr(pictures, student["stages"][before])
        of_stages[stage] = row
    step()
    best = tables["teacher"]["attribute_accuracy"]
    ratio = tables[names[-1]]["attribute_accuracy"] / best if best else 0.0
    metrics = {
        "prompts": len(asked),
        "teacher": tables["teacher"],
        "student": {**tables[names[-1]], "ratio": ratio},
        "stages": of_stages,
        **distances(judge, first, student["image"]),
        "floor": distances(judge, first, again),
        "losses": facts.losses(run),
    }
    step()
    pairs = [
        Pair(
            student["prompt"][i], asked[i], first[i],
            {name: pictures[i] for name, pictures in student["stages"].items()},
            found["teacher"][i], found[names[-1]][i],
        )
        for i in range(min(config.contact_sheet, len(asked)))
    ]  # fmt: skip
    return metrics, pairs


def read_set(run: Run, folder: str, stages: Sequence[str] = ()) -> dict[str, Any]:
    """A painted set, in the order of its prompts: "prompt" and "attributes" lists, "image" uint8
    `[N, H, W, 3]`, and "stages" {name: uint8 `[N, S, S, 3]`} for those asked.
    """
    columns = [stage_column(name) for name in stages]
    schema = pa.schema([*SAMPLES, *((column, pa.binary()) for column in columns)])
    wanted = ["prompt", "attributes", "image", *columns]
    tables = [read_shard(run.store, folder, k, schema, wanted) for k in shard_numbers(run.store, folder)]
    table = pa.concat_tables(tables)

    def pictures(column: str) -> np.ndarray:
        return np.stack([decode(data.as_py()) for data in table[column]])

    return {
        "prompt": table["prompt"].to_pylist(),
        "attributes": [json.loads(text) for text in table["attributes"].to_pylist()],
        "image": pictures("image"),
        "stages": {name: pictures(column) for name, column in zip(stages, columns, strict=True)},
    }


def _write_report(run: Run, metrics: Mapping[str, Any], pairs: Sequence[Any]) -> None:
    from cjd.evaluation import facts
    from cjd.evaluation.report import contact_sheet, render

    page = render(
        f"{run.recipe.name}: student and teacher", metrics, pairs, facts.curves(run), facts.counts(run),
        run.recipe.model_dump(mode="json"), facts.versions(),
    )  # fmt: skip
    run.store.write(f"{FOLDER}/contact-sheet.png", encode(contact_sheet(pairs)))
    run.store.write(f"{FOLDER}/report.html", page.encode("utf-8"))
