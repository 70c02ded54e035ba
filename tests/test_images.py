from __future__ import annotations

import numpy as np
import pytest

from cjd.errors import CjdError
from cjd.images import decode, encode, grid, resize


@pytest.mark.parametrize("image_format", ["png", "webp"])
def test_encoding_loses_nothing_and_repeats_itself(image_format: str) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (33, 17, 3), np.uint8)
    data = encode(picture, image_format)
    assert (decode(data) == picture).all()
    assert encode(picture, image_format) == data


def test_what_is_no_picture_is_told() -> None:
    whole = encode(np.zeros((64, 64, 3), np.uint8))
    for data in (b"", b"hello", whole[: len(whole) // 2]):
        with pytest.raises(CjdError, match="not a readable picture"):
            decode(data)
    with pytest.raises(ValueError, match="png or webp"):
        encode(np.zeros((4, 4, 3), np.uint8), "gif")


def test_shrinking_is_the_mean_of_boxes() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    means = picture.reshape(16, 4, 16, 4, 3).mean((1, 3))
    assert np.abs(resize(picture, 16) - means).max() <= 1
    assert resize(picture, 64) is picture
    assert resize(picture, 128).shape == (128, 128, 3)


def test_a_grid_keeps_every_picture() -> None:
    pictures = [np.full((8, 8, 3), i, np.uint8) for i in range(5)]
    sheet = grid(pictures, columns=3, gap=1)
    assert sheet.shape == (17, 26, 3)
    assert sheet[10, 10, 0] == 4
    with pytest.raises(ValueError, match="at least one"):
        grid([], 2)
