"""The sampler: one micro-batch through one stage, in the stock pipelines' order of arithmetic.

Shape suffixes: B rows, C channels, H and W pixels, L tokens, D text width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cjd.seeds import RowRandom
from cjd.student.diffusion import guide
from cjd.student.unet import CHANNELS

if TYPE_CHECKING:
    from cjd.config.recipe import SamplerConfig


def to_signed(image: Tensor) -> Tensor:
    """uint8 [0, 255] → float32 [-1, 1]."""
    return image.float() / 127.5 - 1.0


def to_uint8(x_BCHW: Tensor) -> np.ndarray:
    """[-1, 1] → uint8 [B, H, W, C], rounded as diffusers rounds for PIL."""
    image = (x_BCHW / 2 + 0.5).clamp(0, 1).cpu().permute(0, 2, 3, 1).float().numpy()
    return (image * 255).round().astype("uint8")


def upscale(low_BCHW: Tensor, size: int) -> Tensor:
    """Bilinear, corners aligned: what `IFSuperResolutionPipeline` does to its input."""
    return F.interpolate(low_BCHW, (size, size), mode="bilinear", align_corners=True)


@torch.no_grad()
def sample(
    unet: Any,  # UNet2DConditionModel
    scheduler: Any,  # its config is read, its state is not touched
    settings: SamplerConfig,
    text_BLD: Tensor,
    null_BLD: Tensor,  # the negative prompts; read where guidance_scale > 1
    random: RowRandom,  # draws the first noise, then (super-resolution) the input's noise
    low_BCHW: Tensor | None = None,  # [-1, 1]; None for the base
    noising: Any = None,  # the scheduler of the low-resolution noise
) -> Tensor:
    """[B, 3, S, S] in [-1, 1], float32, S the U-Net's sample_size."""
    size = unet.config.sample_size
    guided = settings.guidance_scale > 1.0
    scheduler = type(scheduler).from_config(scheduler.config)
    scheduler.set_timesteps(settings.num_inference_steps, device=text_BLD.device)
    context_BLD = torch.cat([null_BLD, text_BLD]) if guided else text_BLD
    x_BCHW = random.normal(CHANNELS, size, size) * scheduler.init_noise_sigma
    extra: dict[str, Any] = {}
    upscaled_BCHW = None
    if low_BCHW is not None:
        upscaled_BCHW, level_B = _noisy_input(upscale(low_BCHW, size), settings.noise_level, random, noising)
        extra = {"class_labels": torch.cat([level_B] * 2) if guided else level_B}
    for t in scheduler.timesteps:
        input_BCHW = x_BCHW if upscaled_BCHW is None else torch.cat([x_BCHW, upscaled_BCHW], dim=1)
        input_BCHW = torch.cat([input_BCHW] * 2) if guided else input_BCHW
        v_BCHW = unet(input_BCHW, t, encoder_hidden_states=context_BLD, return_dict=False, **extra)[0][:, :CHANNELS]
        if guided:
            v_BCHW = guide(*v_BCHW.chunk(2), settings.guidance_scale)
        x_BCHW = scheduler.step(v_BCHW, t, x_BCHW, return_dict=False)[0]
    return x_BCHW


def _noisy_input(upscaled_BCHW: Tensor, level: int, random: RowRandom, noising: Any) -> tuple[Tensor, Tensor]:
    level_B = torch.full((len(upscaled_BCHW),), level, device=upscaled_BCHW.device)
    noise_BCHW = random.normal(*upscaled_BCHW.shape[1:])
    return noising.add_noise(upscaled_BCHW, noise_BCHW, timesteps=level_B), level_B
