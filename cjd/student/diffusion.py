"""The mathematics of training: one function an equation, pure torch, no state.

Variance preserving: x_t = alpha_t x_0 + sigma_t eps with alpha_t² + sigma_t² = 1. Everything follows
from log-SNR = log(alpha_t² / sigma_t²).

Shape suffixes: B rows, T timesteps; `x`, `eps`, `v` are [B, ...]; `alpha`, `sigma` broadcast to them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

TIMESTEPS = 1000


def cosine_log_snr(t: Tensor, shift: float = 0.0, low: float = -15.0, high: float = 15.0) -> Tensor:
    """log-SNR of the cosine schedule at `t` in [0, 1], from `high + shift` down to `low + shift`.

    Hoogeboom et al. 2023, "simple diffusion" (arXiv 2301.11093), appendix A: the cosine's angle runs
    between the angles of the two bounds, so that no clamp has a corner.
    """
    first = math.atan(math.exp(-0.5 * high))
    last = math.atan(math.exp(-0.5 * low))
    return -2.0 * torch.log(torch.tan(first + t * (last - first))) + shift


def resolution_shift(size: int, reference: float | None) -> float:
    """2·log(reference / size): the schedule of `size` then destroys what it would at `reference` pixels.

    Hoogeboom et al. 2023, equation 3. None: no shift.
    """
    return 0.0 if reference is None else 2.0 * math.log(reference / size)


def alpha_bar_from_log_snr(log_snr: Tensor) -> Tensor:
    """alpha² = sigmoid(log-SNR) (Kingma et al. 2021, arXiv 2107.00630, section 3.1)."""
    return torch.sigmoid(log_snr)


def trained_betas(size: int, reference: float | None = None) -> Tensor:
    """The shifted cosine as betas [T], float32, each in (0, 1): alpha_bar[i] is the schedule at (i + 1) / T.

    The bound of -15 on the log-SNR leaves alpha = e^-7.5 at the last step: noise for every purpose, so
    sampling may start there from pure noise (what Lin et al. 2023, arXiv 2305.08891, ask for), and yet
    every sigma / alpha is finite and every beta is below 1. An exact zero would need a scheduler's special
    case (`rescale_betas_zero_snr`), in which training and sampling schedules differ at the last step.
    """
    t_T = torch.arange(1, TIMESTEPS + 1, dtype=torch.float64) / TIMESTEPS
    alpha_bar_T = alpha_bar_from_log_snr(cosine_log_snr(t_T, resolution_shift(size, reference)))
    before_T = torch.cat([torch.ones(1, dtype=torch.float64), alpha_bar_T[:-1]])
    return (1.0 - alpha_bar_T / before_T).float()


def alpha_bar_from_betas(betas_T: Tensor) -> Tensor:
    """The running product of 1 - beta (Ho et al. 2020, equation 4), in the schedulers' own arithmetic."""
    return torch.cumprod(1.0 - betas_T, dim=0)


def alpha_sigma(alpha_bar: Tensor) -> tuple[Tensor, Tensor]:
    """(alpha, sigma) with alpha² = alpha_bar and alpha² + sigma² = 1."""
    return alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt()


def signal_to_noise(alpha_bar: Tensor) -> Tensor:
    """SNR = alpha² / sigma²."""
    return alpha_bar / (1.0 - alpha_bar)


def diffuse(x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """x_t = alpha x_0 + sigma eps."""
    return alpha * x0 + sigma * eps


def v_target(x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """v = alpha eps - sigma x_0 (Salimans & Ho 2022, arXiv 2202.00512, appendix D)."""
    return alpha * eps - sigma * x0


def x0_from_v(x_t: Tensor, v: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """x_0 = alpha x_t - sigma v (the same appendix)."""
    return alpha * x_t - sigma * v


def eps_from_v(x_t: Tensor, v: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """eps = sigma x_t + alpha v (the same appendix)."""
    return sigma * x_t + alpha * v


def min_snr_weight(snr: Tensor, gamma: float) -> Tensor:
    """min(SNR, gamma) / (SNR + 1), the weight of the squared error in v; in [0, 1). 0: unweighted.

    Hang et al. 2023 (arXiv 2303.09556): min(SNR, gamma) in x_0, and an error in v counts SNR + 1 times.
    """
    return torch.ones_like(snr) if gamma == 0 else snr.clamp(max=gamma) / (snr + 1.0)


def guide(unconditional: Tensor, conditional: Tensor, guidance_scale: float) -> Tensor:
    """Classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598); 1: the conditional prediction."""
    return unconditional + guidance_scale * (conditional - unconditional)


def augment(low: Tensor, noise: Tensor, level_B: Tensor, alpha_bar_T: Tensor) -> Tensor:
    """Noise-conditioning augmentation of the low-resolution input, one level a row.

    Ho et al. 2021, "Cascaded Diffusion Models" (arXiv 2106.15282), section 4.2. `level_B` are timesteps of
    `alpha_bar_T`; the model is told the level.
    """
    alpha, sigma = alpha_sigma(per_row(alpha_bar_T, level_B, low.ndim))
    return diffuse(low, noise, alpha, sigma)


def dynamic_threshold(x0: Tensor, ratio: float = 0.995, maximum: float = 1.5) -> Tensor:
    """Clip each picture to its own `ratio` quantile s, held in [1, maximum], and divide by s; in [-1, 1].

    Saharia et al. 2022, "Imagen" (arXiv 2205.11487), section 2.3. Sampling uses the scheduler's own.
    """
    s_B = torch.quantile(x0.abs().flatten(1), ratio, dim=1).clamp(1.0, maximum)
    s = s_B.view(-1, *[1] * (x0.ndim - 1))
    return x0.clamp(-s, s) / s


def per_row(values_T: Tensor, index_B: Tensor, ndim: int) -> Tensor:
    """values_T[index_B] as [B, 1, …] with `ndim` dimensions."""
    return values_T[index_B].view(-1, *[1] * (ndim - 1))
