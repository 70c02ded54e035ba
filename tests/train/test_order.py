from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cjd.train.order import rows_of


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(1, 700), seed=st.integers(0, 10**6), epoch=st.integers(0, 5))
def test_every_epoch_visits_every_row_once(rows: int, seed: int, epoch: int) -> None:
    samples = np.arange(epoch * rows, (epoch + 1) * rows)
    assert sorted(rows_of(samples, rows, seed)) == list(range(rows))


def test_a_sample_is_the_same_row_however_it_is_asked_for() -> None:
    samples = np.arange(0, 1000)
    whole = rows_of(samples, 137, 5)
    pieces = np.concatenate([rows_of(samples[i : i + 7], 137, 5) for i in range(0, 1000, 7)])
    assert (whole == pieces).all()


def test_epochs_and_seeds_differ_and_neighbours_travel() -> None:
    rows = 4096
    first, second = rows_of(np.arange(rows), rows, 1), rows_of(np.arange(rows, 2 * rows), rows, 1)
    assert (first != second).mean() > 0.99
    assert (first != rows_of(np.arange(rows), rows, 2)).mean() > 0.99
    travelled = np.abs(first - np.arange(rows)).mean() / rows
    assert travelled == pytest.approx(1 / 3, abs=0.03)  # the mean distance of a uniform shuffle


def test_an_empty_data_set_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        rows_of(np.arange(3), 0, 0)
