"""What a paper doll can look like: the attributes, which of them go together, and how to number the dolls."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import accumulate
from math import prod

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "style": ("anime", "manga"),
    "subject": ("girl", "scenery"),
    "hair_length": ("short", "long", "twintails", "ponytail"),
    "hair_colour": (
        "white", "grey", "black", "blonde", "brown", "pink", "blue", "red", "green", "purple",
    ),
    "eye_colour": ("blue", "green", "red", "amber", "purple"),
    "expression": ("neutral", "smiling", "laughing", "sad", "surprised", "angry"),
    "accessory": ("none", "ribbon", "glasses", "hat", "cat ears", "flower"),
    "background": (
        "coffee shop", "Tokyo buildings", "plains", "mountains", "starry sky", "beach", "cherry blossoms",
        "simple background",
    ),
}  # fmt: skip

# Tones that are still told apart when there is no colour.
MANGA_HAIR = ("white", "grey", "black")
SCENERY_SHARE = 0.10
MANGA_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Doll:
    """One valid combination; an attribute that does not apply to it is None."""

    style: str
    subject: str
    hair_length: str | None
    hair_colour: str | None
    eye_colour: str | None
    expression: str | None
    accessory: str | None
    background: str

    def attributes(self) -> dict[str, str]:
        """The attributes that apply, in the order of ATTRIBUTES."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in named.items() if value is not None}


def applicable(style: str, subject: str, expression: str | None = None) -> dict[str, tuple[str, ...]]:
    """The values that each remaining attribute may take once these three are chosen.

    Scenery has nothing but a background; a manga page has no colours to name; laughing eyes are closed.
    """
    if subject == "scenery":
        return {"background": tuple(v for v in ATTRIBUTES["background"] if v != "simple background")}
    manga = style == "manga"
    options = {"hair_length": ATTRIBUTES["hair_length"]}
    options["hair_colour"] = MANGA_HAIR if manga else ATTRIBUTES["hair_colour"]
    if not manga and expression != "laughing":
        options["eye_colour"] = ATTRIBUTES["eye_colour"]
    return options | {"accessory": ATTRIBUTES["accessory"], "background": ATTRIBUTES["background"]}


def _blocks() -> list[tuple[dict[str, str], dict[str, tuple[str, ...]]]]:
    """Runs of dolls that share style, subject and expression: (what is fixed, what varies)."""
    blocks = []
    for style in ATTRIBUTES["style"]:
        for expression in ATTRIBUTES["expression"]:
            fixed = {"style": style, "subject": "girl", "expression": expression}
            blocks.append((fixed, applicable(style, "girl", expression)))
        blocks.append(({"style": style, "subject": "scenery"}, applicable(style, "scenery")))
    return blocks


_BLOCKS = _blocks()
_ENDS = list(accumulate(prod(len(values) for values in varying.values()) for _, varying in _BLOCKS))
COUNT: int = _ENDS[-1]


def _doll(values: Mapping[str, str]) -> Doll:
    return Doll(**{field.name: values.get(field.name) for field in fields(Doll)})  # type: ignore[arg-type]


def doll_at(index: int) -> Doll:
    """Doll number `index` of [0, COUNT): every valid combination once, in a fixed order.

    Raises IndexError outside the range.
    """
    if not 0 <= index < COUNT:
        raise IndexError(f"doll {index} does not exist: there are {COUNT}, numbered from 0")
    block = next(i for i, end in enumerate(_ENDS) if index < end)
    rest = index - (_ENDS[block - 1] if block else 0)
    fixed, varying = _BLOCKS[block]
    values = dict(fixed)
    for name, options in varying.items():
        rest, digit = divmod(rest, len(options))
        values[name] = options[digit]
    return _doll(values)


def sample_doll(seed: int) -> Doll:
    """A random doll: about one in ten is scenery, one in four is manga, everything else is uniform."""
    return doll_from({}, seed)


def doll_from(attributes: Mapping[str, str], seed: int) -> Doll:
    """A doll with these attributes; those not given are drawn at random by `seed`.

    Raises ValueError for an unknown attribute or value, and for a combination that cannot be drawn.
    """
    for name, value in attributes.items():
        if name not in ATTRIBUTES:
            raise ValueError(f"no attribute is called {name!r}; there are {', '.join(ATTRIBUTES)}")
        if value not in ATTRIBUTES[name]:
            raise ValueError(f"{name} cannot be {value!r}; it can be {', '.join(ATTRIBUTES[name])}")
    rng = random.Random(f"doll {seed}")
    styles, subjects = _possible(attributes)
    if not styles or not subjects:
        raise ValueError(f"these do not go together: {dict(attributes)}")
    values = {
        "subject": _pick(rng, subjects, "scenery", SCENERY_SHARE),
        "style": _pick(rng, styles, "manga", MANGA_SHARE),
    }
    if values["subject"] == "girl":
        open_eyed = tuple(v for v in ATTRIBUTES["expression"] if v != "laughing")
        choices = open_eyed if "eye_colour" in attributes else ATTRIBUTES["expression"]
        values["expression"] = attributes.get("expression", rng.choice(choices))
    for name, options in applicable(values["style"], values["subject"], values.get("expression")).items():
        drawn = rng.choice(options)
        values[name] = attributes.get(name, drawn)
        if values[name] not in options:
            raise ValueError(f"these do not go together: {dict(attributes)}")
    if any(values.get(name) != value for name, value in attributes.items()):
        raise ValueError(f"these do not go together: {dict(attributes)}")
    return _doll(values)


def _possible(attributes: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """The styles and the subjects that leave room for all of `attributes`."""
    of_girls = attributes.keys() - {"style", "subject", "background"}
    coloured = "eye_colour" in attributes or attributes.get("hair_colour", "white") not in MANGA_HAIR
    girls_only = bool(of_girls) or attributes.get("background") == "simple background"
    styles = ["anime"] if coloured else list(ATTRIBUTES["style"])
    subjects = ["girl"] if girls_only else list(ATTRIBUTES["subject"])
    return (
        [style for style in styles if attributes.get("style", style) == style],
        [subject for subject in subjects if attributes.get("subject", subject) == subject],
    )


def _pick(rng: random.Random, options: list[str], rare: str, share: float) -> str:
    wants_rare = rng.random() < share
    if len(options) == 1:
        return options[0]
    return rare if wants_rare else next(option for option in options if option != rare)
