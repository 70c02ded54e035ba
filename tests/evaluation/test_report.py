import re
from html.parser import HTMLParser

import numpy as np
import pytest

from cjd.evaluation.report import Pair, contact_sheet, curve_svg, moving_mean, render

TABLE = {"colour": {"accuracy": 0.9, "hits": 9, "asked": 10}, "shape": {"accuracy": 0.0, "hits": 0, "asked": 10}}
METRICS = {
    "prompts": 10,
    "teacher": {"attribute_accuracy": 0.45, "attributes": TABLE},
    "student": {"attribute_accuracy": 0.45, "attributes": TABLE, "ratio": 1.0},
    "stages": {
        "base": {"size": 8, "attribute_accuracy": 0.4},
        "sr-16": {"size": 16, "attribute_accuracy": 0.45, "consistency_psnr": 24.0},
    },
    "fid": 1.5, "kid": 0.01, "floor": {"fid": 0.5, "kid": 0.001}, "losses": {},
}  # fmt: skip
COUNTS = {"prompts": 1234, "samples": 5678, "refused": {"prompts": {"artist": 3}, "samples": {}}}
CURVES = {
    "base": [{"samples": 10 * i, "loss": 1 / i, "samples_per_second": 3.0} for i in range(1, 30)],
    "sr-16": [{"samples": 5, "loss": 0.5}],
    "vae": [],
}


def picture(size: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def pair(seed: int, prompt: str = 'anime, <b>a girl</b> & "a cat"') -> Pair:
    return Pair(
        prompt, {"colour": "red", "shape": "disc"}, picture(16, seed),
        {"base": picture(8, seed + 1), "sr-16": picture(16, seed + 2)},
        {"colour": "red", "shape": "disc"}, {"colour": "blue", "shape": "disc"},
    )  # fmt: skip


class Page(HTMLParser):
    """Collects what a browser would load, and checks that the tags are balanced."""

    VOID = frozenset({"meta", "img", "br", "link", "input", "hr"})

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "srcset", "data")]

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page() -> str:
    return render("toy", METRICS, [pair(1), pair(5)], CURVES, COUNTS, {"name": "toy <recipe>"}, {"torch": "2"})


def test_the_page_loads_nothing_from_anywhere(page):
    parsed = Page()
    parsed.feed(page)
    assert not parsed.open
    assert parsed.loads and all(load.startswith(("data:", "#")) for load in parsed.loads)
    assert not {"script", "link", "iframe", "object"} & set(parsed.tags)
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page))
    assert "@import" not in page


def test_every_pair_shows_teacher_student_and_the_stages_before(page):
    assert page.count("data:image/png;base64,") == 2 * 3
    assert page.count('alt="stage base"') == 2 and 'alt="stage sr-16"' not in page
    assert page.count("<svg") == 2  # one curve for each task with lines


def test_what_people_wrote_is_escaped(page):
    assert "<b>a girl" not in page and "&lt;b&gt;a girl" in page
    assert "toy &lt;recipe&gt;" in page


def test_bars_are_told_met_and_missed(page):
    assert "bar ≥ 0.90: ✓ met" in page
    assert "24.00 dB" in page and "bar ≥ 25.00 dB: ✗ not met" in page


def test_an_attribute_that_the_teacher_never_shows_has_no_ratio(page):
    assert ">–<" in page


def test_curves_take_the_pages_own_colour_and_repeat():
    svg = curve_svg(CURVES["base"])
    assert svg == curve_svg(CURVES["base"])
    assert "currentColor" in svg and svg.startswith("<svg")


def test_moving_mean_keeps_length_and_level():
    assert np.allclose(moving_mean(np.full(50, 3.0)), 3.0)
    noisy = np.random.default_rng(0).normal(size=400)
    assert moving_mean(noisy).shape == (400,) and moving_mean(noisy).std() < 0.5 * noisy.std()


@pytest.mark.parametrize("count", [1, 3, 6])
def test_contact_sheet_holds_every_picture(count):
    sheet = contact_sheet([pair(10 * i, "a word " * 40) for i in range(count)], cell=32)
    assert sheet.dtype == np.uint8 and sheet.shape[2] == 3
    for i in range(count):
        wanted = pair(10 * i).teacher.repeat(2, 0).repeat(2, 1)
        assert any(
            np.array_equal(sheet[y : y + 32, x : x + 32], wanted)
            for y, x in np.argwhere((sheet == wanted[0, 0]).all(2))
            if y + 32 <= sheet.shape[0] and x + 32 <= sheet.shape[1]
        )
