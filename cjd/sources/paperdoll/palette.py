"""Colours: of things, and what becomes of them in light, in shadow and on a manga page."""

from __future__ import annotations

import random
from dataclasses import dataclass

Colour = tuple[int, int, int]

HAIR: dict[str, Colour] = {
    "white": (247, 245, 252),
    "grey": (138, 145, 160),
    "black": (46, 42, 58),
    "blonde": (252, 214, 92),
    "brown": (132, 78, 46),
    "pink": (255, 148, 190),
    "blue": (72, 130, 240),
    "red": (214, 44, 52),
    "green": (70, 184, 104),
    "purple": (148, 88, 214),
}
EYES: dict[str, Colour] = {
    "blue": (36, 112, 250),
    "green": (22, 172, 76),
    "red": (226, 28, 44),
    "amber": (246, 166, 12),
    "purple": (150, 48, 224),
}
SKIN: Colour = (255, 232, 216)
CLOTHES: tuple[Colour, ...] = ((44, 58, 104), (98, 34, 52), (36, 84, 80), (58, 52, 66), (196, 92, 110))
TRIMS: tuple[Colour, ...] = ((214, 48, 66), (240, 176, 50), (62, 120, 204), (232, 110, 160))
INK: Colour = (26, 22, 30)


@dataclass(frozen=True, slots=True)
class Tones:
    """One material: in light, in shadow, where it shines, and its outline."""

    base: Colour
    shadow: Colour
    light: Colour
    line: Colour


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """`a` with `share` in [0, 1] of `b`."""
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue


def jitter(colour: Colour, rng: random.Random, amount: int = 6) -> Colour:
    """A colour a little beside `colour`."""
    red, green, blue = (min(255, max(0, x + rng.randint(-amount, amount))) for x in colour)
    return red, green, blue


def grey_of(colour: Colour) -> Colour:
    """The luma of a colour, as a grey (ITU-R BT.601)."""
    y = round(0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2])
    return y, y, y


def tones(colour: Colour, manga: bool = False) -> Tones:
    """A material made from its colour."""
    bright = sum(colour) / 765
    if manga:
        y = grey_of(colour)
        return Tones(y, mix(y, INK, 0.22 if bright > 0.6 else 0.35), mix(y, (255, 255, 255), 0.75), INK)
    cool = (92, 70, 150) if bright > 0.85 else (60, 24, 84)
    return Tones(
        colour,
        mix(colour, cool, 0.2 if bright > 0.85 else 0.3),
        mix(colour, (255, 255, 255), 0.3 if bright < 0.3 else 0.62),
        mix(mix(colour, cool, 0.55), INK, 0.45),
    )
