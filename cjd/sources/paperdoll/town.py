"""Places in town: the coffee shop and the buildings of Tokyo."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np

from cjd.sources.paperdoll.canvas import Canvas, bezier, ellipse, smooth
from cjd.sources.paperdoll.palette import Colour, jitter, mix
from cjd.sources.paperdoll.places import FULL, WHITE, cloud, rectangle


def coffee_shop(canvas: Canvas, rng: random.Random) -> None:
    """Warm wood: shelves with cups on one side, a window on the other, lamps above."""
    wall = jitter((198, 142, 92), rng)
    canvas.gradient(FULL, mix(wall, (90, 50, 30), 0.25), wall)
    for k in range(9):
        x = k / 8 + rng.uniform(-0.006, 0.006)
        canvas.stroke([(x, 0), (x, 1)], 0.005, mix(wall, (70, 36, 20), 0.45))
    flip = rng.random() < 0.5
    _window(canvas, 0.7 if not flip else 0.0, rng)
    _shelves(canvas, 0.0 if not flip else 0.7, rng)
    wood: Colour = (104, 62, 38)
    canvas.fill(rectangle(0, 0.84, 1, 1), wood)
    canvas.fill(rectangle(0, 0.84, 1, 0.862), (150, 98, 62))
    for x in (rng.uniform(0.12, 0.18), rng.uniform(0.82, 0.88)):
        y = rng.uniform(0.13, 0.17)
        for r, alpha in ((0.17, 0.12), (0.12, 0.18), (0.08, 0.25)):
            canvas.fill(ellipse(x, y + 0.02, r), (255, 222, 130), alpha)
        canvas.stroke([(x, 0), (x, y - 0.05)], 0.007, (50, 34, 30))
        shade = smooth([(x - 0.02, y - 0.06), (x + 0.02, y - 0.06), (x + 0.075, y + 0.012), (x - 0.075, y + 0.012)])
        canvas.fill(ellipse(x, y + 0.014, 0.032, n=16), (255, 246, 190))
        canvas.fill([p for p in shade if p[1] < y + 0.014], (52, 74, 66))


def steaming_cup(canvas: Canvas, rng: random.Random) -> None:
    """A cup of coffee on the table, in front of everything."""
    x, y = rng.choice((0.135, 0.865)), 0.93
    canvas.fill(rectangle(-0.1, 0.965, 1.1, 1.1), (128, 80, 50))
    canvas.fill(rectangle(-0.1, 0.962, 1.1, 0.97), (80, 46, 32))
    canvas.fill(ellipse(x, y + 0.04, 0.13, 0.026), (250, 246, 240))
    canvas.outline(ellipse(x, y + 0.04, 0.13, 0.026), (120, 92, 84), 0.006)
    canvas.outline(ellipse(x + (0.085 if x < 0.5 else -0.085), y - 0.015, 0.03, 0.034), (120, 92, 84), 0.024)
    canvas.outline(ellipse(x + (0.085 if x < 0.5 else -0.085), y - 0.015, 0.03, 0.034), (250, 246, 240), 0.013)
    cup = np.concatenate(
        [[(x - 0.088, y - 0.07), (x + 0.088, y - 0.07)],
         bezier((x + 0.086, y - 0.06), (x + 0.075, y + 0.05), (x + 0.03, y + 0.045), n=6),
         bezier((x - 0.03, y + 0.045), (x - 0.075, y + 0.05), (x - 0.086, y - 0.06), n=6)]
    )  # fmt: skip
    canvas.shape(cup, (250, 246, 240), (120, 92, 84), 0.006)
    canvas.shape(ellipse(x, y - 0.07, 0.088, 0.022), (250, 246, 240), (120, 92, 84), 0.006)
    canvas.fill(ellipse(x, y - 0.067, 0.074, 0.015), (96, 54, 34))
    for dx in (-0.03, 0.015):
        steam = smooth([(x + dx, y - 0.095), (x + dx + 0.022, y - 0.135), (x + dx - 0.008, y - 0.17),
                        (x + dx + 0.02, y - 0.215)], closed=False)  # fmt: skip
        canvas.stroke(steam, 0.016, WHITE, 0.75, taper=(0.2, 0.1))


def _window(canvas: Canvas, x: float, rng: random.Random) -> None:
    frame: Colour = (86, 50, 34)
    canvas.fill(rectangle(x, 0.24, x + 0.3, 0.74), frame)
    pane = rectangle(x + 0.02, 0.262, x + 0.28, 0.718)
    canvas.gradient(pane, (176, 224, 252), (244, 250, 236))
    with canvas.clip(pane):
        for _ in range(9):
            spot = ellipse(x + rng.uniform(0, 0.3), rng.uniform(0.5, 0.74), rng.uniform(0.03, 0.06), n=14)
            canvas.fill(spot, rng.choice(((120, 188, 110), (150, 206, 120), (96, 168, 104))))
    canvas.fill(rectangle(x + 0.143, 0.25, x + 0.157, 0.73), frame)
    canvas.fill(rectangle(x, 0.47, x + 0.3, 0.484), frame)


def _shelves(canvas: Canvas, x: float, rng: random.Random) -> None:
    for y in (0.36, 0.53, 0.7):
        canvas.fill(rectangle(x, y + 0.022, x + 0.3, y + 0.034), (60, 34, 26), 0.5)
        canvas.fill(rectangle(x, y, x + 0.3, y + 0.022), (92, 54, 36))
        at = x + 0.012
        while at < x + 0.27:
            if rng.random() < 0.5:
                tint = rng.choice(((252, 248, 240), (240, 226, 204), (120, 176, 180), (214, 88, 70)))
                canvas.outline(ellipse(at + 0.05, y - 0.028, 0.014, 0.016, n=12), tint, 0.008)
                canvas.fill([(at, y - 0.056), (at + 0.05, y - 0.056), (at + 0.043, y), (at + 0.007, y)], tint)
                at += 0.076
            else:
                high = rng.uniform(0.075, 0.1)
                tint = rng.choice(((122, 72, 44), (70, 104, 84), (230, 200, 150), (60, 48, 60)))
                canvas.fill(rectangle(at, y - high, at + 0.042, y), tint)
                canvas.fill(rectangle(at + 0.006, y - high * 0.65, at + 0.036, y - high * 0.3), (250, 238, 214))
                at += 0.052


def tokyo(canvas: Canvas, rng: random.Random) -> None:
    """Sky-scrapers with lit windows at dusk, and a tower of red and white lattice."""
    canvas.gradient(FULL, jitter((70, 92, 170), rng), jitter((255, 184, 150), rng))
    cloud(canvas, rng.uniform(0.3, 0.7), rng.uniform(0.1, 0.2), 0.3, rng, (255, 206, 200))
    far: Colour = (136, 120, 170)
    x = -0.05
    while x < 1.05:
        wide = rng.uniform(0.06, 0.12)
        canvas.fill(rectangle(x, rng.uniform(0.3, 0.5), x + wide, 1.1), jitter(far, rng, 8))
        x += wide
    tower_left = rng.random() < 0.5
    tower_x = rng.uniform(0.115, 0.15) if tower_left else rng.uniform(0.85, 0.885)
    _tower(canvas, tower_x)
    low, high = (0.72, 0.86), (0.1, 0.34)
    for k, (left, wide) in enumerate(((-0.02, 0.13), (0.12, 0.12), (0.25, 0.14), (0.4, 0.16), (0.57, 0.14),
                                      (0.72, 0.13), (0.86, 0.16))):  # fmt: skip
        by_tower = abs(left + wide / 2 - tower_x) < 0.16
        tall = low if by_tower else high if k in (0, 1, 5, 6) else (0.3, 0.5)
        _block(canvas, left + rng.uniform(-0.01, 0.01), rng.uniform(*tall), wide, rng)


def _block(canvas: Canvas, x: float, top: float, wide: float, rng: random.Random) -> None:
    side = jitter(rng.choice(((54, 58, 104), (72, 66, 116), (44, 72, 110), (92, 70, 108))), rng)
    canvas.gradient(rectangle(x, top, x + wide, 1.1), side, mix(side, (200, 130, 140), 0.25))
    canvas.fill(rectangle(x + wide * 0.86, top, x + wide, 1.1), (20, 16, 50), 0.35)
    if rng.random() < 0.5:
        canvas.stroke([(x + wide * 0.4, top - 0.06), (x + wide * 0.4, top)], 0.006, side)
    columns = 4
    unlit = mix(side, (160, 190, 240), 0.4)
    for row in range(int((1.0 - top) / 0.045)):
        for column in range(columns):
            if rng.random() < 0.3:
                continue
            lit = rng.random() < 0.75
            left = x + wide * (0.07 + column * 0.8 / columns)
            y = top + 0.02 + row * 0.045
            tint = (255, 226, 130) if lit else unlit
            canvas.box(left, y, left + wide * 0.13, y + 0.025, tint)


def _tower(canvas: Canvas, x: float) -> None:
    red: Colour = (232, 60, 40)

    def half(y: float) -> float:
        return 0.008 + 0.115 * max(0.0, (y - 0.2) / 0.62) ** 1.7

    ys = np.linspace(0.16, 0.82, 12)
    for k, (y0, y1) in enumerate(pairwise(ys)):
        tint = red if k % 3 else WHITE
        for side in (-1, 1):
            leg = [(x + side * half(y0), y0), (x + side * half(y1), y1)]
            canvas.stroke(leg, 0.017, tint)
            canvas.stroke([(x + side * half(y0), y0), (x - side * half(y1), y1)], 0.0075, tint)
        canvas.stroke([(x - half(y1), y1), (x + half(y1), y1)], 0.009, tint)
    canvas.stroke([(x, 0.03), (x, 0.18)], 0.012, red, taper=(0.3, 1.0))
    canvas.fill(rectangle(x - 0.028, 0.27, x + 0.028, 0.295), WHITE)
    canvas.fill(rectangle(x - 0.055, 0.5, x + 0.055, 0.54), WHITE)
    canvas.fill(rectangle(x - 0.055, 0.515, x + 0.055, 0.525), (60, 60, 90))
