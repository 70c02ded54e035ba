"""Places in the open: plains, mountains, starry sky, beach, cherry blossoms."""

from __future__ import annotations

import random

import numpy as np
from PIL import Image

from cjd.sources.paperdoll.canvas import Canvas, bezier, ellipse, smooth
from cjd.sources.paperdoll.palette import Colour, jitter, mix

WHITE: Colour = (255, 255, 255)
FULL = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]


def rectangle(x0: float, y0: float, x1: float, y1: float) -> list[tuple[float, float]]:
    """A box by two corners."""
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def ridge(rng: random.Random, y: float, rough: float, steps: int = 9, jagged: bool = False) -> np.ndarray:
    """Land from a rolling (or jagged) skyline at about height `y` down to the bottom."""
    xs = np.linspace(-0.05, 1.05, steps)
    line = np.array([(x, y + rng.uniform(-rough, rough)) for x in xs])
    line = line if jagged else smooth(line, closed=False)
    return np.concatenate([line, [(1.05, 1.1), (-0.05, 1.1)]])


def cloud(canvas: Canvas, x: float, y: float, size: float, rng: random.Random, colour: Colour = WHITE) -> None:
    """A heap of round puffs with a flat, shaded foot."""
    puffs = [(k / 4 - 0.5, rng.uniform(0.22, 0.34) * (1.25 - abs(k - 2) * 0.3)) for k in range(5)]
    for tint, drop in ((mix(colour, (150, 185, 230), 0.35), 0.06), (colour, 0.0)):
        for dx, r in puffs:
            canvas.dot(x + dx * size, y + (drop - r * 0.4) * size, r * size, tint, r * size * 0.8)


def plains(canvas: Canvas, rng: random.Random) -> None:
    """A wide green plain under a summer sky."""
    canvas.gradient(FULL, jitter((74, 160, 244), rng), (206, 236, 255))
    cloud(canvas, rng.uniform(0.02, 0.16), rng.uniform(0.2, 0.34), rng.uniform(0.26, 0.36), rng)
    cloud(canvas, rng.uniform(0.84, 1.0), rng.uniform(0.12, 0.28), rng.uniform(0.26, 0.36), rng)
    green = jitter((118, 200, 84), rng, 10)
    canvas.fill(ridge(rng, 0.53, 0.02), mix(green, (120, 180, 200), 0.4))
    canvas.gradient(ridge(rng, 0.6, 0.025), mix(green, (230, 250, 120), 0.35), green)
    canvas.gradient(ridge(rng, 0.76, 0.03), green, mix(green, (20, 100, 60), 0.5))
    for _ in range(26):
        x, y = rng.uniform(0, 1), rng.uniform(0.66, 1.0)
        high = 0.02 + 0.05 * (y - 0.6)
        tuft = [(x - 0.004, y), (x - 0.4 * high, y - high), (x, y - 0.2 * high), (x + 0.1 * high, y - high),
                (x + 0.002, y - 0.2 * high), (x + 0.5 * high, y - high), (x + 0.004, y)]  # fmt: skip
        canvas.fill(tuft, mix(green, (20, 110, 50), 0.55))
    for _ in range(22):
        x, y = rng.uniform(0, 1), rng.uniform(0.66, 0.99)
        canvas.dot(x, y, 0.004 + 0.01 * (y - 0.6), rng.choice((WHITE, (255, 226, 90), (255, 170, 190))))


def mountains(canvas: Canvas, rng: random.Random) -> None:
    """Snow-capped peaks behind a dark line of firs."""
    canvas.gradient(FULL, jitter((104, 170, 232), rng), (250, 232, 220))
    rock = jitter((92, 104, 150), rng, 10)
    canvas.fill(ridge(rng, 0.4, 0.07, 12, jagged=True), mix(rock, (220, 226, 245), 0.55))
    for x, top, wide in ((rng.uniform(0.02, 0.16), rng.uniform(0.1, 0.18), 0.36),
                         (rng.uniform(0.86, 0.98), rng.uniform(0.05, 0.14), 0.4),
                         (rng.uniform(0.42, 0.58), rng.uniform(0.14, 0.22), 0.34)):  # fmt: skip
        _peak(canvas, x, top, wide, rock, rng)
    fir = jitter((36, 84, 82), rng)
    canvas.fill(ridge(rng, 0.74, 0.02), fir)
    for k in range(22):
        x, high = k / 21 + rng.uniform(-0.02, 0.02), rng.uniform(0.08, 0.15)
        y = 0.77
        tree = [(x, y - high), (x + 0.028, y - high * 0.45), (x + 0.016, y - high * 0.45), (x + 0.04, y),
                (x - 0.04, y), (x - 0.016, y - high * 0.45), (x - 0.028, y - high * 0.45)]  # fmt: skip
        canvas.fill(tree, mix(fir, (20, 50, 60), rng.uniform(0, 0.5)))
    canvas.gradient(ridge(rng, 0.87, 0.02), mix(fir, (120, 180, 110), 0.55), fir)


def _peak(canvas: Canvas, x: float, top: float, wide: float, rock: Colour, rng: random.Random) -> None:
    high = 0.85 - top
    left = [(x - wide * t, top + high * t**0.9 + rng.uniform(-0.012, 0.012)) for t in (0.9, 0.65, 0.4, 0.2)]
    right = [(x + wide * t, top + high * t**0.9 + rng.uniform(-0.012, 0.012)) for t in (0.2, 0.4, 0.65, 0.9)]
    outline = [*left, (x, top), *right]
    canvas.gradient(outline, rock, mix(rock, (190, 205, 235), 0.5))
    with canvas.clip(outline):
        snow = [(x - wide, top - 0.1), (x + wide, top - 0.1), (x + wide * 0.5, top + 0.24)]
        teeth = [(x + wide * t, top + 0.2 + (0.08 if k % 2 else -0.02) + rng.uniform(-0.01, 0.01))
                 for k, t in enumerate(np.linspace(0.4, -0.4, 9))]  # fmt: skip
        canvas.fill([*snow, *teeth], WHITE)
        canvas.fill([(x, top), (x + wide, top + high), (x + wide * 0.2, top + high), (x + 0.03, top + 0.2),
                     (x - 0.02, top + 0.1)], (70, 80, 140), 0.28)  # fmt: skip


def starry_sky(canvas: Canvas, rng: random.Random) -> None:
    """Night with the Milky Way, a moon and a dark hill."""
    canvas.gradient(FULL, jitter((10, 12, 52), rng, 5), jitter((64, 48, 132), rng, 8))
    tilt = rng.choice((-1, 1))
    _milky_way(canvas, rng, tilt)
    for _ in range(90):
        x, y = rng.random(), rng.random() ** 1.2 * 0.9
        tint = rng.choice((WHITE, (200, 220, 255), (255, 240, 200)))
        canvas.dot(x, y, rng.choice((0.002, 0.003, 0.0045)), tint)
    for _ in range(8):
        x, y = rng.choice((rng.uniform(0.02, 0.22), rng.uniform(0.78, 0.98))), rng.uniform(0.04, 0.7)
        r = rng.uniform(0.016, 0.03)
        star = [(x, y - r), (x + r * 0.18, y - r * 0.18), (x + r, y), (x + r * 0.18, y + r * 0.18), (x, y + r),
                (x - r * 0.18, y + r * 0.18), (x - r, y), (x - r * 0.18, y - r * 0.18)]  # fmt: skip
        canvas.fill(star, (255, 250, 220))
    x, y = 0.5 - tilt * rng.uniform(0.33, 0.38), rng.uniform(0.11, 0.16)
    for r, alpha in ((0.15, 0.08), (0.12, 0.1), (0.1, 0.14)):
        canvas.fill(ellipse(x, y, r), (255, 246, 200), alpha)
    canvas.fill(ellipse(x, y, 0.075), (255, 246, 206))
    for dx, dy, r in ((0.02, -0.02, 0.016), (-0.03, 0.01, 0.012), (0.01, 0.035, 0.01)):
        canvas.fill(ellipse(x + dx, y + dy, r, n=14), (236, 218, 170))
    canvas.fill(ridge(rng, 0.86, 0.03), (20, 18, 52))


def _milky_way(canvas: Canvas, rng: random.Random, tilt: int) -> None:
    n = 96
    noise = np.random.default_rng(rng.getrandbits(32)).random((n, n))
    y, x = np.mgrid[0:n, 0:n] / n
    across = (x - 0.5) * tilt + (y - 0.45) * 0.9
    glow = np.exp(-((across / 0.16) ** 2)) * (0.45 + 0.55 * noise)
    alpha = Image.fromarray((glow * 150).astype(np.uint8)).resize(canvas.image.size, Image.Resampling.BICUBIC)
    canvas.image.paste(Image.new("RGB", canvas.image.size, (170, 150, 240)), (0, 0), alpha)


def beach(canvas: Canvas, rng: random.Random) -> None:
    """Sand, surf, the sea, and a palm."""
    canvas.gradient(FULL, jitter((86, 196, 250), rng), (226, 246, 255))
    cloud(canvas, rng.uniform(0.1, 0.2), rng.uniform(0.3, 0.38), 0.34, rng)
    cloud(canvas, rng.uniform(0.8, 0.95), rng.uniform(0.38, 0.44), 0.26, rng)
    canvas.gradient(rectangle(-0.1, 0.46, 1.1, 0.86), jitter((20, 110, 204), rng), (86, 226, 222))
    for _ in range(16):
        x, y = rng.random(), rng.uniform(0.48, 0.66)
        canvas.stroke([(x, y), (x + 0.03, y - 0.003), (x + 0.06, y)], 0.006, WHITE, 0.8, taper=(0.1, 0.1))
    surf = ridge(rng, 0.715, 0.014)
    canvas.fill(np.subtract(surf, (0, 0.024)), WHITE, 0.65)
    canvas.fill(surf, WHITE)
    canvas.gradient(np.add(surf, (0, 0.022)), jitter((252, 228, 168), rng), (240, 200, 132))
    side = rng.choice((0, 1))
    x, lean = (0.06, 0.09) if side == 0 else (0.94, -0.09)
    top = (x + lean, 0.2)
    canvas.stroke(bezier((x - lean * 0.4, 0.88), (x - lean * 0.2, 0.5), top), 0.04, (150, 104, 66), taper=(1.0, 0.6))
    for k, angle in enumerate(np.linspace(-0.5, np.pi + 0.5, 8)):
        reach = rng.uniform(0.17, 0.22)
        tip = (top[0] + np.cos(angle) * reach, top[1] - np.sin(angle) * reach * 0.55 + 0.07)
        bend = (top[0] + np.cos(angle) * reach * 0.6, top[1] - np.sin(angle) * reach * 0.8 - 0.05)
        canvas.stroke(bezier(top, bend, tip), 0.044, (40, 150, 84) if k % 2 else (60, 178, 92), taper=(0.3, 0.05))


def cherry_blossoms(canvas: Canvas, rng: random.Random) -> None:
    """Branches heavy with blossom, petals on the wind."""
    canvas.gradient(FULL, jitter((160, 212, 250), rng), (255, 236, 242))
    canvas.gradient(ridge(rng, 0.84, 0.02), (170, 214, 130), (120, 180, 100))
    pinks: tuple[Colour, ...] = ((255, 150, 186), (255, 178, 204), (255, 206, 222), (255, 228, 236))
    for side in (0, 1):
        flip = 1 if side == 0 else -1
        bark: Colour = (104, 66, 62)
        base = side + flip * rng.uniform(-0.02, 0.02)
        canvas.stroke(bezier((base, 1.0), (base + flip * 0.06, 0.5), (base + flip * 0.02, 0.1)), 0.085, bark,
                      taper=(1.1, 0.6))  # fmt: skip
        canvas.stroke(bezier((base, 0.42), (base + flip * 0.12, 0.3), (base + flip * 0.3, 0.1)), 0.035, bark)
        for tint in pinks:
            for _ in range(26):
                x = base + flip * abs(rng.gauss(0.0, 0.19))
                y = rng.uniform(-0.02, 0.42) - abs(x - base) * 0.5
                canvas.dot(x, y, rng.uniform(0.018, 0.042), tint)
    for _ in range(34):
        x, y, turn = rng.random(), rng.uniform(0.2, 1.0), rng.uniform(0, 3)
        canvas.fill(ellipse(x, y, 0.014, 0.007, turn, n=10), rng.choice(pinks[:3]))


def simple_background(canvas: Canvas, rng: random.Random) -> None:
    """One pale colour with a lighter disc."""
    tint = jitter(rng.choice(((236, 240, 246), (250, 240, 226), (232, 244, 236), (244, 234, 246))), rng, 4)
    canvas.fill(FULL, tint)
    canvas.fill(ellipse(0.5, 0.5, 0.46, n=48), mix(tint, WHITE, 0.6))
