"""Pictures as bytes, arrays and sheets. Arrays are uint8 [height, width, 3], RGB."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from cjd.errors import CjdError


def encode(array_HWC: np.ndarray, image_format: str = "png") -> bytes:
    """Lossless PNG or WebP; the same pixels always give the same bytes."""
    buffer = io.BytesIO()
    image = Image.fromarray(array_HWC)
    if image_format == "png":
        image.save(buffer, "PNG", compress_level=6)
    elif image_format == "webp":
        image.save(buffer, "WEBP", lossless=True, quality=80, method=4, exact=True)
    else:
        raise ValueError(f"image_format must be png or webp, got {image_format!r}")
    return buffer.getvalue()


def decode(data: bytes) -> np.ndarray:
    """uint8 [height, width, 3]. Raises CjdError when the bytes are not a whole picture."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image.convert("RGB"))
    except Exception as error:
        raise CjdError(f"not a readable picture ({error})") from error


def resize(array_HWC: np.ndarray, size: int) -> np.ndarray:
    """Square uint8 picture of `size` pixels a side: box filter when shrinking, Lanczos when growing."""
    if array_HWC.shape[:2] == (size, size):
        return array_HWC
    shrinking = min(array_HWC.shape[:2]) > size
    method = Image.Resampling.BOX if shrinking else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(array_HWC).resize((size, size), method))


def grid(pictures: Sequence[np.ndarray], columns: int, cell: int | None = None, gap: int = 2) -> np.ndarray:
    """A sheet of equal square pictures, row by row; `cell` enlarges each to that many pixels a side."""
    if not pictures:
        raise ValueError("a grid needs at least one picture")
    side = cell or max(p.shape[0] for p in pictures)
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * (side + gap) - gap, columns * (side + gap) - gap, 3), 255, np.uint8)
    for i, picture in enumerate(pictures):
        y, x = divmod(i, columns)
        enlarged = np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.NEAREST))
        sheet[y * (side + gap) : y * (side + gap) + side, x * (side + gap) : x * (side + gap) + side] = enlarged
    return sheet
