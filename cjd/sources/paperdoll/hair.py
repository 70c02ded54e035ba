"""Hair: what falls behind the head, what falls over the shoulders, and the fringe."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np

from cjd.sources.paperdoll.canvas import Canvas, bezier, ellipse, mirrored, smooth
from cjd.sources.paperdoll.face import FACE
from cjd.sources.paperdoll.palette import Colour, Tones

CROWN = [(0.0, -0.352), (0.13, -0.336), (0.242, -0.262), (0.305, -0.14), (0.32, 0.0)]


def draw_back(canvas: Canvas, length: str, hair: Tones, line: float, rng: random.Random, tie: Colour) -> None:
    """Everything behind the neck. Drawn in the head's coordinates."""
    if length == "long":
        _curtain(canvas, hair, line, rng)
        return
    if length == "twintails":
        for side in (-1, 1):
            _tail(canvas, side, (0.262, -0.165), hair, line, rng, tie)
    if length == "ponytail":
        _side_tail(canvas, hair, line, rng, tie)
    reach = 0.225 if length == "short" else 0.13
    bob = mirrored([*CROWN, (0.322, reach * 0.5), (0.285, reach), (0.2, reach + 0.03), (0.1, reach)])
    canvas.shape(smooth(bob), hair.shadow, hair.line, line)


def draw_front(canvas: Canvas, length: str, hair: Tones, line: float, rng: random.Random, skin: Tones) -> None:
    """The cap, the fringe and the locks beside the face, with the shadow that they throw on it."""
    tips = _fringe(rng)
    lock_end = {"short": 0.2, "long": 0.34, "twintails": 0.25, "ponytail": 0.2}[length]
    outline, strands = _cap(tips, lock_end + rng.uniform(-0.02, 0.02), rng)
    shadow = np.array([(x * 0.97, min(y + 0.03, 0.2)) for x, y in outline])
    with canvas.clip(FACE):
        canvas.fill(shadow, skin.shadow, 0.75)
    canvas.fill(outline, hair.base)
    with canvas.clip(outline):
        _shine(canvas, hair, rng)
        for strand in strands:
            canvas.stroke(strand[3:], 0.015, hair.shadow, 0.7, taper=(0.05, 1.0))
        for side in (-1, 1):
            edge = bezier((side * 0.2, -0.3), (side * 0.33, -0.12), (side * 0.33, 0.3))
            inner = bezier((side * 0.245, 0.3), (side * 0.285, -0.06), (side * 0.2, -0.3))
            canvas.fill(np.concatenate([edge, inner]), hair.shadow, 0.55)
    canvas.outline(outline, hair.line, line)
    for strand in strands:
        canvas.stroke(strand[-4:], line * 1.1, hair.line, taper=(0.05, 0.9))
    _cowlick(canvas, hair, line, rng)


def draw_locks(canvas: Canvas, length: str, hair: Tones, line: float, rng: random.Random) -> None:
    """Long hair that comes over the shoulders to the front."""
    if length != "long":
        return
    for side in (-1, 1):
        sway = rng.uniform(-0.015, 0.015)
        outer = smooth([(0.3, 0.0), (0.325, 0.2), (0.315, 0.36), (0.27 + sway, 0.54)], closed=False)
        inner = smooth([(0.225 + sway, 0.54), (0.2, 0.38), (0.236, 0.24), (0.25, 0.0)], closed=False)
        lock = np.concatenate([outer, inner]) * [side, 1]
        canvas.shape(lock, hair.base, hair.line, line)
        with canvas.clip(lock):
            for x in (0.262, 0.288):
                strand = bezier((side * x, 0.05), (side * (x + 0.01), 0.25), (side * (x - 0.02 + sway), 0.54))
                canvas.stroke(strand, 0.009, hair.shadow, taper=(0.2, 0.6))


def _fringe(rng: random.Random) -> list[tuple[float, float]]:
    """Notches and tips of the fringe in turn, from left to right, beginning and ending with a notch."""
    count = rng.choice((5, 6, 7))
    edges = np.linspace(-0.236, 0.236, count + 1) + [rng.uniform(-0.012, 0.012) for _ in range(count + 1)]
    lean = rng.choice((-0.4, -0.2, 0.2, 0.4))
    points: list[tuple[float, float]] = []
    for left, right in pairwise(edges):
        middle = (left + right) / 2
        points.append((float(left), -0.115 + 0.35 * left * left + rng.uniform(-0.02, 0.01)))
        tip = -0.012 + 0.25 * middle * middle + rng.uniform(-0.022, 0.012)
        points.append((float(middle + lean * (right - left) / 2), float(tip)))
    points.append((float(edges[-1]), -0.1))
    return points


def _cap(tips: list[tuple[float, float]], lock_end: float, rng: random.Random) -> tuple[np.ndarray, list[np.ndarray]]:
    """The outline of the front hair, and the strands that run from the crown to its notches."""
    crown = np.array(CROWN)
    top = smooth(np.concatenate([(crown * [-1, 1])[::-1], crown[1:]]), closed=False)
    lock = np.concatenate(
        [
            bezier((0.32, 0.0), (0.335, lock_end * 0.6), (0.262, lock_end), n=8),
            bezier((0.262, lock_end), (0.262, lock_end * 0.4), (0.236, -0.1), n=8),
        ]
    )
    fringe: list[np.ndarray] = []
    right_to_left = tips[::-1]
    for i in range(0, len(right_to_left) - 1, 2):
        (x0, y0), (xt, yt), (x1, y1) = right_to_left[i : i + 3]
        fringe.append(bezier((x0, y0), (x0 - 0.004, (y0 + yt) / 2 + 0.02), (xt, yt), n=5))
        fringe.append(bezier((xt, yt), (x1 + (xt - x1) * 0.35, (y1 + yt) / 2 + 0.02), (x1, y1), n=5))
    left_lock = lock[::-1] * [-1, 1]
    outline = np.concatenate([top, lock, *fringe, left_lock])
    part = rng.uniform(-0.05, 0.05)
    strands = [bezier((part + x * 0.25, -0.34), (x * 1.12, -0.29), (x, y), n=10) for x, y in tips[2:-2:2]]
    return outline, strands


def _shine(canvas: Canvas, hair: Tones, rng: random.Random) -> None:
    """The bright ring around the crown, with a ragged lower edge."""
    xs = np.linspace(-0.27, 0.27, 25)
    arc = -0.226 + 1.05 * xs * xs + rng.uniform(-0.012, 0.012)
    thick = 0.04 * np.sqrt(np.clip(1 - (xs / 0.28) ** 2, 0, 1))
    ragged = np.array([thick[i] * (1.0 if i % 2 else rng.uniform(0.1, 0.5)) for i in range(len(xs))])
    ring = np.concatenate([np.stack([xs, arc - thick * 0.5], 1), np.stack([xs, arc + ragged], 1)[::-1]])
    canvas.fill(ring, hair.light, 0.9)


def _cowlick(canvas: Canvas, hair: Tones, line: float, rng: random.Random) -> None:
    side = rng.choice((-1, 1))
    curl = np.concatenate(
        [
            bezier((side * -0.02, -0.345), (side * 0.0, -0.42), (side * 0.075, -0.405), n=8),
            bezier((side * 0.075, -0.405), (side * 0.025, -0.39), (side * 0.015, -0.343), n=8),
        ]
    )
    canvas.shape(curl, hair.base, hair.line, line)


def _curtain(canvas: Canvas, hair: Tones, line: float, rng: random.Random) -> None:
    flare = rng.uniform(-0.015, 0.02)
    half = [*CROWN, (0.345, 0.15), (0.368 + flare, 0.32), (0.385 + flare, 0.6), (0.2, 0.62)]
    outline = smooth(mirrored(half))
    canvas.shape(outline, hair.shadow, hair.line, line)
    with canvas.clip(outline):
        for side in (-1, 1):
            band = np.concatenate(
                [
                    bezier((0.3, -0.1), (0.335, 0.2), (0.345 + flare, 0.6)),
                    bezier((0.372 + flare, 0.6), (0.352, 0.2), (0.3, -0.1)),
                ]
            )
            canvas.fill(band * [side, 1], hair.base)


def _tail(
    canvas: Canvas, side: int, root: tuple[float, float], hair: Tones, line: float, rng: random.Random,
    tie: Colour,
) -> None:  # fmt: skip
    """One of two tails: out from the head, then down past the shoulder, ending in points."""
    x, y = root
    sway = rng.uniform(-0.02, 0.02)
    half = [
        (x, y - 0.04), (x + 0.085, y - 0.085), (x + 0.165, y - 0.03), (x + 0.2, y + 0.14),
        (x + 0.185 + sway, y + 0.36), (x + 0.13 + sway, y + 0.55), (x + 0.11 + sway, y + 0.47),
        (x + 0.06 + sway, y + 0.52), (x + 0.065, y + 0.34), (x + 0.07, y + 0.15), (x, y + 0.05),
    ]  # fmt: skip
    tail = smooth(half) * [side, 1]
    canvas.shape(tail, hair.base, hair.line, line)
    with canvas.clip(tail):
        for dx in (0.1, 0.135, 0.165):
            strand = smooth(
                [(x + 0.03, y - 0.02), (x + dx, y + 0.05), (x + dx + 0.01, y + 0.3), (x + dx - 0.03, y + 0.56)],
                closed=False,
            )
            canvas.stroke(strand * [side, 1], 0.012, hair.shadow, taper=(0.2, 0.5))
        gleam = bezier((x + 0.06, y + 0.0), (x + 0.13, y + 0.0), (x + 0.17, y + 0.09))
        canvas.stroke(gleam * [side, 1], 0.026, hair.light, 0.9, taper=(0.2, 0.2))
    _scrunchy(canvas, side * (x + 0.005), y, side * 0.5, tie, line)


def _side_tail(canvas: Canvas, hair: Tones, line: float, rng: random.Random, tie: Colour) -> None:
    """One tail from high behind the crown, swinging out to one side."""
    side = rng.choice((-1, 1))
    sway = rng.uniform(-0.02, 0.02)
    half = [
        (0.1, -0.33), (0.16, -0.44), (0.28, -0.445), (0.39, -0.34), (0.435, -0.13), (0.425 + sway, 0.1),
        (0.36 + sway, 0.3), (0.35 + sway, 0.2), (0.3 + sway, 0.25), (0.325, 0.02), (0.325, -0.15), (0.24, -0.3),
    ]  # fmt: skip
    tail = smooth(half) * [side, 1]
    canvas.shape(tail, hair.base, hair.line, line)
    with canvas.clip(tail):
        for dx in (0.0, 0.035, 0.065):
            strand = smooth(
                [(0.17, -0.36), (0.28 + dx, -0.36 - dx * 0.5), (0.35 + dx, -0.1), (0.33 + dx, 0.26)], closed=False
            )
            canvas.stroke(strand * [side, 1], 0.012, hair.shadow, taper=(0.2, 0.5))
        gleam = bezier((0.22, -0.41), (0.32, -0.39), (0.37, -0.27))
        canvas.stroke(gleam * [side, 1], 0.028, hair.light, 0.9, taper=(0.2, 0.2))
    _scrunchy(canvas, side * 0.15, -0.345, side * -0.75, tie, line)


def _scrunchy(canvas: Canvas, x: float, y: float, angle: float, colour: Colour, line: float) -> None:
    canvas.shape(ellipse(x, y, 0.032, 0.062, angle, n=16), colour, (60, 24, 40), line)
