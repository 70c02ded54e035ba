"""A supersampled canvas in unit coordinates: x to the right, y down, the picture is [0, 1] x [0, 1]."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from math import comb, cos, pi, sin

import numpy as np
from PIL import Image, ImageDraw

from cjd.sources.paperdoll.palette import Colour

Points = np.ndarray | Sequence[tuple[float, float]]


class Canvas:
    """Draws anti-aliased shapes; `head` moves, turns and scales everything drawn inside it."""

    def __init__(self, size: int, factor: int) -> None:
        self.size = size
        self.factor = factor
        self.side = size * factor
        self.image = Image.new("RGB", (self.side, self.side))
        self._pen = ImageDraw.Draw(self.image, "RGBA")
        self._origin = (0, 0)
        self._matrix = np.eye(3)
        self._aim()

    def finish(self) -> Image.Image:
        """The picture, size x size, RGB."""
        return self.image.reduce(self.factor)

    @contextmanager
    def placed(self, x: float, y: float, angle: float = 0.0, scale: float = 1.0) -> Iterator[None]:
        """Shapes drawn inside have their origin at (x, y), turned by `angle` (radians, clockwise)."""
        before = self._matrix
        c, s = cos(angle) * scale, sin(angle) * scale
        step = np.array([[c, -s, x], [s, c, y], [0.0, 0.0, 1.0]])
        self._matrix = before @ step
        self._aim()
        yield
        self._matrix = before
        self._aim()

    @contextmanager
    def clip(self, points: Points) -> Iterator[None]:
        """Shapes drawn inside are seen only within the closed outline `points`."""
        pixels = self._pixels(points)
        left, top = np.floor(pixels.min(axis=0)).astype(int)
        right, bottom = np.ceil(pixels.max(axis=0)).astype(int) + 1
        width, height = self.image.size
        box = (max(0, int(left)), max(0, int(top)), min(width, int(right)), min(height, int(bottom)))
        if box[0] >= box[2] or box[1] >= box[3]:
            box = (0, 0, 1, 1)
        outer, pen, origin = self.image, self._pen, self._origin
        mask = Image.new("L", (box[2] - box[0], box[3] - box[1]))
        ImageDraw.Draw(mask).polygon((pixels - box[:2]).ravel().tolist(), fill=255)
        self.image = outer.crop(box)
        self._pen = ImageDraw.Draw(self.image, "RGBA")
        self._origin = (origin[0] + box[0], origin[1] + box[1])
        self._aim()
        yield
        outer.paste(self.image, box[:2], mask)
        self.image, self._pen, self._origin = outer, pen, origin
        self._aim()

    def fill(self, points: Points, colour: Colour, alpha: float = 1.0) -> None:
        """A closed shape in one colour."""
        ink = (*colour, round(255 * alpha)) if alpha < 1 else colour
        self._pen.polygon(self._pixels(points).ravel().tolist(), fill=ink)

    def dot(self, x: float, y: float, rx: float, colour: Colour, ry: float | None = None) -> None:
        """A small upright ellipse: quicker than `fill`, for the many dots of a background."""
        ry = rx if ry is None else ry
        (left, top), (right, bottom) = self._pixels([(x - rx, y - ry), (x + rx, y + ry)])
        self._pen.ellipse((left, top, max(left, right), max(top, bottom)), fill=colour)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        """An upright box by two corners: quicker than `fill`, for the many windows of a town."""
        (left, top), (right, bottom) = self._pixels([(x0, y0), (x1, y1)])
        self._pen.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), fill=colour)

    def gradient(self, points: Points, top: Colour, bottom: Colour) -> None:
        """A closed shape that goes from one colour at its top to another at its bottom."""
        with self.clip(points):
            width, height = self.image.size
            ramp = np.linspace(0, 1, height)[:, None, None]
            column = np.array(top) * (1 - ramp) + np.array(bottom) * ramp
            strip = Image.fromarray(np.round(column).astype(np.uint8))
            self.image.paste(strip.resize((width, height), Image.Resampling.NEAREST))

    def stroke(
        self,
        points: Points,
        width: float,
        colour: Colour,
        alpha: float = 1.0,
        taper: tuple[float, float] = (1.0, 1.0),
    ) -> None:
        """A line along `points`; `taper` is its relative width at both ends, `width` that in the middle."""
        points = np.asarray(points, dtype=float)
        along = np.empty_like(points)
        along[1:-1] = points[2:] - points[:-2]
        along[0], along[-1] = points[1] - points[0], points[-1] - points[-2]
        length = np.sqrt((along * along).sum(axis=1))[:, None] + 1e-9
        normal = along[:, ::-1] * (-1, 1) / length
        half = _profile(len(points), *taper) * (width / 2)
        ribbon = np.concatenate([points + normal * half, (points - normal * half)[::-1]])
        self.fill(ribbon, colour, alpha)
        for end, share in ((points[0], taper[0]), (points[-1], taper[1])):
            if share >= 0.5:
                self.fill(ellipse(end[0], end[1], width * share / 2, n=8), colour, alpha)

    def shape(self, points: Points, colour: Colour, line: Colour, width: float) -> None:
        """A closed shape with an outline."""
        self.fill(points, colour)
        self.outline(points, line, width)

    def outline(self, points: Points, colour: Colour, width: float) -> None:
        """The line around a closed shape; `width` in units, never under half a pixel of the picture."""
        pixels = self._pixels(points)
        ring = np.concatenate([pixels, pixels[:2]]).ravel().tolist()
        thick = max(width * self.side * self._scale(), self.factor * 0.6)
        self._pen.line(ring, fill=colour, width=max(1, round(thick)), joint="curve")

    def _aim(self) -> None:
        """Work out once how units become pixels, as every point of every shape asks for it."""
        self._linear = self._matrix[:2, :2].T * self.side
        self._shift = self._matrix[:2, 2] * self.side - self._origin

    def _scale(self) -> float:
        return float(np.hypot(self._matrix[0, 0], self._matrix[1, 0]))

    def _pixels(self, points: Points) -> np.ndarray:
        return np.asarray(points, dtype=float) @ self._linear + self._shift


def ellipse(x: float, y: float, rx: float, ry: float | None = None, angle: float = 0.0, n: int = 28) -> np.ndarray:
    """A closed ellipse, [n, 2]; `angle` in radians, clockwise."""
    ry = rx if ry is None else ry
    c, s = cos(angle), sin(angle)
    return _circle(n) @ ((rx * c, rx * s), (-ry * s, ry * c)) + (x, y)


def smooth(points: Points, closed: bool = True, n: int = 6) -> np.ndarray:
    """A curve through `points`, `n` steps between two of them (Catmull and Rom 1974, tension 1/2)."""
    points = np.asarray(points, dtype=float)
    first, last = (points[-1:], points[:2]) if closed else (points[:1], points[-1:])
    padded = np.concatenate([first, points, last])
    windows = np.stack([padded[i : len(padded) - 3 + i] for i in range(4)], axis=1)
    curve = (_catmull_rom(n) @ windows).reshape(-1, 2)
    return curve if closed else np.concatenate([curve, points[-1:]])


def bezier(*control: tuple[float, float], n: int = 10) -> np.ndarray:
    """A Bezier curve of any degree, [n + 1, 2]."""
    return _bernstein(len(control) - 1, n) @ control


def mirrored(points: Points) -> np.ndarray:
    """The right half of an outline, from top to bottom, closed with its mirror image at x = 0."""
    points = np.asarray(points, dtype=float)
    return np.concatenate([points, (points * [-1, 1])[::-1]])


@cache
def _circle(n: int) -> np.ndarray:
    t = np.arange(n) * (2 * pi / n)
    return np.stack([np.cos(t), np.sin(t)], axis=1)


@cache
def _profile(n: int, start: float, end: float) -> np.ndarray:
    """Relative width of a stroke at its n points, [n, 1]: 1 in the middle, `start` and `end` at the ends."""
    t = np.linspace(0, 1, n)[:, None]
    ends = np.where(t < 0.5, start, end)
    return ends + (1 - ends) * np.sin(pi * t)


@cache
def _catmull_rom(n: int) -> np.ndarray:
    """Weights of four neighbouring points for n steps between the middle two, [n, 4]."""
    t = np.arange(n) / n
    weights = [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2]
    return np.stack(weights, axis=1) / 2


@cache
def _bernstein(degree: int, n: int) -> np.ndarray:
    """Weights of a Bezier curve's control points at n + 1 places, [n + 1, degree + 1]."""
    t = np.linspace(0, 1, n + 1)
    return np.stack([comb(degree, k) * t**k * (1 - t) ** (degree - k) for k in range(degree + 1)], axis=1)
