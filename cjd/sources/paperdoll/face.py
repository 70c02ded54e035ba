"""The face: skin, eyes, brows, mouth, and the marks that comics put beside them."""

from __future__ import annotations

import numpy as np

from cjd.sources.paperdoll.canvas import Canvas, bezier, ellipse, mirrored, smooth
from cjd.sources.paperdoll.palette import INK, Colour, Tones, mix, tones

EYE_X, EYE_Y = 0.136, 0.052
FACE = smooth(
    mirrored(
        [
            (0.08, -0.27), (0.2, -0.2), (0.262, -0.06), (0.258, 0.07), (0.226, 0.165), (0.15, 0.243),
            (0.055, 0.287),
        ]
    )
)  # fmt: skip
WHITE: Colour = (255, 255, 255)

# How an expression bends the eye: (width, height, inner lid, outer lid, lower lid), in units of the open eye.
EYE_SHAPES = {
    "neutral": (1.0, 0.98, 0.0, 0.0, 0.0),
    "smiling": (1.0, 1.0, 0.0, 0.0, 0.14),
    "sad": (1.0, 0.92, 0.0, 0.34, 0.0),
    "surprised": (1.1, 1.2, 0.0, 0.0, 0.0),
    "angry": (1.04, 0.95, 0.5, 0.0, 0.06),
}
# Brows: height of the inner and of the outer end, and how far the middle bulges upwards.
BROWS = {
    "neutral": (-0.083, -0.078, 0.012),
    "smiling": (-0.098, -0.083, 0.026),
    "laughing": (-0.1, -0.085, 0.03),
    "sad": (-0.118, -0.058, 0.004),
    "surprised": (-0.128, -0.112, 0.028),
    "angry": (-0.03, -0.102, -0.004),
}


def draw_skin(canvas: Canvas, skin: Tones, line: float) -> None:
    """The shape of the face."""
    canvas.shape(FACE, skin.base, skin.line, line)


def draw_face(canvas: Canvas, expression: str, eye: Colour, skin: Tones, line: float, manga: bool) -> None:
    """Everything on the face that the hair does not cover; the brows come later, over the hair."""
    _blush(canvas, expression, manga)
    canvas.stroke(bezier((-0.006, 0.158), (0.006, 0.163), (0.008, 0.168), n=4), 0.009, skin.line)
    for side in (-1, 1):
        if expression == "laughing":
            _closed_eye(canvas, side)
        else:
            _open_eye(canvas, side, expression, eye, manga)
    _mouth(canvas, expression, skin, manga)
    if expression == "sad":
        _tears(canvas, manga)


def draw_brows(canvas: Canvas, expression: str, colour: Colour) -> None:
    """Brows, seen through the fringe as is the custom."""
    inner, outer, bulge = BROWS[expression]
    strong = expression in ("angry", "sad", "surprised")
    for side in (-1, 1):
        curve = bezier((side * 0.062, inner), (side * 0.13, (inner + outer) / 2 - bulge * 2), (side * 0.205, outer))
        canvas.stroke(curve, 0.021 if strong else 0.015, colour, taper=(0.8, 0.15))


def draw_marks(canvas: Canvas, expression: str, manga: bool) -> None:
    """The signs of comics: a vein for anger, lines for surprise; drawn over everything."""
    if expression == "angry":
        red: Colour = INK if manga else (226, 30, 46)
        with canvas.placed(0.245, -0.235, 0.15, 1.1):
            for turn in range(4):
                with canvas.placed(0, 0, turn * np.pi / 2):
                    curve = bezier((0.014, -0.06), (0.016, -0.016), (0.06, -0.014))
                    canvas.stroke(curve, 0.034, WHITE)
                    canvas.stroke(curve, 0.02, red)
    if expression == "surprised":
        ink: Colour = INK if manga else (255, 190, 30)
        for angle, length in ((-0.42, 0.085), (0.0, 0.1), (0.42, 0.085)):
            with canvas.placed(0.3, -0.26, 0.75 + angle):
                mark = [(-0.008, -0.06), (-0.02, -0.07 - length), (0.02, -0.07 - length), (0.008, -0.06)]
                canvas.outline(mark, INK if not manga else WHITE, 0.02)
                canvas.fill(mark, ink)


def _blush(canvas: Canvas, expression: str, manga: bool) -> None:
    strength = {"smiling": 0.5, "laughing": 0.75, "angry": 0.6, "neutral": 0.25, "sad": 0.3, "surprised": 0.25}
    for side in (-1, 1):
        if manga:
            if expression in ("smiling", "laughing", "angry"):
                for i in range(3):
                    x = side * 0.18 + (i - 1) * 0.022
                    canvas.stroke([(x + 0.008, 0.156), (x, 0.17), (x - 0.008, 0.184)], 0.006, INK)
            continue
        pink = (255, 96, 96) if expression == "angry" else (255, 128, 138)
        for k in (1.0, 0.8, 0.6):
            blob = ellipse(side * 0.178, 0.168, 0.06 * k, 0.031 * k, n=18)
            canvas.fill(blob, pink, strength[expression] * 0.4)


def _open_eye(canvas: Canvas, side: int, expression: str, eye: Colour, manga: bool) -> None:
    wide, high, inner, outer, lower = EYE_SHAPES[expression]
    rx, ry = 0.089 * wide, 0.11 * high
    with canvas.placed(side * EYE_X, EYE_Y):
        top_in, top_out = -ry * (1 - inner), -ry * (1 - outer)
        # From the inner corner over the upper lid to the outer corner, and back below.
        lid = smooth(
            [
                (-side * rx, ry * 0.12 + top_in * 0.12), (-side * rx * 0.62, top_in * 0.86),
                (0.0, (top_in + top_out) / 2 * 1.02), (side * rx * 0.66, top_out * 0.84),
                (side * rx * 1.04, ry * 0.08 + top_out * 0.1),
            ],
            closed=False, n=7,
        )  # fmt: skip
        low = ry * (1 - lower)
        under = smooth(
            [(side * rx * 1.0, ry * 0.1), (side * rx * 0.7, low * 0.8), (0, low), (-side * rx * 0.72, low * 0.8)],
            closed=False,
            n=6,
        )
        white = np.concatenate([lid, under])
        canvas.fill(white, WHITE)
        with canvas.clip(white):
            _iris(canvas, side, rx, ry, expression, eye, manga)
            shade = np.add(lid, (0, 0.016))
            canvas.fill(np.concatenate([lid, shade[::-1]]), INK, 0.25)
        _lashes(canvas, side, lid, under, rx, ry, expression)


def _iris(canvas: Canvas, side: int, rx: float, ry: float, expression: str, eye: Colour, manga: bool) -> None:
    startled = expression == "surprised"
    ix, iy = (rx * 0.7, ry * 0.7) if startled else (rx * 0.88, ry * 0.98)
    cy = 0.0 if startled else 0.004
    ball = ellipse(-side * 0.004, cy, ix, iy)
    dark = mix(eye, INK, 0.55)
    canvas.gradient(ball, mix(eye, INK, 0.12), mix(eye, WHITE, 0.14))
    with canvas.clip(ball):
        # Light gathers in the lower half, opposite to where it comes in.
        canvas.fill(ellipse(-side * 0.004, cy + iy * 0.62, ix * 0.66, iy * 0.34), mix(eye, WHITE, 0.4), 0.75)
    canvas.outline(ball, dark, 0.008)
    canvas.fill(ellipse(-side * 0.004, cy - iy * 0.02, ix * 0.27, iy * 0.31), mix(dark, INK, 0.6))
    canvas.fill(ellipse(-0.03, cy - iy * 0.46, ix * 0.3, iy * 0.23, n=18), WHITE)
    canvas.fill(ellipse(0.034, cy + iy * 0.46, ix * 0.15, iy * 0.12, n=12), WHITE)
    if expression == "sad":
        canvas.fill(ellipse(0.0, cy + iy * 0.78, ix * 0.7, iy * 0.16, n=14), WHITE, 0.85)


def _lashes(
    canvas: Canvas, side: int, lid: np.ndarray, under: np.ndarray, rx: float, ry: float, expression: str
) -> None:
    thick = 0.026 if expression != "surprised" else 0.019
    canvas.stroke(lid, thick, INK, taper=(0.3, 0.75))
    corner = lid[-1]
    for dx, dy in ((0.024, -0.03), (0.03, -0.008)):
        tip = (corner[0] + side * dx, corner[1] + dy)
        canvas.stroke([lid[-5], tuple(corner), tip], 0.014, INK, taper=(1.0, 0.05))
    canvas.stroke(under[3:16], 0.0085, mix(INK, (150, 80, 70), 0.35), taper=(0.3, 0.3))


def _closed_eye(canvas: Canvas, side: int) -> None:
    x = side * EYE_X
    curve = bezier((x - 0.078, 0.098), (x - 0.03, -0.045), (x + 0.03, -0.045), (x + 0.078, 0.098), n=14)
    canvas.stroke(curve, 0.026, INK, taper=(0.5, 0.5))
    for dx in (0.0, 0.02):
        canvas.stroke(
            [(x + side * (0.062 - dx), 0.06 - dx * 1.4), (x + side * (0.1 - dx), 0.042 - dx * 1.8)],
            0.012, INK, taper=(1.0, 0.1),
        )  # fmt: skip


def _mouth(canvas: Canvas, expression: str, skin: Tones, manga: bool) -> None:
    red: Colour = INK if manga else (150, 34, 48)
    tongue: Colour = (205, 205, 205) if manga else (246, 122, 122)
    lip = mix(skin.line, INK, 0.4)
    if expression == "neutral":
        canvas.stroke(bezier((-0.026, 0.217), (0, 0.221), (0.026, 0.217), n=5), 0.0105, lip, taper=(0.5, 0.5))
    elif expression == "smiling":
        curve = bezier((-0.078, 0.192), (-0.036, 0.256), (0.036, 0.256), (0.078, 0.192))
        canvas.stroke(curve, 0.016, lip, taper=(0.6, 0.6))
    elif expression == "sad":
        curve = bezier((-0.06, 0.244), (-0.03, 0.19), (0.03, 0.19), (0.06, 0.244))
        canvas.stroke(curve, 0.016, lip, taper=(0.5, 0.5))
    elif expression == "surprised":
        canvas.shape(ellipse(0, 0.222, 0.038, 0.046), red, lip, 0.008)
        canvas.fill(ellipse(0, 0.249, 0.024, 0.014, n=14), tongue)
    elif expression == "angry":
        wave = smooth([(-0.062, 0.242), (-0.036, 0.215), (-0.012, 0.234), (0.012, 0.213), (0.036, 0.234),
                       (0.062, 0.228)], closed=False)  # fmt: skip
        canvas.stroke(wave, 0.018, lip, taper=(0.6, 0.6))
    else:
        mouth = np.concatenate(
            [bezier((-0.078, 0.176), (0, 0.196), (0.078, 0.176)), bezier((0.07, 0.2), (0, 0.34), (-0.07, 0.2))]
        )
        canvas.fill(mouth, red)
        with canvas.clip(mouth):
            canvas.fill(ellipse(0, 0.262, 0.05, 0.034), tongue)
            canvas.fill(ellipse(0, 0.18, 0.064, 0.02), WHITE)
        canvas.outline(mouth, lip, 0.009)


def _tears(canvas: Canvas, manga: bool) -> None:
    water = tones((236, 236, 236) if manga else (120, 196, 255), manga)
    for side in (-1, 1):
        x = side * 0.158
        drop = smooth([(x, 0.12), (x + 0.028, 0.19), (x + 0.02, 0.226), (x, 0.236), (x - 0.02, 0.226),
                       (x - 0.028, 0.19)])  # fmt: skip
        canvas.shape(drop, water.base, mix(water.line, water.base, 0.3), 0.007)
        canvas.fill(ellipse(x - 0.008, 0.196, 0.008, 0.014, n=10), WHITE)
