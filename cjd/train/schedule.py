"""Learning rate and EMA decay as pure functions of progress."""

from __future__ import annotations

import math

from cjd.config.recipe import TrainConfig


def learning_rate(config: TrainConfig, samples: int) -> float:
    """Linear warm-up from 0, then constant, or a half cosine to a hundredth of the peak at the end."""
    if samples < config.warmup_samples:
        return config.learning_rate * (samples + config.batch_size) / (config.warmup_samples + config.batch_size)
    if config.lr_schedule == "constant":
        return config.learning_rate
    span = max(1, config.samples - config.warmup_samples)
    progress = min(1.0, (samples - config.warmup_samples) / span)
    return config.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


def ema_decay(config: TrainConfig, step: int) -> float:
    """Shorter while training is young: min(decay, (1 + step) / (10 + step))."""
    return min(config.ema_decay, (1 + step) / (10 + step))
