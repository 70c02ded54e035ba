import numpy as np
import pytest
import torch

from cjd.evaluation.judge import Judge, Vocabulary
from cjd.evaluation.metrics import bars, consistency_psnr, distances


def pictures(count: int, size: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def test_psnr_of_known_errors():
    low = np.full((3, 4, 4, 3), 100, np.uint8)
    for error in (1, 10, 50):
        high = np.full((3, 16, 16, 3), 100 + error, np.uint8)
        assert consistency_psnr(high, low) == pytest.approx(20 * np.log10(255 / error))


def test_detail_that_the_box_filter_removes_costs_nothing():
    low = np.full((1, 4, 4, 3), 100, np.uint8)
    high = np.full((1, 8, 8, 3), 100, np.uint8)
    high[:, ::2] += 40
    high[:, 1::2] -= 40
    assert consistency_psnr(high, low) > 58


def test_the_mean_is_over_pictures():
    low = np.full((2, 4, 4, 3), 100, np.uint8)
    high = np.full((2, 8, 8, 3), 110, np.uint8)
    high[1] = 150
    separate = [consistency_psnr(high[i : i + 1], low[i : i + 1]) for i in range(2)]
    assert consistency_psnr(high, low) == pytest.approx(np.mean(separate))


def test_sizes_that_do_not_divide_are_compared_too():
    assert consistency_psnr(np.full((1, 10, 10, 3), 9, np.uint8), np.full((1, 4, 4, 3), 9, np.uint8)) > 58


@pytest.fixture(scope="module")
def judge() -> Judge:
    torch.manual_seed(0)
    return Judge(Vocabulary.of({"a": ["x", "y"]}), channels=(8, 16), size=16, features=16).eval().requires_grad_(False)


def test_distances_are_nothing_between_equal_sets_and_grow_with_the_difference(judge):
    base = pictures(60, 16, 0)
    same = distances(judge, base, base)
    assert same["fid"] == pytest.approx(0, abs=1e-3)
    further = [distances(judge, base, (base * scale).astype(np.uint8)) for scale in (0.8, 0.5, 0.2)]
    fids = [same["fid"], *(d["fid"] for d in further)]
    kids = [same["kid"], *(d["kid"] for d in further)]
    assert fids == sorted(fids) and fids[-1] > 10 * (abs(fids[0]) + 1e-3)
    assert max(kids[:2]) < kids[2] < kids[3]  # the estimate around nothing scatters


def test_distances_repeat_and_leave_the_random_state_alone(judge):
    state = torch.random.get_rng_state()
    one, two = (distances(judge, pictures(40, 16, 1), pictures(40, 16, 2)) for _ in range(2))
    assert one == two
    assert torch.equal(state, torch.random.get_rng_state())


def test_too_few_pictures_are_refused(judge):
    with pytest.raises(ValueError, match="four"):
        distances(judge, pictures(3, 16, 0), pictures(3, 16, 1))


def test_bars_say_what_is_met():
    metrics = {"student": {"ratio": 0.95}, "stages": {"base": {}, "sr-64": {"consistency_psnr": 20.0}}}
    assert [(bar["what"], bar["met"]) for bar in bars(metrics)] == [
        ("student accuracy ÷ teacher accuracy", True),
        ("sr-64 consistency", False),
    ]
