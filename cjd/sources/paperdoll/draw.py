"""From a doll to a picture."""

from __future__ import annotations

import random
from dataclasses import replace

from PIL import Image

from cjd.sources.paperdoll import places, town
from cjd.sources.paperdoll.attributes import Doll
from cjd.sources.paperdoll.canvas import Canvas
from cjd.sources.paperdoll.face import draw_brows, draw_face, draw_marks, draw_skin
from cjd.sources.paperdoll.hair import draw_back, draw_front, draw_locks
from cjd.sources.paperdoll.manga import page, screentone
from cjd.sources.paperdoll.palette import EYES, HAIR, INK, SKIN, TRIMS, Colour, jitter, mix, tones
from cjd.sources.paperdoll.wear import draw_accessory, draw_body, draw_ears

BACKGROUNDS = {
    "coffee shop": town.coffee_shop,
    "Tokyo buildings": town.tokyo,
    "plains": places.plains,
    "mountains": places.mountains,
    "starry sky": places.starry_sky,
    "beach": places.beach,
    "cherry blossoms": places.cherry_blossoms,
    "simple background": places.simple_background,
}
FACTOR = 3
SMALLEST, LARGEST = 16, 1024
MANGA_EYE: Colour = (70, 70, 70)


def draw(doll: Doll, size: int = 256, seed: int = 0) -> Image.Image:
    """The picture of `doll`, RGB, size x size pixels; made for sizes from 64 to 256.

    `seed` moves the head, the strands, the clouds and the colours a little; doll, size and seed decide
    every pixel. The layout does not depend on the size. Raises ValueError for a size outside [16, 1024].
    """
    if not SMALLEST <= size <= LARGEST:
        raise ValueError(f"size is {size}; it must be from {SMALLEST} to {LARGEST} pixels")
    rng = random.Random(f"draw {seed}")
    canvas = Canvas(size, FACTOR)
    manga = doll.style == "manga"
    BACKGROUNDS[doll.background](canvas, random.Random(rng.getrandbits(64)))
    if manga:
        page(canvas, inked=doll.background != "starry sky")  # lines would put out the stars
    if doll.subject == "girl":
        _girl(canvas, doll, manga, random.Random(rng.getrandbits(64)))
    if doll.background == "coffee shop":
        town.steaming_cup(canvas, random.Random(rng.getrandbits(64)))
    return screentone(canvas) if manga else canvas.finish()


def _girl(canvas: Canvas, doll: Doll, manga: bool, rng: random.Random) -> None:
    assert doll.hair_length and doll.hair_colour and doll.expression and doll.accessory
    line = 0.0085 if manga else 0.0065
    hair = tones(HAIR[doll.hair_colour] if manga else jitter(HAIR[doll.hair_colour], rng, 5), manga)
    skin = tones((255, 255, 255) if manga else jitter(SKIN, rng, 4), manga)
    if not manga:
        skin = replace(skin, shadow=(244, 190, 172), line=(150, 84, 78))
    eye = MANGA_EYE if doll.eye_colour is None else jitter(EYES[doll.eye_colour], rng, 8)
    tie = (255, 255, 255) if manga else jitter(rng.choice(TRIMS), rng)
    x, y = 0.5 + rng.uniform(-0.025, 0.025), 0.525 + rng.uniform(-0.012, 0.02)
    tilt, scale = rng.uniform(-0.075, 0.075), rng.uniform(0.95, 1.03)
    hidden_hair = random.Random(rng.getrandbits(64))
    with canvas.placed(x, y, tilt, scale):
        draw_back(canvas, doll.hair_length, hair, line, hidden_hair, tie)
    with canvas.placed(0.5 + (x - 0.5) * 0.8, y + 0.265 * scale, 0.0, scale):
        draw_body(canvas, skin, line, manga, random.Random(rng.getrandbits(64)))
    brow = INK if manga else mix(hair.line, INK, 0.35)
    with canvas.placed(x, y, tilt, scale):
        draw_locks(canvas, doll.hair_length, hair, line, hidden_hair)
        draw_skin(canvas, skin, line)
        draw_face(canvas, doll.expression, eye, skin, line, manga)
        if doll.accessory == "cat ears":
            draw_ears(canvas, hair, line, manga)
        draw_front(canvas, doll.hair_length, hair, line, hidden_hair, skin)
        draw_brows(canvas, doll.expression, brow)
        draw_accessory(canvas, doll.accessory, hair, line, manga, rng)
        draw_marks(canvas, doll.expression, manga)
