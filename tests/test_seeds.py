from __future__ import annotations

import torch

from cjd.seeds import RowRandom, derive_seed


def test_a_rows_draws_do_not_depend_on_its_batch_mates() -> None:
    many = RowRandom([5, 6, 7])
    alone = RowRandom([6])
    for draw in (
        lambda r: r.normal(3, 4),
        lambda r: r.uniform(),
        lambda r: r.integers(0, 1000),
        lambda r: r.integers(-3, 3, 2),
        lambda r: r.normal(2),
    ):
        assert torch.equal(draw(many)[1], draw(alone)[0])


def test_shapes_and_ranges() -> None:
    random = RowRandom(list(range(500)))
    assert random.normal(3, 2).shape == (500, 3, 2)
    uniform = random.uniform()
    assert uniform.shape == (500,)
    assert uniform.min() >= 0 and uniform.max() < 1
    assert set(random.integers(2, 5).tolist()) == {2, 3, 4}


def test_derived_seeds_differ_by_every_part() -> None:
    seeds = {
        derive_seed("a", 1),
        derive_seed("a", 2),
        derive_seed("b", 1),
        derive_seed("a1"),
        derive_seed("a", "1", ""),
    }
    assert len(seeds) == 5
    assert all(0 <= seed < 2**63 for seed in seeds)
