"""The shape of a grammar file."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Place = Literal["head", "adjective", "noun", "with", "clause", "place", "tail"]
PLACES: tuple[Place, ...] = ("head", "adjective", "noun", "with", "clause", "place", "tail")


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Phrases(_Strict):
    """Phrases by the place they take in a prompt; `reads` are understood but never written."""

    head: list[str] = []
    adjective: list[str] = []
    noun: list[str] = []
    with_: list[str] = Field(default=[], alias="with")
    clause: list[str] = []
    place: list[str] = []
    tail: list[str] = []
    reads: list[str] = []

    def at(self, place: Place) -> list[str]:
        """The phrases for one place."""
        return getattr(self, "with_" if place == "with" else place)


class Value(Phrases):
    """One value of an attribute: how often it is drawn, and its words."""

    weight: float = Field(default=1.0, ge=0)
    word: str | None = None


class Attribute(Phrases):
    """One attribute; its own phrases hold for all its values, with {} for the value's word."""

    values: dict[str, Value]
    keep: list[str] = []
    quiet: list[str] = []


class Rule(_Strict):
    """When these values are drawn, `drop` does not apply and `allow` is all that is left."""

    when: dict[str, str]
    drop: list[str] = []
    allow: dict[str, list[str]] = {}


class Implication(_Strict):
    """A prompt that names `present` and not `absent` also means this."""

    present: str
    absent: str
    means: dict[str, str]


class Flavour(_Strict):
    """A group of words of which at most one is written, with probability `chance`."""

    place: Literal["adjective", "tail"]
    chance: float = Field(ge=0, le=1)
    words: dict[str, float]
    when: dict[str, str] = {}
    names: dict[str, dict[str, str]] = {}


class GrammarFile(_Strict):
    """A whole grammar file; see grammars/illustration.toml for what each part means."""

    attributes: dict[str, Attribute]
    rules: list[Rule] = []
    implies: list[Implication] = []
    flavours: list[Flavour] = []

    @model_validator(mode="after")
    def _names_exist(self) -> GrammarFile:
        pairs = [pair for rule in self.rules for pair in rule.when.items()]
        pairs += [(name, v) for rule in self.rules for name, values in rule.allow.items() for v in values]
        pairs += [pair for implied in self.implies for pair in implied.means.items()]
        pairs += [pair for flavour in self.flavours for pair in flavour.when.items()]
        pairs += [p for flavour in self.flavours for named in flavour.names.values() for p in named.items()]
        for name, attribute in self.attributes.items():
            pairs += [(name, value) for value in attribute.keep + attribute.quiet]
        for name, value in pairs:
            if name not in self.attributes or value not in self.attributes[name].values:
                raise ValueError(f"no attribute {name!r} with a value {value!r}")
        names = [name for rule in self.rules for name in rule.drop]
        names += [name for implied in self.implies for name in (implied.present, implied.absent)]
        for name in names:
            if name not in self.attributes:
                raise ValueError(f"no attribute {name!r}")
        return self

    @model_validator(mode="after")
    def _everything_can_be_said(self) -> GrammarFile:
        for name, attribute in self.attributes.items():
            for key, value in attribute.values.items():
                phrases = [text for place in PLACES for text in value.at(place) + attribute.at(place)]
                if all(re.fullmatch(r"\{\w+\}", text) for text in phrases):
                    raise ValueError(f"no phrase for {name} {key!r} that stands by itself")
                for slot in re.findall(r"\{(\w+)\}", " ".join(phrases + value.reads + attribute.reads)):
                    if slot not in self.attributes:
                        raise ValueError(f"{name} {key!r} has a phrase with {{{slot}}}, which is no attribute")
        return self
