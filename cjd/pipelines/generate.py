"""Teacher pictures for every prompt: samples/."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cjd.config.recipe import GenerateConfig
from cjd.errors import CjdError, UsageError
from cjd.pipelines.paint import FAILED, PaintSettings, paint_set
from cjd.pipelines.runtime import ray_session
from cjd.policy import Gate
from cjd.progress import Progress
from cjd.records import PROMPTS, SAMPLES
from cjd.storage import Run, Store, read_shard, shard_numbers

if TYPE_CHECKING:
    from cjd.teacher.painter import TeacherPainter

SHEET_PICTURES = 48
SHEET_COLUMNS = 8
SHEET_PERIOD = 15.0  # seconds
# Pictures are offered under it whatever the teacher's licence, which binds the student's weights.
PICTURE_LICENCE = "cc0-1.0"


def run(run: Run, progress: Progress) -> dict[str, Any]:
    """Write samples/shard-*.parquet, rejects/samples/ and samples/contact-sheet.png; returns the summary.

    Row i is picture i % images_per_prompt of prompt i // images_per_prompt; shard k holds the rows from
    k·shard_rows on.
    """
    from cjd.teacher.folder import check_teacher, resolve_teacher, teacher_fingerprint

    if (summary := run.done("samples")) is not None:
        return summary
    config: GenerateConfig = run.section("generate")
    prompts = run.require("prompts", "prompts")
    Gate.load(run.recipe.policy)
    folder = resolve_teacher(run.recipe.teacher.path, run.store)
    check_teacher(folder)
    fingerprint = teacher_fingerprint(folder)
    settings = PaintSettings(
        fingerprint, config.guidance_scale, config.num_inference_steps, config.scheduler, PICTURE_LICENCE
    )
    with ray_session(run.recipe.resources):
        counts = paint_set(
            run,
            progress,
            stage="generate",
            folder="samples",
            rejects="rejects/samples",
            total_rows=prompts["rows"] * config.images_per_prompt,
            shard_rows=config.shard_rows,
            row_source=PromptRows.of(run),
            painter=TeacherFactory(run.recipe.teacher.path, run.store, config, device(run)),
            settings=settings,
            image_format=config.image_format,
            gate=run.recipe.policy,
            tries=config.tries,
            on_shard=_Sheet(run.store),
        )
    _check_failures(run, counts)
    if not counts["accepted"]:
        raise UsageError(
            f"every picture of {run.uri} was refused ({counts['refused']}); look at rejects/samples, and mend the teacher"
        )
    contact_sheet(run.store, "samples")
    summary = counts | {
        "teacher": fingerprint,
        "teacher_path": run.recipe.teacher.path,
        "teacher_licence": run.recipe.teacher.licence,
        "licence": PICTURE_LICENCE,
    }
    run.finish("samples", summary)
    return summary


def _check_failures(run: Run, counts: Mapping[str, Any]) -> None:
    """Raises CjdError where more rows could not be painted than the recipe puts up with."""
    failed, total = counts["refused"].get(FAILED, 0), counts["rows"]
    if failed > run.section("generate").max_failed_share * total:
        raise CjdError(
            f"{failed} of {total} pictures of {run.uri} could not be painted; rejects/samples tells why (rule "
            f"{FAILED!r}). Delete the shards of samples/ that they belong to and run the same command again"
        )


def device(run: Run) -> str:
    """The torch device of a painting actor."""
    return "cuda" if run.recipe.resources.paint.gpus else "cpu"


@dataclass(frozen=True)
class TeacherFactory:
    """Makes the teacher's painter where it is called; picklable."""

    path: str
    store: Store
    config: GenerateConfig
    device: str

    def __call__(self) -> TeacherPainter:
        from cjd.teacher.folder import resolve_teacher
        from cjd.teacher.painter import TeacherPainter

        return TeacherPainter(Path(resolve_teacher(self.path, self.store)), self.config, self.device)


class PromptRows:
    """The rows of a samples shard, read from the one or two prompt shards that hold their prompts. Picklable."""

    def __init__(self, store: Store, prompts: Mapping[str, int], images_per_prompt: int, shard_rows: int) -> None:
        self.store = store
        self.prompts = dict(prompts)
        self.images_per_prompt = images_per_prompt
        self.shard_rows = shard_rows
        self._number = -1
        self._rows: list[dict[str, Any]] = []

    @classmethod
    def of(cls, run: Run) -> PromptRows:
        config: GenerateConfig = run.section("generate")
        made = run.require("prompts", "prompts")
        prompts = {"rows": made["rows"], "shard_rows": made["shard_rows"]}
        return cls(run.store, prompts, config.images_per_prompt, config.shard_rows)

    def __reduce__(self) -> tuple[Any, ...]:
        return PromptRows, (self.store, self.prompts, self.images_per_prompt, self.shard_rows)

    def __call__(self, number: int) -> Sequence[Mapping[str, Any]]:
        total = self.prompts["rows"] * self.images_per_prompt
        first = number * self.shard_rows
        rows = []
        for i in range(first, min(total, first + self.shard_rows)):
            prompt, index = divmod(i, self.images_per_prompt)
            rows.append({**self.prompt(prompt), "index": index})
        return rows

    def prompt_numbers(self, number: int) -> range:
        """The numbers of the prompts that a samples shard is made of."""
        total = self.prompts["rows"] * self.images_per_prompt
        first, last = number * self.shard_rows, min(total, (number + 1) * self.shard_rows) - 1
        return range(first // self.images_per_prompt, last // self.images_per_prompt + 1)

    def prompt(self, number: int) -> dict[str, Any]:
        """A prompt by its number in the run: {"prompt_id", "prompt", "attributes"}."""
        shard, row = divmod(number, self.prompts["shard_rows"])
        if shard != self._number:
            columns = ["prompt_id", "prompt", "attributes"]
            self._rows = read_shard(self.store, "prompts", shard, PROMPTS, columns).to_pylist()
            self._number = shard
        return self._rows[row]


class _Sheet:
    """The contact sheet while it fills: written anew at times, until it is full."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.full = False
        self.due = time.monotonic()

    def __call__(self) -> None:
        if not self.full and time.monotonic() >= self.due:
            self.full = contact_sheet(self.store, "samples") >= SHEET_PICTURES
            self.due = time.monotonic() + SHEET_PERIOD


def contact_sheet(store: Store, folder: str, column: str = "image", name: str = "contact-sheet.png") -> int:
    """The first pictures of a set on one sheet, for a person to look at; how many there are on it."""
    from cjd.images import decode, encode, grid

    pictures = []
    for number in shard_numbers(store, folder):
        table = read_shard(store, folder, number, SAMPLES, [column]).slice(0, SHEET_PICTURES - len(pictures))
        pictures += [decode(data) for data in table.column(column).to_pylist()]
        if len(pictures) == SHEET_PICTURES:
            break
    if pictures:
        store.write(f"{folder}/{name}", encode(grid(pictures, SHEET_COLUMNS)))
    return len(pictures)
