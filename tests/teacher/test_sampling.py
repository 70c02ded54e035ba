"""The sampler against a denoiser that is known in closed form: data N(mean, deviation²), entry by entry."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler

from cjd.storage import open_store
from cjd.teacher.build import build_scheduler, norm_groups
from cjd.teacher.sampling import denoise, sampler
from tests.teacher.small import small_recipe

MEAN, DEVIATION = 0.7, 0.5


class GaussianDenoiser:
    """E[v | x_t] or E[ε | x_t] for Gaussian data: what a perfectly trained U-Net answers."""

    dtype = torch.float32
    config = SimpleNamespace(in_channels=4)

    def __init__(self, schedule: DDPMScheduler) -> None:
        self.alphas_cumprod = schedule.alphas_cumprod.double()
        self.prediction_type = schedule.config["prediction_type"]

    def __call__(self, x, t, encoder_hidden_states, return_dict):
        alpha, sigma = self.alphas_cumprod[int(t)].sqrt(), (1 - self.alphas_cumprod[int(t)]).sqrt()
        variance = alpha**2 * DEVIATION**2 + sigma**2
        x0 = MEAN + alpha * DEVIATION**2 / variance * (x.double() - alpha * MEAN)
        epsilon = sigma / variance * (x.double() - alpha * MEAN)
        output = alpha * epsilon - sigma * x0 if self.prediction_type == "v_prediction" else epsilon
        return (output.float(),)


def ddpm(config: Any) -> Any:
    return DDPMScheduler.from_config(config, variance_type="fixed_small")


@pytest.mark.parametrize("name", ["dpmsolver++", "ddim"])
@pytest.mark.parametrize("prediction_type", ["v_prediction", "epsilon"])
def test_sampling_gives_the_data_back(tmp_path, name, prediction_type):
    config = build_scheduler(small_recipe(prediction_type=prediction_type), open_store(tmp_path)).config
    noise = torch.randn(64, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    text = torch.zeros(64, 77, 8)
    denoiser = GaussianDenoiser(ddpm(config))
    few, many = (denoise(denoiser, sampler(config, name), noise, text, text, n, guidance_scale=3.0) for n in (12, 50))
    for x in (few, many):
        assert x.mean().item() == pytest.approx(MEAN, abs=0.04)
    # The last step answers with an expectation, so few steps narrow the data; more steps mend it.
    assert 0.75 * DEVIATION < few.std().item() < many.std().item() < DEVIATION + 0.01
    assert many.std().item() == pytest.approx(DEVIATION, abs=0.04)


def test_unknown_sampler_is_named(tmp_path):
    with pytest.raises(ValueError, match="euler"):
        sampler(build_scheduler(small_recipe(), open_store(tmp_path)).config, "euler")


@pytest.mark.parametrize("channels", [(64, 96, 128), (8, 8), (3, 5), (320, 640, 1280)])
def test_groups_divide_every_width(channels):
    groups = norm_groups(channels)
    assert 1 <= groups <= 32 and all(c % groups == 0 for c in channels)


def test_a_used_scheduler_is_as_good_as_new(tmp_path):
    config = build_scheduler(small_recipe(), open_store(tmp_path)).config
    noise, text = torch.randn(2, 4, 8, 8), torch.zeros(2, 77, 8)
    denoiser = GaussianDenoiser(ddpm(config))
    scheduler = sampler(config, "dpmsolver++")
    first, second = (denoise(denoiser, scheduler, noise, text, text, 5, guidance_scale=1.0) for _ in range(2))
    assert torch.equal(first, second)


def test_guidance_in_an_interval_guides_only_those_steps(tmp_path):
    """Null and text answers differ by their context, so every guided step is seen in the number of rows asked."""
    config = build_scheduler(small_recipe(), open_store(tmp_path)).config
    asked: list[int] = []

    class Counting(GaussianDenoiser):
        def __call__(self, x, t, encoder_hidden_states, return_dict):
            asked.append(len(x))
            assert len(encoder_hidden_states) == len(x)
            return super().__call__(x, t, encoder_hidden_states, return_dict)

    noise, text = torch.randn(2, 4, 8, 8), torch.zeros(2, 77, 8)
    denoise(Counting(ddpm(config)), sampler(config, "ddim"), noise, text, text, 8, 3.0, (0.25, 0.75))
    assert asked == [2, 2, 4, 4, 4, 4, 2, 2]
    whole, none = (
        denoise(GaussianDenoiser(ddpm(config)), sampler(config, "ddim"), noise, text, text, 8, scale, interval)
        for scale, interval in ((3.0, (0.0, 0.0)), (1.0, (0.0, 1.0)))
    )
    assert torch.equal(whole, none)
