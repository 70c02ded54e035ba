"""A stage of the cascade as a task for the training loop.

Shape suffixes: B rows, C channels, H and W pixels, L tokens, D text width, T timesteps.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from cjd.config.recipe import Recipe, StageConfig, TrainConfig
from cjd.errors import UsageError
from cjd.images import grid
from cjd.seeds import RowRandom, derive_seed
from cjd.storage.store import Store
from cjd.student import diffusion, prepared
from cjd.student.export import export_stage
from cjd.student.sampling import sample, to_signed, to_uint8, upscale
from cjd.student.scheduler import noising_scheduler, sampling_scheduler
from cjd.student.unet import CHANNELS, build_unet, smallest_side

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

UNET = "unet."  # the objective's parameters are the U-Net's, under this
PREVIEW_ROWS = 8


@dataclass(frozen=True)
class StageTask:
    """Trains one stage on `prepared/samples`; exports it as a stock diffusers pipeline under `student/`."""

    store: Store
    recipe: Recipe
    stage_name: str
    text_folders: Callable[[], tuple[Path, Path]]  # finds tokenizer and frozen text encoder where it is called

    @property
    def stage(self) -> StageConfig:
        return self._stages[0]

    @property
    def lower(self) -> StageConfig | None:
        """The stage whose pictures this one enlarges; None for the base."""
        return self._stages[1]

    @property
    def _stages(self) -> tuple[StageConfig, StageConfig | None]:
        stages = self.recipe.student.stages if self.recipe.student else ()
        for before, stage in zip((None, *stages), stages, strict=False):
            if stage.name == self.stage_name:
                return stage, before
        names = ", ".join(s.name for s in stages) or "none"
        raise UsageError(f"recipe {self.recipe.name} has no student stage {self.stage_name!r}; its stages are: {names}")

    @property
    def name(self) -> str:
        return self.stage_name

    @property
    def dataset(self) -> str:
        return "samples"

    @property
    def columns(self) -> tuple[str, ...]:
        low = (f"image_{self.lower.size}",) if self.lower else ()
        return (f"image_{self.stage.size}", *low, "text")

    @property
    def config(self) -> TrainConfig:
        return self.stage.train

    def build(self) -> StageObjective:
        """The same weights for the same recipe and stage, whatever was drawn before."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(self.recipe.seed, "student", self.stage_name))
            unet = build_unet(self.stage, prepared.text_width(self.store), self.lower is not None)
        return StageObjective(self.stage, self.lower, unet)

    def preview(self, objective: nn.Module) -> np.ndarray | None:
        """Base: samples of the first rows' prompts. Super-resolution: low-res | output | truth, a row each."""
        columns = (*self.columns[:-1], "text")
        rows = prepared.first_rows(self.store, columns, PREVIEW_ROWS)
        unet: Any = objective.unet
        device = next(unet.parameters()).device
        text_BLD, null_LD = rows["text"].to(device), rows["text_null"].to(device)
        truth = rows[columns[0]]
        low = rows[columns[1]] if self.lower else None
        painted = to_uint8(
            sample(
                unet,
                sampling_scheduler(self.stage, self.lower is not None),
                self.stage.sampler,
                text_BLD,
                null_LD.expand_as(text_BLD),
                RowRandom([derive_seed("preview", i) for i in range(len(truth))], device),
                None if low is None else to_signed(low).to(device),
                noising_scheduler(),
            )
        )
        if low is None:
            return grid(list(painted), columns=4, cell=_cell(self.stage.size))
        shown = zip(
            *(x.permute(0, 2, 3, 1).numpy() for x in (low,)), painted, truth.permute(0, 2, 3, 1).numpy(), strict=True
        )
        return grid(list(itertools.chain.from_iterable(shown)), columns=6, cell=_cell(self.stage.size))

    def export(self, weights: Mapping[str, Tensor]) -> None:
        """Write `student/<stage>/`, replacing what is there."""
        unet = build_unet(self.stage, prepared.text_width(self.store), self.lower is not None)
        unet.load_state_dict({k.removeprefix(UNET): v for k, v in weights.items()}, strict=True)
        export_stage(self.store, self.stage, self.lower, unet, *self.text_folders())


class StageObjective(nn.Module):
    """batch → weighted squared error in v, one value per row. Its state dict is the U-Net's, under `unet.`."""

    alpha_bar_T: Tensor
    augmentation_alpha_bar_T: Tensor

    def __init__(self, stage: StageConfig, lower: StageConfig | None, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.stage = stage
        self.lower = lower
        self.unet = unet
        betas_T = diffusion.trained_betas(stage.size, stage.schedule_shift)
        self.register_buffer("alpha_bar_T", diffusion.alpha_bar_from_betas(betas_T), persistent=False)
        self.register_buffer("augmentation_alpha_bar_T", noising_scheduler().alphas_cumprod, persistent=False)
        check_sizes(stage, lower)

    def forward(self, batch: Mapping[str, Tensor], random: RowRandom) -> dict[str, Tensor]:
        """`batch`: the task's columns and `text_null` [L, D]. Returns "loss" [B] float32 and "timesteps" [B]."""
        x0_BCHW = to_signed(batch[f"image_{self.stage.size}"])
        text_BLD = self.drop_captions(batch["text"], batch["text_null"], random)
        low_BCHW, level_B = None, None
        if self.lower:
            low_BCHW = upscale(to_signed(batch[f"image_{self.lower.size}"]), self.stage.size)
            x0_BCHW, low_BCHW = self.crop(x0_BCHW, low_BCHW, random)
            level_B = random.integers(0, self.stage.max_noise_level + 1)
            noise_BCHW = random.normal(*low_BCHW.shape[1:])
            low_BCHW = diffusion.augment(low_BCHW, noise_BCHW, level_B, self.augmentation_alpha_bar_T)
        timesteps_B = random.integers(0, diffusion.TIMESTEPS)
        eps_BCHW = random.normal(*x0_BCHW.shape[1:])
        alpha_bar = diffusion.per_row(self.alpha_bar_T, timesteps_B, x0_BCHW.ndim)
        alpha, sigma = diffusion.alpha_sigma(alpha_bar)
        x_t_BCHW = diffusion.diffuse(x0_BCHW, eps_BCHW, alpha, sigma)
        v_BCHW = self.predict(x_t_BCHW, timesteps_B, text_BLD, low_BCHW, level_B)
        error_B = (v_BCHW.float() - diffusion.v_target(x0_BCHW, eps_BCHW, alpha, sigma)).square().flatten(1).mean(1)
        weight_B = diffusion.min_snr_weight(diffusion.signal_to_noise(alpha_bar.flatten()), self.stage.min_snr_gamma)
        return {"loss": weight_B * error_B, "timesteps": timesteps_B}

    def predict(
        self, x_t_BCHW: Tensor, timesteps_B: Tensor, text_BLD: Tensor, low_BCHW: Tensor | None, level_B: Tensor | None
    ) -> Tensor:
        """v [B, 3, H, W]: the first half of the output; the variance half gets no gradient."""
        input_BCHW = x_t_BCHW if low_BCHW is None else torch.cat([x_t_BCHW, low_BCHW], dim=1)
        output = self.unet(
            input_BCHW,
            timesteps_B,
            encoder_hidden_states=text_BLD,
            class_labels=level_B,
            return_dict=False,
        )[0]
        return output[:, :CHANNELS]

    def drop_captions(self, text_BLD: Tensor, null_LD: Tensor, random: RowRandom) -> Tensor:
        """Each row's caption becomes the empty one with probability `caption_dropout`."""
        dropped_B = random.uniform() < self.stage.caption_dropout
        return torch.where(dropped_B[:, None, None], null_LD, text_BLD)

    def crop(self, x_BCHW: Tensor, low_BCHW: Tensor, random: RowRandom) -> tuple[Tensor, Tensor]:
        """The same window of both, a row's own, its corner on a pixel of the low-resolution grid.

        The low-resolution picture was enlarged whole before: a crop then shows what sampling would.
        """
        side = self.stage.crop_size
        if side is None or self.lower is None:
            return x_BCHW, low_BCHW
        step = self.stage.size // self.lower.size
        corners_B2 = random.integers(0, (self.stage.size - side) // step + 1, 2) * step
        windows = [(slice(None), slice(y, y + side), slice(x, x + side)) for y, x in corners_B2.tolist()]
        return tuple(
            torch.stack([image[w] for image, w in zip(images, windows, strict=True)]) for images in (x_BCHW, low_BCHW)
        )  # type: ignore[return-value]


def check_sizes(stage: StageConfig, lower: StageConfig | None) -> None:
    """Raises UsageError unless the stage's sides divide as its levels and the stage below it need."""
    multiple = smallest_side(stage)
    for key, side in (("size", stage.size), ("crop_size", stage.crop_size)):
        if side is not None and side % multiple:
            raise UsageError(
                f"stage {stage.name}: {key} = {side} is not a multiple of {multiple}, which its {len(stage.unet.block_out_channels)} levels need"
            )
    if stage.crop_size is not None and stage.crop_size > stage.size:
        raise UsageError(f"stage {stage.name}: crop_size = {stage.crop_size} is larger than its size, {stage.size}")
    if lower and stage.size % lower.size:
        raise UsageError(
            f"stage {stage.name}: size = {stage.size} is not a multiple of {lower.size}, the size of {lower.name}"
        )


def _cell(size: int) -> int:
    """Small pictures are shown enlarged by a whole number."""
    return size * max(1, 96 // size)
