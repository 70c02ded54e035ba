"""The order of samples is a function, not a state: global sample i is the same row in every run.

Each epoch is a pseudo-random permutation of the rows, computed where it is asked (a Feistel network with
cycle walking; Black and Rogaway 2002), so a shuffle of any size takes no memory and resumes from a number.
"""

from __future__ import annotations

import numpy as np

from cjd.seeds import derive_seed

ROUNDS = 6


def rows_of(samples: np.ndarray, rows: int, seed: int) -> np.ndarray:
    """The row of each global sample number.

    Args:
        samples: int64 `[B]`, global sample numbers from 0; sample i belongs to epoch i // rows.
        rows: size of the data set.
        seed: another seed gives other permutations.

    Returns:
        int64 `[B]` in [0, rows); every epoch visits every row once.
    """
    if rows < 1:
        raise ValueError("a data set needs at least one row")
    samples = np.asarray(samples, np.int64)
    out = np.empty_like(samples)
    for epoch in np.unique(samples // rows):
        here = samples // rows == epoch
        out[here] = _permute((samples[here] % rows).astype(np.uint64), rows, derive_seed("order", seed, int(epoch)))
    return out


def _permute(x: np.ndarray, size: int, key: int) -> np.ndarray:
    half_bits = max(1, ((size - 1).bit_length() + 1) // 2)
    keys = [np.uint64(derive_seed(key, r)) for r in range(ROUNDS)]
    x = _feistel(x, half_bits, keys)
    while (outside := x >= size).any():  # the domain is at most four times the size: a few walks
        x[outside] = _feistel(x[outside], half_bits, keys)
    return x.astype(np.int64)


def _feistel(x: np.ndarray, half_bits: int, keys: list[np.uint64]) -> np.ndarray:
    bits, mask = np.uint64(half_bits), np.uint64((1 << half_bits) - 1)
    left, right = x >> bits, x & mask
    for key in keys:
        left, right = right, left ^ (_mix(right ^ key) & mask)
    return (left << bits) | right


def _mix(x: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64 (Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
