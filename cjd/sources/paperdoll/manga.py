"""What makes a page of manga: no colour, ink, and screentone for everything between."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageFilter

from cjd.sources.paperdoll.canvas import Canvas


def page(canvas: Canvas, inked: bool = True) -> None:
    """Turn what has been drawn so far into a background: grey, a little paler, its edges inked."""
    grey = canvas.image.convert("L")
    small = grey.reduce(canvas.factor)
    edges = small.filter(ImageFilter.FIND_EDGES).point([min(255, int(max(0, v - 26) * 3.2)) for v in range(256)])
    edges.paste(0, (0, 0, edges.width, 1))
    edges.paste(0, (0, edges.height - 1, edges.width, edges.height))
    edges.paste(0, (0, 0, 1, edges.height))
    edges.paste(0, (edges.width - 1, 0, edges.width, edges.height))
    paler = grey.point([min(255, int(24 + v * 0.98)) for v in range(256)])
    paler.paste(20, (0, 0), edges.resize(grey.size, Image.Resampling.BILINEAR))
    canvas.image.paste((paler if inked else grey).convert("RGB"))


def screentone(canvas: Canvas) -> Image.Image:
    """The finished page, RGB with equal channels: middle greys become dots of a 45 degree screen."""
    grey = np.asarray(canvas.image.convert("L"), dtype=np.float32) / 255
    dots = grey + (grey - _screen(canvas.size, canvas.factor)) * 2.2
    # Near white and near black stay flat, as a tone sheet is only laid where there is a tone; where the
    # picture is too small to show dots they are fainter.
    strength = 0.6 * min(1.0, canvas.size / 160)
    tone = np.clip(np.minimum(grey - 0.16, 0.92 - grey) * 8, 0, 1) * strength
    mixed = grey + (np.clip((dots - 0.5) * 1.4 + 0.5, 0, 1) - grey) * tone
    mixed += (1 - mixed) * np.clip((grey - 0.88) / 0.07, 0, 1)
    mixed = np.where(grey < 0.16, mixed * (0.5 + grey * 3), mixed)
    return Image.fromarray(np.round(mixed * 255).astype(np.uint8)).reduce(canvas.factor).convert("RGB")


@lru_cache(maxsize=4)
def _screen(size: int, factor: int) -> np.ndarray:
    """The threshold of the screen at each point, in [0, 1]: round dots, never closer than 2.8 pixels apart."""
    pitch = max(2.0, size / 100) * factor
    y, x = np.mgrid[0 : size * factor, 0 : size * factor].astype(np.float32) * np.float32(np.pi / pitch)
    return (2 + np.cos(x + y) + np.cos(x - y)) / 4
