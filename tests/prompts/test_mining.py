"""What is dropped is counted, near copies become one, and frequent prompts are drawn more often."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cjd.prompts.mining import clean, describe, draw, near_copies, signatures

LOG = [
    {"prompt": "A  castle on a hill", "prompt_nsfw": 0.01, "image_nsfw": 0.2},
    {"prompt": "A castle on a hill", "prompt_nsfw": 0.0, "image_nsfw": 0.0},
    {"prompt": "a lake", "prompt_nsfw": 0.9, "image_nsfw": 0.0},
    {"prompt": "a lake", "prompt_nsfw": float("nan"), "image_nsfw": 0.0},
    {"prompt": "  ", "prompt_nsfw": 0.0, "image_nsfw": 0.0},
    {"prompt": None, "prompt_nsfw": 0.0, "image_nsfw": 0.0},
    {"prompt": "x", "prompt_nsfw": 0.0, "image_nsfw": 0.0},
    {"prompt": "word " * 900, "prompt_nsfw": 0.0, "image_nsfw": 0.0},
    {"prompt": "by an artist", "prompt_nsfw": 0.0, "image_nsfw": 0.0},
]


def test_every_row_is_kept_or_counted_under_its_rule() -> None:
    seen, dropped = clean(
        LOG, "prompt", {"prompt_nsfw": 0.5, "image_nsfw": 0.5}, 3, lambda text: "artist" if "artist" in text else None
    )
    assert seen == {"A castle on a hill": 2}
    assert dropped == {"unsafe": 2, "empty": 2, "short": 1, "long": 1, "artist": 1}
    assert seen.total() + dropped.total() == len(LOG)


def test_near_copies_stand_behind_the_first() -> None:
    base = "anime, a cute girl with long white hair in the coffee shop, 4k, detailed, concept art, soft light"
    prompts = [base, "a lake at dawn, oil painting, wide", base.replace(",", " ").upper(), base + ", 8k", "a castle"]
    assert near_copies(signatures(prompts), 0.8).tolist() == [0, 1, 0, 0, 4]
    assert near_copies(signatures(prompts), 1.01).tolist() == [0, 1, 2, 3, 4]
    assert near_copies(signatures([]), 0.8).tolist() == []


def test_most_near_copies_are_found_and_few_others() -> None:
    rng = np.random.default_rng(0)
    words = [f"word{i}" for i in range(3000)]
    originals = [" ".join(rng.choice(words, 24)) for _ in range(400)]
    copies = [f"{text} {rng.choice(words)}" for text in originals]  # 23 of 24 pairs in common
    stands_for = near_copies(signatures(originals + copies), 0.8)
    assert (stands_for[:400] == np.arange(400)).all()
    assert (stands_for[400:] == np.arange(400)).mean() > 0.98


@given(st.lists(st.text("abc ", min_size=1), unique=True, max_size=30), st.integers(0, 40), st.randoms())
def test_a_draw_is_of_different_prompts_whatever_their_order(prompts: list[str], count: int, random) -> None:
    counts = np.arange(1, len(prompts) + 1)
    drawn = [prompts[i] for i in draw(prompts, counts, count, 1.0, seed=3)]
    assert len(set(drawn)) == len(drawn) == min(count, len(prompts))
    order = list(range(len(prompts)))
    random.shuffle(order)
    again = draw([prompts[i] for i in order], counts[order], count, 1.0, seed=3)
    assert [prompts[order[i]] for i in again] == drawn


def test_temperature_goes_from_the_most_frequent_to_all_alike() -> None:
    prompts, counts = ["often", "seldom"], np.array([9, 1])
    firsts = {
        t: Counter(prompts[draw(prompts, counts, 1, t, seed)[0]] for seed in range(3000))["often"] / 3000
        for t in (0.0, 1.0, 2.0, 1e6)
    }
    expected = {0.0: 1.0, 1.0: 0.9, 2.0: 0.75, 1e6: 0.5}
    assert all(abs(firsts[t] - p) < 0.03 for t, p in expected.items()), firsts


def test_a_description_counts_words_and_lengths() -> None:
    told = describe(["A girl, a castle", "castle"])
    assert told["words"] == {"a": 2, "castle": 2, "girl": 1}
    assert told["lengths"]["shortest"] == 1 and told["lengths"]["longest"] == 4
    assert describe([]) == {"words": {}, "lengths": {}}
