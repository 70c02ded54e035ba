"""The illustrator: what it can draw, that it draws it again, and that it shows what was asked."""

from collections import Counter

import numpy as np
import pytest

from cjd.prompts import Grammar
from cjd.sources.paperdoll import ATTRIBUTES, COUNT, Doll, doll_at, doll_from, draw, sample_doll

GIRL = {
    "style": "anime", "subject": "girl", "hair_length": "long", "hair_colour": "white", "eye_colour": "blue",
    "expression": "smiling", "accessory": "none", "background": "coffee shop",
}  # fmt: skip


def pixels(doll: Doll, size: int = 64, seed: int = 0) -> np.ndarray:
    return np.asarray(draw(doll, size, seed), dtype=float)


def test_every_number_is_another_doll():
    assert COUNT >= 10_000
    assert len({doll_at(index) for index in range(COUNT)}) == COUNT
    for index in (-1, COUNT):
        with pytest.raises(IndexError):
            doll_at(index)


def test_grammar_and_illustrator_agree_on_the_words():
    grammar = Grammar.load()
    assert grammar.attributes == ATTRIBUTES


def test_grammar_and_illustrator_agree_on_what_goes_with_what():
    grammar = Grammar.load()
    for seed in range(500):
        attributes = grammar.sample_attributes(seed)
        assert doll_from(attributes, 0).attributes() == attributes
        assert grammar.is_complete(sample_doll(seed).attributes())


def test_shares_of_scenery_and_manga():
    dolls = [sample_doll(seed) for seed in range(4000)]
    assert 0.07 < sum(doll.subject == "scenery" for doll in dolls) / len(dolls) < 0.13
    assert 0.21 < sum(doll.style == "manga" for doll in dolls) / len(dolls) < 0.29
    for name, values in ATTRIBUTES.items():
        assert set(Counter(getattr(doll, name) for doll in dolls)) - {None} == set(values)


@pytest.mark.parametrize("seed", range(30))
def test_what_is_given_is_kept(seed):
    whole = sample_doll(seed).attributes()
    some = {name: value for i, (name, value) in enumerate(whole.items()) if (seed >> (i % 5)) & 1}
    doll = doll_from(some, seed + 1)
    assert some.items() <= doll.attributes().items()
    assert doll == doll_from(some, seed + 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"hair": "long"},
        {"hair_colour": "beige"},
        {"style": "manga", "eye_colour": "blue"},
        {"style": "manga", "hair_colour": "pink"},
        {"subject": "scenery", "hair_length": "long"},
        {"subject": "scenery", "background": "simple background"},
        {"expression": "laughing", "eye_colour": "blue"},
    ],
)
def test_what_cannot_be_drawn_is_refused(wrong):
    with pytest.raises(ValueError, match="|".join([*wrong, "together"])):
        doll_from(wrong, 0)


@pytest.mark.parametrize("size", [16, 64, 128, 256])
def test_the_same_doll_is_the_same_picture(size):
    doll = sample_doll(size)
    picture = draw(doll, size, seed=3)
    assert (picture.size, picture.mode) == ((size, size), "RGB")
    assert picture.tobytes() == draw(doll, size, seed=3).tobytes()
    assert picture.tobytes() != draw(doll, size, seed=4).tobytes()


def test_size_does_not_change_the_composition():
    doll = doll_from(GIRL, 0)
    small, large, other = (
        np.asarray(draw(doll, size, seed).resize((32, 32), resample=4), float)
        for size, seed in ((64, 5), (256, 5), (256, 6))
    )
    assert np.abs(small - large).mean() < np.abs(other - large).mean() / 3


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match="size"):
        draw(sample_doll(0), 0)


@pytest.mark.parametrize("background", ATTRIBUTES["background"])
def test_manga_is_grey(background):
    picture = pixels(doll_from({"style": "manga", "subject": "girl", "background": background}, 1), 96)
    assert np.ptp(picture, axis=2).max() == 0
    assert picture.min() < 40 and picture.max() > 230


@pytest.mark.parametrize("name", [name for name in ATTRIBUTES if name != "subject"])
def test_every_value_shows(name):
    """At the same seed two values of one attribute differ where a difference of jitter would not be."""
    values = ATTRIBUTES[name]
    base = {key: value for key, value in GIRL.items() if key != "eye_colour" or name == "eye_colour"}
    if name in ("style", "expression"):
        base.pop("eye_colour", None)
    pictures = [pixels(doll_from(base | {name: value}, 0), 64) for value in values]
    for i, one in enumerate(pictures):
        for other in pictures[:i]:
            assert (np.abs(one - other).max(axis=2) > 40).mean() > 0.008


@pytest.mark.parametrize("name", ["hair_colour", "eye_colour"])
def test_colours_survive_sixteen_pixels(name):
    """The mean over seeds of each colour is nearer to its own kind than to any other."""
    values = ATTRIBUTES[name]

    def seen(value: str, seeds: range) -> np.ndarray:
        rows = [draw(doll_from(GIRL | {name: value}, 0), 64, s).resize((16, 16), resample=4) for s in seeds]
        return np.mean([np.asarray(row, float) for row in rows], axis=0)

    known = np.stack([seen(value, range(6)) for value in values])
    for i, value in enumerate(values):
        distance = np.abs(known - seen(value, range(6, 12))).sum(axis=(1, 2, 3))
        assert distance.argmin() == i
