from __future__ import annotations

from cjd.records import prompt_id, sample_id, sample_seed


def test_names_follow_from_what_a_row_is() -> None:
    assert sample_id("t", "a girl", 0) == sample_id("t", "a girl", 0)
    names = {sample_id(t, p, i) for t in ("t", "u") for p in ("a girl", "a girl ") for i in range(50)}
    assert len(names) == 200
    assert len(prompt_id("a girl")) == 16


def test_seeds_are_exact_in_json_and_spread() -> None:
    seeds = [sample_seed(sample_id("t", "p", i)) for i in range(1000)]
    assert len(set(seeds)) == 1000
    assert all(0 <= seed < 2**53 for seed in seeds)
    assert 0.45 < sum(seed / 2**53 for seed in seeds) / 1000 < 0.55
