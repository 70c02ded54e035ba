"""The schedulers that a stage is sampled with, as stock diffusers objects whose configs are saved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cjd.config.recipe import StageConfig
from cjd.student.diffusion import TIMESTEPS, trained_betas

if TYPE_CHECKING:
    from diffusers import DDPMScheduler, DPMSolverMultistepScheduler


def sampling_scheduler(stage: StageConfig, super_resolution: bool) -> DPMSolverMultistepScheduler:
    """DPM-Solver++(2M) on the stage's own betas, v-prediction, no learned variance.

    Trailing spacing starts at the last timestep, the only one that is pure noise (Lin et al. 2023). The base
    thresholds dynamically up to 1.5 as IF does, for guidance; super-resolution clips plainly, so that
    it keeps the colours of its input.
    """
    from diffusers import DPMSolverMultistepScheduler

    return DPMSolverMultistepScheduler(
        num_train_timesteps=TIMESTEPS,
        trained_betas=trained_betas(stage.size, stage.schedule_shift).tolist(),
        prediction_type="v_prediction",
        algorithm_type="dpmsolver++",
        solver_order=2,
        timestep_spacing="trailing",
        thresholding=True,
        dynamic_thresholding_ratio=0.995,
        sample_max_value=1.0 if super_resolution else 1.5,
    )


def noising_scheduler() -> DDPMScheduler:
    """The noise on the low-resolution input, by level in [0, 1000): the plain cosine, as IF's own."""
    from diffusers import DDPMScheduler

    return DDPMScheduler(num_train_timesteps=TIMESTEPS, beta_schedule="squaredcos_cap_v2")
