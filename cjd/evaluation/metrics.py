"""The numbers: attribute accuracy, Fréchet and kernel distances, consistency of super-resolution."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cjd.images import resize

if TYPE_CHECKING:
    from cjd.evaluation.judge import Judge

RATIO_BAR = 0.90  # student's mean attribute accuracy over its teacher's, at least
CONSISTENCY_BAR = 25.0  # dB, each super-resolution stage, at least
QUANTISATION = 1 / 12  # mean squared error of rounding to whole numbers: nothing finer can be told from 8 bits
KID_SUBSETS, KID_SUBSET_SIZE = 50, 100


def accuracy_table(counts: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    """{"attribute_accuracy": mean over attributes, "attributes": {name: {accuracy, hits, asked}}}."""
    rows = {
        name: {"accuracy": hits / asked, "hits": hits, "asked": asked}
        for name, (hits, asked) in counts.items()
        if asked
    }
    mean = float(np.mean([row["accuracy"] for row in rows.values()])) if rows else 0.0
    return {"attribute_accuracy": mean, "attributes": rows}


def consistency_psnr(outputs_NHWC: np.ndarray, low_resolution_NHWC: np.ndarray) -> float:
    """How well a stage keeps to what it was given: mean over pictures of the PSNR, in dB, between the
    output shrunk by a box filter and its low-resolution input; both uint8, the peak is 255.

    An error below that of rounding to 8 bits counts as that (58.9 dB), so the mean stays finite.
    """
    side = low_resolution_NHWC.shape[1]
    small = np.stack([_shrink(image, side) for image in outputs_NHWC])
    mse_N = ((small - low_resolution_NHWC.astype(np.float64)) ** 2).mean(axis=(1, 2, 3))
    return float(np.mean(10 * np.log10(255**2 / np.maximum(mse_N, QUANTISATION))))


def _shrink(image_HWC: np.ndarray, side: int) -> np.ndarray:
    """Box filter, without rounding where the factor is whole."""
    factor, rest = divmod(image_HWC.shape[0], side)
    if rest:
        return resize(image_HWC, side).astype(np.float64)
    return image_HWC.reshape(side, factor, side, factor, 3).astype(np.float64).mean(axis=(1, 3))


def distances(judge: Judge, reference_NHWC: np.ndarray, pictures_NHWC: np.ndarray) -> dict[str, float]:
    """Fréchet (arXiv 1706.08500) and kernel (arXiv 1801.01401) distance of two sets of uint8 pictures, with
    the judge's features in place of Inception's: to be compared within one judge, never with other tables.

    Row i of both sets has the same prompt. The kernel distance takes even rows of one set and odd rows of
    the other, because its estimator is unbiased only for sets drawn apart; it is the mean over seeded subsets.
    Returns {"fid", "kid"}. Raises ValueError for fewer than four pictures.
    """
    import torch
    from torch import nn
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.kid import KernelInceptionDistance

    class Encoder(nn.Module):
        num_features = judge.num_features

        def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
            return judge.features(x_BCHW)

    half = min(len(reference_NHWC), len(pictures_NHWC)) // 2
    if half < 2:
        raise ValueError("distances need at least four pictures in each set")
    encoder = Encoder()
    fid = FrechetInceptionDistance(feature=encoder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it says that it keeps all features; that is meant here
        kid = KernelInceptionDistance(feature=encoder, subsets=KID_SUBSETS, subset_size=min(KID_SUBSET_SIZE, half))
    with torch.inference_mode(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for first, images, real in ((0, reference_NHWC, True), (1, pictures_NHWC, False)):
            x_BCHW = judge.prepare(images)
            for batch in x_BCHW.split(64):
                fid.update(batch, real=real)
            for batch in x_BCHW[first::2].split(64):
                kid.update(batch, real=real)
        return {"fid": max(0.0, float(fid.compute())), "kid": float(kid.compute()[0])}


def bars(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each measured bar: what, the value, what it must reach, whether it does."""
    rows = [("student accuracy ÷ teacher accuracy", metrics["student"]["ratio"], RATIO_BAR, "")]
    rows += [
        (f"{name} consistency", stage["consistency_psnr"], CONSISTENCY_BAR, " dB")
        for name, stage in metrics["stages"].items()
        if "consistency_psnr" in stage
    ]
    return [
        {"what": what, "value": value, "bar": bar, "unit": unit, "met": value >= bar} for what, value, bar, unit in rows
    ]
