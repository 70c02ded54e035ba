"""Prompt logs → the prompts that people are likely to use: cleaned, counted, near copies merged, drawn by frequency.

Shapes: N prompts, P = 64 permutations, S bands.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from cjd.errors import UsageError
from cjd.prompts.normalise import normalise

PERMUTATIONS, BAND_ROWS = 64, 4
DROPPED = ("empty", "short", "long", "unsafe")  # besides the policy's own rules

Refuse = Callable[[str], str | None]  # a normalised prompt -> the rule that refuses it, or None


def clean(
    rows: Iterable[Mapping[str, Any]], column: str, limits: Mapping[str, float], min_chars: int, refuse: Refuse
) -> tuple[Counter[str], Counter[str]]:
    """(normalised prompt -> times seen, rule -> rows dropped by it).

    `limits`: column -> the largest value that is kept, as `prompt_nsfw` of DiffusionDB; a row without a number
    there is dropped as "unsafe".
    """
    seen: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    verdicts: dict[str, str | None] = {}
    for row in rows:
        text = row[column]
        if not isinstance(text, str):
            dropped["empty"] += 1
            continue
        if any(not _at_most(row.get(name), limit) for name, limit in limits.items()):
            dropped["unsafe"] += 1
            continue
        if text not in verdicts:
            verdicts[text] = _judge(text, min_chars, refuse)
        rule = verdicts[text]
        if rule is None:
            seen[normalise(text)] += 1
        else:
            dropped[rule] += 1
    return seen, dropped


def _judge(text: str, min_chars: int, refuse: Refuse) -> str | None:
    try:
        prompt = normalise(text)
    except UsageError:
        return "long"
    if not prompt:
        return "empty"
    return "short" if len(prompt) < min_chars else refuse(prompt)


def _at_most(value: Any, limit: float) -> bool:
    return isinstance(value, int | float) and value <= limit  # NaN is not


def shingles(prompt: str) -> list[str]:
    """The pairs of neighbouring words, without case and punctuation; a lone word is itself."""
    words = "".join(c if c.isalnum() else " " for c in prompt.casefold()).split()
    return [f"{a} {b}" for a, b in pairwise(words)] or words or [prompt.casefold()]


def signatures(prompts: Sequence[str]) -> np.ndarray:
    """MinHash signatures, uint32 [N, P]: two agree in a share of places that estimates the Jaccard similarity of
    their shingles (Broder 1997).
    """
    from rensa import RMinHash  # pyright: ignore[reportAttributeAccessIssue]  # it is compiled

    table = np.empty((len(prompts), PERMUTATIONS), np.uint32)
    for i, prompt in enumerate(prompts):
        sketch = RMinHash(num_perm=PERMUTATIONS, seed=1)
        sketch.update(shingles(prompt))
        table[i] = sketch.digest()
    return table


def near_copies(signatures_NP: np.ndarray, similarity: float) -> np.ndarray:
    """For each prompt the one that stands for it, int64 [N]: itself, or an earlier one at least so similar.

    Prompts that agree in a whole band of BAND_ROWS places are compared with the first of them. Give the prompts
    in the order in which they are preferred.
    """
    count = len(signatures_NP)
    stands_for = np.arange(count, dtype=np.int64)
    for start in range(0, PERMUTATIONS, BAND_ROWS):
        band_N4 = np.ascontiguousarray(signatures_NP[:, start : start + BAND_ROWS])
        _, bucket = np.unique(band_N4.view([("", np.uint32)] * BAND_ROWS).ravel(), return_inverse=True)
        first = np.full(bucket.max(initial=-1) + 1, count, np.int64)
        np.minimum.at(first, bucket, np.arange(count))
        earlier = first[bucket]
        candidates = np.flatnonzero(earlier < stands_for)
        alike = np.concatenate(
            [
                (signatures_NP[part] == signatures_NP[earlier[part]]).mean(axis=1) >= similarity
                for part in np.array_split(candidates, max(1, len(candidates) // 65_536))
            ]
        )
        stands_for[candidates[alike]] = earlier[candidates[alike]]
    while ((onward := stands_for[stands_for]) != stands_for).any():
        stands_for = onward
    return stands_for


def draw(prompts: Sequence[str], counts: np.ndarray, count: int, temperature: float, seed: int) -> list[int]:
    """At most `count` different places of `prompts`, in the order drawn: without replacement, with probability
    in proportion to counts ** (1 / temperature). 0: the most frequent, in order.

    Each place's chance comes from its own text, so an order of the list changes nothing (Efraimidis and
    Spirakis 2006).
    """
    if temperature == 0:
        ranking = sorted(range(len(prompts)), key=lambda i: (-int(counts[i]), prompts[i]))
        return ranking[:count]
    uniform = np.array([_uniform(seed, prompt) for prompt in prompts])
    keys = np.log(-np.log(uniform)) - np.log(np.asarray(counts, float)) / temperature
    return sorted(range(len(prompts)), key=lambda i: (keys[i], prompts[i]))[:count]


def _uniform(seed: int, prompt: str) -> float:
    """In (0, 1)."""
    digest = hashlib.blake2b(f"{seed} {prompt}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") + 0.5) / 2**64


def describe(prompts: Iterable[str], words: int = 50) -> dict[str, Any]:
    """The most common words and the lengths of a list of prompts, for a person to read."""
    frequency: Counter[str] = Counter()
    lengths = []
    for prompt in prompts:
        split = "".join(c if c.isalnum() else " " for c in prompt.casefold()).split()
        frequency.update(split)
        lengths.append(len(split))
    if not lengths:
        return {"words": {}, "lengths": {}}
    marks = np.percentile(lengths, [0, 5, 50, 95, 100])
    names = ("shortest", "p5", "median", "p95", "longest")
    return {
        "words": dict(frequency.most_common(words)),
        "lengths": {name: float(mark) for name, mark in zip(names, marks, strict=True)},
    }
