"""Pictures: blank ones are refused, and whatever goes wrong is a refusal."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from cjd.config.recipe import PolicyConfig
from cjd.errors import UsageError
from cjd.policy import Gate

GATE = Gate.load(PolicyConfig())


def noise(deviation: float) -> np.ndarray:
    grey = np.random.default_rng(0).normal(128, deviation, (32, 32, 3))
    return grey.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("level", [0, 1, 127, 255])
def test_one_colour_is_blank(level: int) -> None:
    assert GATE.image(np.full((16, 16, 3), level, np.uint8)).rule == "blank"


def test_a_single_colour_that_is_not_grey_is_blank() -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 200
    assert GATE.image(red).rule == "blank"


def test_a_picture_passes_with_its_scores() -> None:
    verdict = GATE.image(noise(30))
    assert verdict.ok and verdict.rule is None
    assert verdict.scores["safety"] == "none"
    assert 25 < float(verdict.scores["blank"]) < 35


@pytest.mark.parametrize(
    "broken",
    [np.full((8, 8, 3), np.nan), np.zeros((8, 8), np.uint8), np.zeros((0, 0, 3), np.uint8), None, "picture"],
)
def test_what_is_no_picture_is_refused(broken: object) -> None:
    verdict = GATE.image(broken)  # type: ignore[arg-type]
    assert (verdict.ok, verdict.rule) == (False, "error")


def test_what_is_no_text_is_refused() -> None:
    assert GATE.text(None).rule == "error"  # type: ignore[arg-type]


def test_a_classifier_that_is_not_there_stops_the_gate() -> None:
    with pytest.raises(UsageError, match="safety"):
        Gate.load(PolicyConfig(safety="/nowhere/classifier"))


def test_the_gate_travels() -> None:
    twin = pickle.loads(pickle.dumps(GATE))
    assert twin.text("by wlop") == GATE.text("by wlop")
    assert twin.image(noise(20)) == GATE.image(noise(20))
