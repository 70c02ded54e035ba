"""What she wears: the body with its collar, and the one accessory."""

from __future__ import annotations

import random

import numpy as np

from cjd.sources.paperdoll.canvas import Canvas, bezier, ellipse, mirrored, smooth
from cjd.sources.paperdoll.palette import CLOTHES, INK, TRIMS, Colour, Tones, grey_of, jitter, mix, tones

WHITE: Colour = (255, 255, 255)


def draw_body(canvas: Canvas, skin: Tones, line: float, manga: bool, rng: random.Random) -> None:
    """Neck and shoulders in a sailor blouse; the origin is the chin, the picture ends below."""
    neck = mirrored([(0.058, -0.05), (0.056, 0.05), (0.1, 0.09)])
    canvas.shape(neck, skin.base, skin.line, line)
    canvas.fill(mirrored([(0.056, -0.03), (0.056, 0.03), (0.0, 0.055)]), skin.shadow)
    dress = jitter(rng.choice(CLOTHES), rng)
    trim = jitter(rng.choice(TRIMS), rng)
    blouse = rng.random() < 0.6
    cloth = tones(mix(WHITE, dress, 0.03) if blouse else mix(dress, WHITE, 0.12), manga)
    half = [(0.06, 0.045), (0.14, 0.07), (0.235, 0.11), (0.285, 0.2), (0.3, 0.4)]
    body = np.concatenate([smooth(half, closed=False), (smooth(half, closed=False) * [-1, 1])[::-1]])
    canvas.shape(body, cloth.base, cloth.line, line)
    for side in (-1, 1):
        canvas.stroke(bezier((side * 0.185, 0.4), (side * 0.195, 0.22), (side * 0.22, 0.17)), 0.008, cloth.line)
    flaps = tones(dress if blouse else WHITE, manga)
    stripe = grey_of(WHITE) if blouse else (INK if manga else trim)
    for side in (-1, 1):
        flap = np.array([(0.052, 0.035), (0.135, 0.062), (0.205, 0.115), (0.14, 0.205), (0.012, 0.17)])
        canvas.shape(flap * [side, 1], flaps.base, flaps.line, line)
        canvas.stroke(np.array([(0.186, 0.118), (0.132, 0.187), (0.03, 0.16)]) * [side, 1], 0.009, stripe)
    _bow(canvas, 0.0, 0.165, 0.62, tones(trim, manga), line)


def draw_accessory(canvas: Canvas, kind: str, hair: Tones, line: float, manga: bool, rng: random.Random) -> None:
    """The accessory, over the hair. Drawn in the head's coordinates."""
    side = rng.choice((-1, 1))
    if kind == "ribbon":
        reds: tuple[Colour, ...] = ((222, 36, 58), (240, 86, 140), (52, 104, 220))
        best = max(reds, key=lambda colour: _distance(colour, hair.base) - 60 * reds.index(colour))
        colour = INK if manga and hair.base[0] > 128 else (255, 255, 255) if manga else best
        with canvas.placed(side * 0.05, -0.325, side * 0.12):
            _bow(canvas, 0.0, 0.0, 1.75, tones(jitter(colour, rng) if not manga else colour, manga), line)
    elif kind == "glasses":
        _glasses(canvas, manga)
    elif kind == "hat":
        _hat(canvas, line, manga, rng)
    elif kind == "flower":
        petals: tuple[Colour, ...] = ((255, 255, 255), (255, 120, 60), (255, 214, 60))
        best = max(petals, key=lambda colour: _distance(colour, hair.base))
        _flower(canvas, side * 0.225, -0.19, WHITE if manga else best, line, manga)


def draw_ears(canvas: Canvas, hair: Tones, line: float, manga: bool) -> None:
    """Cat ears: they stand behind the fringe, so they are drawn before it."""
    inner: Colour = (176, 176, 176) if manga else (255, 158, 172)
    for side in (-1, 1):
        ear = np.concatenate(
            [
                bezier((0.075, -0.3), (0.15, -0.46), (0.255, -0.515), n=8),
                bezier((0.255, -0.515), (0.33, -0.4), (0.305, -0.16), n=8),
            ]
        )
        hollow = np.concatenate(
            [
                bezier((0.14, -0.31), (0.18, -0.41), (0.243, -0.455), n=6),
                bezier((0.243, -0.455), (0.285, -0.37), (0.275, -0.24), n=6),
            ]
        )
        canvas.shape(ear * [side, 1], hair.base, hair.line, line * 1.2)
        canvas.shape(hollow * [side, 1], inner, hair.line, line * 0.6)


def _distance(a: Colour, b: Colour) -> float:
    return float(np.abs(np.subtract(a, b)).sum())


def _bow(canvas: Canvas, x: float, y: float, size: float, cloth: Tones, line: float) -> None:
    with canvas.placed(x, y, 0.0, size):
        for side in (-1, 1):
            tail = np.array([(0.01, 0.01), (0.085, 0.1), (0.05, 0.098), (0.035, 0.125), (0.0, 0.03)])
            canvas.shape(tail * [side, 1], cloth.shadow, cloth.line, line)
        for side in (-1, 1):
            loop = smooth([(0.0, 0.0), (0.06, -0.06), (0.135, -0.075), (0.145, 0.0), (0.125, 0.06), (0.05, 0.035)])
            loop = loop * [side, 1]
            canvas.shape(loop, cloth.base, cloth.line, line)
            canvas.fill(bezier((0.02, 0.0), (0.08, -0.022), (0.1, 0.03), n=6) * [side, 1], cloth.shadow)
            canvas.stroke(bezier((0.06, -0.045), (0.11, -0.062), (0.125, -0.03)) * [side, 1], 0.01, cloth.light)
        canvas.shape(ellipse(0, 0, 0.026, 0.031, n=14), cloth.base, cloth.line, line)


def _glasses(canvas: Canvas, manga: bool) -> None:
    frame: Colour = INK if manga else (44, 30, 52)
    for side in (-1, 1):
        rim = ellipse(side * 0.133, 0.058, 0.112, 0.108)
        canvas.fill(rim, (235, 245, 255), 0.08)
        with canvas.clip(rim):
            for x, wide in ((0.05, 0.022), (0.09, 0.01)):
                x = side * 0.133 + x
                glint = [(x, -0.06), (x + wide, -0.06), (x + wide - 0.06, 0.18), (x - 0.06, 0.18)]
                canvas.fill(glint, WHITE, 0.35)
        canvas.outline(rim, frame, 0.019)
        canvas.stroke([(side * 0.243, 0.045), (side * 0.285, 0.03)], 0.018, frame)
    canvas.stroke(bezier((-0.024, 0.05), (0, 0.034), (0.024, 0.05), n=6), 0.018, frame)


def _hat(canvas: Canvas, line: float, manga: bool, rng: random.Random) -> None:
    straw = tones((222, 222, 222) if manga else jitter((246, 214, 140), rng), manga)
    band = INK if manga else jitter((214, 54, 70), rng)
    crown = smooth([(-0.25, -0.2), (-0.245, -0.33), (-0.15, -0.435), (0.0, -0.46), (0.15, -0.435),
                    (0.245, -0.33), (0.25, -0.2), (0.0, -0.17)])  # fmt: skip
    brim = smooth([(-0.45, -0.13), (-0.36, -0.235), (-0.2, -0.255), (0.0, -0.26), (0.2, -0.255), (0.36, -0.235),
                   (0.45, -0.13), (0.3, -0.15), (0.15, -0.172), (0.0, -0.18), (-0.15, -0.172), (-0.3, -0.15)])  # fmt: skip
    canvas.shape(crown, straw.base, straw.line, line)
    with canvas.clip(crown):
        ribbon = np.concatenate([bezier((-0.3, -0.3), (0, -0.335), (0.3, -0.3)), [(0.3, -0.2), (-0.3, -0.2)]])
        canvas.fill(ribbon, band)
        for k in range(4):
            y = -0.44 + 0.035 * k
            canvas.stroke(bezier((-0.26, y + 0.05), (0, y), (0.26, y + 0.05)), 0.005, straw.shadow)
    canvas.shape(brim, straw.base, straw.line, line)
    with canvas.clip(brim):
        for y in (-0.215, -0.195):
            canvas.stroke(bezier((-0.44, y + 0.08), (0, y - 0.03), (0.44, y + 0.08)), 0.005, straw.shadow)


def _flower(canvas: Canvas, x: float, y: float, colour: Colour, line: float, manga: bool) -> None:
    petal = tones(colour, manga)
    leaf = tones((70, 150, 80), manga)
    with canvas.placed(x, y, 0.2, 1.15):
        for angle in (2.2, 0.4):
            with canvas.placed(0, 0, angle):
                canvas.shape(smooth([(0.02, 0), (0.09, -0.04), (0.15, 0), (0.09, 0.03)]), leaf.base, leaf.line, line)
        for k in range(5):
            with canvas.placed(0, 0, k * 2 * np.pi / 5):
                shape = smooth([(0.0, 0.0), (-0.055, -0.06), (-0.04, -0.108), (0.0, -0.098), (0.04, -0.108),
                                (0.055, -0.06)])  # fmt: skip
                canvas.shape(shape, petal.base, petal.line, line)
                canvas.stroke([(0, -0.02), (0, -0.065)], 0.008, petal.shadow, taper=(1.0, 0.1))
        centre: Colour = INK if manga else (250, 190, 40) if colour != (255, 214, 60) else (190, 90, 30)
        canvas.shape(ellipse(0, 0, 0.03, n=14), centre, petal.line, line)
