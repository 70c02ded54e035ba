import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cjd.student import diffusion
from cjd.student.scheduler import sampling_scheduler
from tests.student.conftest import stage_of

STAGES = [(16, None), (16, 64.0), (32, 64.0), (64, 32.0), (64, None), (256, 64.0), (1024, 32.0)]
ANGLES = st.floats(0.01, math.pi / 2 - 0.01)


def schedule(size, reference):
    return diffusion.alpha_bar_from_betas(diffusion.trained_betas(size, reference))


@pytest.mark.parametrize(("size", "reference"), STAGES)
def test_the_schedule_falls_from_signal_to_noise(size, reference):
    betas = diffusion.trained_betas(size, reference)
    alpha_bar = schedule(size, reference)
    assert len(betas) == diffusion.TIMESTEPS and bool(((betas > 0) & (betas < 1)).all())
    assert bool((alpha_bar[1:] < alpha_bar[:-1]).all())
    shift = diffusion.resolution_shift(size, reference)
    log_snr = diffusion.signal_to_noise(alpha_bar.double()).log()
    assert log_snr[-1] == pytest.approx(-15 + shift, abs=0.05)
    assert 12 + shift < log_snr[0] < 14 + shift
    assert torch.isfinite(log_snr).all()


@pytest.mark.parametrize(("size", "reference"), STAGES)
def test_variance_is_preserved(size, reference):
    alpha, sigma = diffusion.alpha_sigma(schedule(size, reference))
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(alpha))


def test_the_cosine_reaches_its_bounds_and_is_even():
    t = torch.linspace(0, 1, 101, dtype=torch.float64)
    log_snr = diffusion.cosine_log_snr(t)
    assert log_snr[0] == pytest.approx(15) and log_snr[-1] == pytest.approx(-15)
    torch.testing.assert_close(log_snr, -log_snr.flip(0), rtol=0, atol=1e-8)


def test_the_shift_is_four_times_the_snr_for_half_the_side():
    ratio = diffusion.signal_to_noise(schedule(32, 64.0).double()) / diffusion.signal_to_noise(
        schedule(64, 64.0).double()
    )
    torch.testing.assert_close(ratio[100:], torch.full_like(ratio[100:], 4.0), rtol=1e-3, atol=0)


@settings(max_examples=50, deadline=None)
@given(angle=ANGLES, seed=st.integers(0, 1000))
def test_v_is_undone(angle, seed):
    alpha, sigma = torch.tensor(math.cos(angle)).double(), torch.tensor(math.sin(angle)).double()
    x0, eps = torch.randn(2, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    x_t, v = diffusion.diffuse(x0, eps, alpha, sigma), diffusion.v_target(x0, eps, alpha, sigma)
    torch.testing.assert_close(diffusion.x0_from_v(x_t, v, alpha, sigma), x0)
    torch.testing.assert_close(diffusion.eps_from_v(x_t, v, alpha, sigma), eps)


def test_the_weight_is_bounded_and_gamma_zero_is_unweighted():
    snr = torch.logspace(-7, 7, 200, dtype=torch.float64)
    weight = diffusion.min_snr_weight(snr, 5.0)
    assert bool(((weight > 0) & (weight <= 5 / 6 + 1e-9)).all())
    assert snr[weight.argmax()] == pytest.approx(5.0, rel=0.1)
    assert bool((diffusion.min_snr_weight(snr, 0.0) == 1).all())
    torch.testing.assert_close(weight * (snr + 1), snr.clamp(max=5.0))


def test_guidance_of_one_is_the_conditional_and_of_zero_the_unconditional():
    a, b = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(diffusion.guide(a, b, 1.0), b)
    torch.testing.assert_close(diffusion.guide(a, b, 0.0), a)


def test_augmentation_has_a_level_a_row():
    alpha_bar = schedule(64, None)
    low, noise = torch.ones(3, 3, 4, 4), torch.zeros(3, 3, 4, 4)
    out = diffusion.augment(low, noise, torch.tensor([0, 500, 999]), alpha_bar)
    assert out[0].mean() > 0.999 and 0.6 < out[1].mean() < 0.8 and out[2].mean() < 0.01
    assert bool((out.flatten(1).std(1) == 0).all())


def test_dynamic_thresholding_is_the_schedulers_own():
    stage = stage_of("base")
    x0 = 2 * torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    x0[0] /= 100
    ours = diffusion.dynamic_threshold(x0)
    torch.testing.assert_close(ours, sampling_scheduler(stage, False)._threshold_sample(x0))
    torch.testing.assert_close(ours[0], x0[0])
    assert ours.abs().max() <= 1


def test_training_and_sampling_share_one_schedule():
    for name in ("base", "sr-16"):
        stage = stage_of(name)
        scheduler = sampling_scheduler(stage, name != "base")
        assert torch.equal(scheduler.alphas_cumprod, schedule(stage.size, stage.schedule_shift))


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 10, 12, 14, 20, 25, 28, 50, 100])
def test_a_perfect_model_is_sampled_to_its_picture(steps):
    """With the exact v of one fixed picture, the solver ends on that picture, whatever the number of steps."""
    stage = stage_of("base")
    scheduler = sampling_scheduler(stage, False)
    scheduler.set_timesteps(steps)
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(1, 3, 8, 8, generator=generator) * 2 - 1
    x = torch.randn(1, 3, 8, 8, generator=generator)
    assert scheduler.timesteps[0] == diffusion.TIMESTEPS - 1 and len(scheduler.timesteps) == steps
    for t in scheduler.timesteps:
        alpha, sigma = diffusion.alpha_sigma(scheduler.alphas_cumprod[t])
        v = diffusion.v_target(truth, (x - alpha * truth) / sigma, alpha, sigma)
        x = scheduler.step(v, t, x, return_dict=False)[0]
    torch.testing.assert_close(x, truth, rtol=0, atol=1e-3)
