"""The whole student as one painter: prompts and seeds in, every stage's pictures out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cjd.config.recipe import SamplerConfig
from cjd.errors import CjdError, UsageError
from cjd.seeds import RowRandom, derive_seed
from cjd.student.export import CASCADE
from cjd.student.sampling import sample, to_signed, to_uint8
from cjd.text.encoder import TextEncoder

OnStage = Callable[[str, np.ndarray], None]


@dataclass(frozen=True)
class Stage:
    """A loaded stage. `noising` is None for the base."""

    name: str
    size: int
    sampler: SamplerConfig
    unet: Any
    scheduler: Any
    noising: Any


class Cascade:
    """A painter: a row's pictures depend on its prompt, its seed and the settings, on no batch mate.

    Micro-batches have one size, the last one filled by repeating rows, because libraries choose their
    kernels by the batch's size. Stages hand over uint8 pictures, as they are shown and as they were trained on.
    """

    def __init__(
        self, stages: Sequence[Stage], text: TextEncoder, fingerprint: str, device: str, micro_batch_size: int
    ) -> None:
        self.stages = list(stages)
        self.text = text
        self.fingerprint = fingerprint
        self.device = torch.device(device)
        self.micro_batch_size = micro_batch_size

    @property
    def size(self) -> int:
        """Pixels a side of the last stage's pictures."""
        return self.stages[-1].size

    @classmethod
    def load(cls, folder: Path, device: str = "cpu", micro_batch_size: int = 16) -> Cascade:
        """Load a `student/` folder. Raises UsageError when it is none."""
        folder = Path(folder)
        entries = _read_index(folder)
        stages = [_load_stage(folder, entry, first=i == 0, device=device) for i, entry in enumerate(entries)]
        base = folder / stages[0].name
        text = TextEncoder.load(base / "tokenizer", base / "text_encoder", device)
        return cls(stages, text, student_fingerprint(folder), device, micro_batch_size)

    def embed(self, prompts: Sequence[str]) -> None:
        """Nothing: `paint` encodes what it is given, and the stages share it."""

    @torch.no_grad()
    def paint(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        negative_prompts: Sequence[str] | None = None,  # one a prompt; None: the empty prompt
        guidance_scale: float | None = None,  # of the base; None: what the student was made with
        num_inference_steps: int | None = None,  # of the base; None: what the student was made with
        on_stage: OnStage | None = None,  # called with each stage's name and pictures as they are done
    ) -> dict[str, np.ndarray]:
        """{"image": uint8 [N, S, S, 3], and under each stage's name its own pictures}.

        `guidance_scale` and `num_inference_steps` are the base's: the other stages keep their own.
        """
        if len(seeds) != len(prompts) or (negative_prompts is not None and len(negative_prompts) != len(prompts)):
            raise ValueError(f"paint needs one seed and one negative prompt for each of {len(prompts)} prompts")
        if not prompts:
            return {
                name: np.zeros((0, s, s, 3), np.uint8)
                for name, s in [*((s.name, s.size) for s in self.stages), ("image", self.size)]
            }
        text_NLD = self._encode(prompts)
        null_NLD = (
            self._encode([""] * self.micro_batch_size)[:1].expand_as(text_NLD)
            if negative_prompts is None
            else self._encode(negative_prompts)
        )
        pictures: dict[str, np.ndarray] = {}
        low: np.ndarray | None = None
        for i, stage in enumerate(self.stages):
            asked = {"guidance_scale": guidance_scale, "num_inference_steps": num_inference_steps} if i == 0 else {}
            settings = stage.sampler.model_copy(update={k: v for k, v in asked.items() if v is not None})
            low = pictures[stage.name] = self._paint_stage(stage, settings, text_NLD, null_NLD, seeds, low)
            if on_stage is not None:
                on_stage(stage.name, low)
        return {**pictures, "image": pictures[self.stages[-1].name]}

    def _paint_stage(
        self,
        stage: Stage,
        settings: SamplerConfig,
        text_NLD: Tensor,
        null_NLD: Tensor,
        seeds: Sequence[int],
        low: np.ndarray | None,
    ) -> np.ndarray:
        done = []
        for rows, kept in self._micro_batches(len(seeds)):
            low_BCHW = (
                None if low is None else to_signed(torch.from_numpy(low[rows]).permute(0, 3, 1, 2)).to(self.device)
            )
            random = RowRandom([derive_seed(seeds[r], stage.name) for r in rows], self.device)
            x = sample(
                stage.unet, stage.scheduler, settings, text_NLD[rows], null_NLD[rows], random, low_BCHW, stage.noising
            )
            done.append(to_uint8(x)[:kept])
        return np.concatenate(done)

    def _encode(self, prompts: Sequence[str]) -> Tensor:
        parts = [
            self.text.encode([prompts[r] for r in rows])[:kept] for rows, kept in self._micro_batches(len(prompts))
        ]
        return torch.cat(parts).to(self.device)

    def _micro_batches(self, count: int) -> list[tuple[list[int], int]]:
        """(row numbers, always `micro_batch_size` of them; how many of them are new)."""
        size = self.micro_batch_size
        starts = range(0, count, size)
        return [([min(r, count - 1) for r in range(start, start + size)], min(size, count - start)) for start in starts]


def student_fingerprint(folder: Path) -> str:
    """Sixteen hex digits over every safetensors and json file below the folder, names and contents."""
    digest = hashlib.sha256()
    for file in sorted(
        p for p in folder.rglob("*") if p.suffix in (".safetensors", ".json") and not p.name.startswith((".", "_"))
    ):
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0")
        with open(file, "rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:16]


def _read_index(folder: Path) -> list[dict[str, Any]]:
    file = folder / CASCADE
    if not file.is_file():
        raise UsageError(
            f"{folder} is not a student (it has no {CASCADE}); make one with: cjd distill RUN, and name RUN/student"
        )
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))["stages"]
        [(e["name"], e["size"], SamplerConfig(**_settings(e))) for e in entries]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{file} is not a cascade that this program wrote ({type(error).__name__}); export the student again"
        ) from None
    for entry in entries:
        if not (folder / entry["name"] / "model_index.json").is_file():
            raise UsageError(
                f"{folder} is not a whole student (it has no {entry['name']}/model_index.json); copy it again, or run: cjd train RUN"
            )
    return entries


def _settings(entry: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in entry.items() if k not in ("name", "size")}


def _load_stage(folder: Path, entry: dict[str, Any], first: bool, device: str) -> Stage:
    from diffusers import DDPMScheduler, DPMSolverMultistepScheduler, UNet2DConditionModel

    here = folder / entry["name"]
    try:
        unet: Any = UNet2DConditionModel.from_pretrained(here / "unet", use_safetensors=True)
        scheduler = DPMSolverMultistepScheduler.from_pretrained(here / "scheduler")
        noising = None if first else DDPMScheduler.from_pretrained(here / "image_noising_scheduler")
    except (OSError, ValueError) as error:
        raise CjdError(
            f"{here} does not load ({str(error).splitlines()[0]}); copy the student again, or run: cjd train RUN"
        ) from error
    unet = unet.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)
    return Stage(entry["name"], entry["size"], SamplerConfig(**_settings(entry)), unet, scheduler, noising)
