"""Request → pictures, without Ray and without HTTP: the gate, the cascade, the gate again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cjd.errors import PolicyError
from cjd.serving.schemas import PictureRequest, RequestError

if TYPE_CHECKING:
    from cjd.policy import Gate
    from cjd.storage import Run
    from cjd.student.cascade import Cascade

MICRO_BATCH = 4  # pictures at once, alone or in company: the same kernels, so the same bits


@dataclass(frozen=True)
class Job:
    """One picture to paint. `size`: pixels a side of the stage whose picture is wanted, None for the last."""

    prompt: str
    negative_prompt: str
    seed: int
    guidance_scale: float | None
    num_inference_steps: int | None
    size: int | None


@dataclass(frozen=True)
class Picture:
    """`image_HWC` is uint8; scale and steps are those of the base as used; `student` is its fingerprint."""

    job: Job
    image_HWC: np.ndarray
    guidance_scale: float
    num_inference_steps: int
    student: str

    @property
    def seed(self) -> int:
        return self.job.seed


@dataclass(frozen=True)
class Refusal:
    """Why the policy keeps a picture back. Travels between processes as a value."""

    rule: str
    what: str  # "prompt" | "picture"

    def error(self) -> PolicyError:
        return PolicyError(
            f"the {self.what} was refused by policy (rule {self.rule!r}); change the prompt and try again"
        )


def jobs_of(request: PictureRequest) -> list[Job]:
    """One job a picture."""
    settings = (request.guidance_scale, request.num_inference_steps, request.size)
    return [Job(request.prompt, request.negative_prompt, seed, *settings) for seed in request.seeds()]


class PictureService:
    """A cascade behind a gate."""

    def __init__(self, cascade: Cascade, gate: Gate) -> None:
        self.cascade = cascade
        self.gate = gate

    @property
    def sizes(self) -> list[int]:
        """Pixels a side that can be asked for, rising; the last is the student's own."""
        return [stage.size for stage in self.cascade.stages]

    def paint(self, request: PictureRequest) -> list[Picture]:
        """Raises PolicyError when the prompt or one of the pictures is refused, RequestError for a foreign size."""
        results = self.paint_jobs(jobs_of(request))
        for result in results:
            if isinstance(result, Refusal):
                raise result.error()
        return [result for result in results if isinstance(result, Picture)]

    def paint_jobs(self, jobs: Sequence[Job]) -> list[Picture | Refusal]:
        """Any mixture of jobs; those with equal settings are painted together. One result a job, in order."""
        results: dict[int, Picture | Refusal] = {}
        groups: dict[tuple[float | None, int | None], list[int]] = {}
        for i, job in enumerate(jobs):
            check_size(job.size, self.sizes)
            refusal = self._screen(job.prompt)
            if refusal:
                results[i] = refusal
            else:
                groups.setdefault((job.guidance_scale, job.num_inference_steps), []).append(i)
        for members in groups.values():
            results.update(zip(members, self._paint_together([jobs[i] for i in members]), strict=True))
        return [results[i] for i in range(len(jobs))]

    def _screen(self, prompt: str) -> Refusal | None:
        verdict = self.gate.text(prompt)
        return None if verdict.ok else Refusal(verdict.rule or "unknown", "prompt")

    def _paint_together(self, jobs: list[Job]) -> list[Picture | Refusal]:
        base = self.cascade.stages[0].sampler
        scale, steps = jobs[0].guidance_scale, jobs[0].num_inference_steps
        stages = self.cascade.paint(
            [job.prompt for job in jobs],
            [job.seed for job in jobs],
            negative_prompts=[job.negative_prompt for job in jobs],
            guidance_scale=scale,
            num_inference_steps=steps,
        )
        names = {stage.size: stage.name for stage in self.cascade.stages}
        used_scale = base.guidance_scale if scale is None else scale
        results: list[Picture | Refusal] = []
        for i, job in enumerate(jobs):
            image = stages[names[job.size or self.sizes[-1]]][i]
            verdict = self.gate.image(image)
            if verdict.ok:
                picture = Picture(job, image, used_scale, steps or base.num_inference_steps, self.cascade.fingerprint)
                results.append(picture)
            else:
                results.append(Refusal(verdict.rule or "unknown", "picture"))
        return results


def check_size(size: int | None, sizes: Sequence[int]) -> None:
    """Raises RequestError that names the sizes there are."""
    if size is not None and size not in sizes:
        valid = ", ".join(f"{s}x{s}" for s in reversed(sizes))
        raise RequestError(f"size {size}x{size} is not one of this student's: {valid}, auto", "size", "invalid_size")


def load_service(run: Run, device: str = "cpu") -> PictureService:
    """The service of a finished run. Raises UsageError when it has no student yet."""
    import torch

    from cjd.errors import UsageError
    from cjd.policy import Gate
    from cjd.student.cascade import Cascade

    if not run.store.exists("student/cascade.json"):
        raise UsageError(
            f"{run.uri} has no student yet; first run: cjd train {run.uri} (cjd status {run.uri} tells how far it is)"
        )
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"device {device!r} cannot be used here ({str(error).splitlines()[0]}); try --device cpu"
        ) from None
    cascade = Cascade.load(run.store.local("student"), device, micro_batch_size=MICRO_BATCH)
    return PictureService(cascade, Gate.load(run.recipe.policy))
