"""A weighted grammar: draws attributes, writes them as a prompt, and reads them back from one."""

from __future__ import annotations

import hashlib
import random
import re
import tomllib
from collections.abc import Mapping
from functools import cached_property
from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from cjd.errors import UsageError
from cjd.prompts.reading import Reader
from cjd.prompts.schema import PLACES, Flavour, GrammarFile, Place

QUIET_OMIT = 0.85
SMALLEST_HELD_OUT = 4

Weights = Mapping[str, Mapping[str, float]]


def is_held_out(attributes: Mapping[str, str], share: float = 0.1) -> bool:
    """Whether this full combination is kept for evaluation: the same answer on every machine, for ever.

    About `share` of all combinations are; the order of `attributes` does not matter. A combination of
    fewer than four (scenery is a style and a place) never is: holding it out would hide a whole kind of
    picture, not a combination of known kinds.
    """
    if len(attributes) < SMALLEST_HELD_OUT:
        return False
    key = "\n".join(f"{name}={value}" for name, value in sorted(attributes.items()))
    number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
    return number < share * 2**64


class Grammar:
    """A grammar file, ready to draw, write and read. Build one with `Grammar.load`."""

    def __init__(self, file: GrammarFile, weights: Weights | None = None, name: str = "grammar") -> None:
        self.file = file
        self.name = name
        self.weights = {
            attribute: {key: value.weight for key, value in declared.values.items()}
            for attribute, declared in file.attributes.items()
        }
        for attribute, changed in (weights or {}).items():
            self._reweigh(attribute, changed)

    @classmethod
    def load(cls, name: str | Path = "illustration", weights: Weights | None = None) -> Grammar:
        """A grammar of the package by its name, or any TOML file by its path.

        `weights` overrides how often a value is drawn: {"background": {"coffee shop": 3.0}}.
        Raises UsageError for an unknown name, a faulty file and weights for what does not exist.
        """
        folder = files("cjd.prompts") / "grammars"
        source = folder / f"{name}.toml"
        if not source.is_file():
            source = Path(name)
        if not source.is_file():
            known = sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir())
            raise UsageError(f"no grammar {str(name)!r}; give the path of a TOML file or {', '.join(known)}")
        try:
            file = GrammarFile.model_validate(tomllib.loads(source.read_text(encoding="utf-8")))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"{source}: not TOML ({error})") from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "grammar"
            raise UsageError(f"{source}: {where}: {first['msg']}") from None
        return cls(file, weights, str(name))

    @property
    def attributes(self) -> dict[str, tuple[str, ...]]:
        """Every attribute with its values, in the order of the file."""
        return {name: tuple(attribute.values) for name, attribute in self.file.attributes.items()}

    def sample_attributes(self, seed: int) -> dict[str, str]:
        """A full combination, drawn by weight, of attributes that go together."""
        rng = random.Random(f"attributes {seed}")
        drawn = {name: self._draw(rng, name) for name in self.file.attributes}
        for rule in self.file.rules:
            if not _holds(rule.when, drawn):
                continue
            for name, allowed in rule.allow.items():
                if name in drawn and drawn[name] not in allowed:
                    drawn[name] = self._draw(rng, name, allowed)
            for name in rule.drop:
                drawn.pop(name, None)
        return drawn

    def applicable(self, attributes: Mapping[str, str]) -> list[str]:
        """The names of the attributes that apply to a picture with these."""
        dropped = {n for rule in self.file.rules if _holds(rule.when, attributes) for n in rule.drop}
        return [name for name in self.file.attributes if name not in dropped]

    def is_complete(self, attributes: Mapping[str, str]) -> bool:
        """Whether every attribute that applies is named."""
        return all(name in attributes for name in self.applicable(attributes))

    def realise(self, attributes: Mapping[str, str], seed: int, omit: float = 0.25) -> str:
        """A prompt for `attributes`, in words drawn by `seed`.

        Each attribute is left out with probability `omit`, except those that the grammar keeps;
        0.0 names every one. Raises UsageError for an attribute or value that the grammar lacks.
        """
        rng = random.Random(f"prompt {seed}")
        for name, value in attributes.items():
            if value not in self.attributes.get(name, ()):
                raise UsageError(f"the grammar {self.name} has no {name} {value!r}")
        said = self._said(rng, attributes, omit)
        parts: dict[Place, list[str]] = {place: [] for place in PLACES}
        swallowed: set[str] = set()
        for name in said:
            if name not in swallowed:
                place, phrase, slots = self._phrase(rng, name, said)
                swallowed |= slots
                parts[place].append(phrase)
        tail: list[str] = []
        for flavour in self.file.flavours:
            word = self._flavour(rng, flavour, attributes)
            if word and flavour.place == "adjective":
                parts["adjective"].insert(0, word)
            elif word:
                tail.append(word)
        parts["tail"] += tail
        return _assemble(parts)

    def read(self, text: str) -> dict[str, str]:
        """The attributes that a prompt names, in any case; what it does not name is not in the answer."""
        return self._reader.read(text)

    @cached_property
    def _reader(self) -> Reader:
        return Reader(self.file)

    def _reweigh(self, attribute: str, changed: Mapping[str, float]) -> None:
        for value, weight in changed.items():
            if value not in self.weights.get(attribute, {}):
                raise UsageError(f"cannot weigh {attribute} {value!r}: the grammar {self.name} has no such value")
            if not 0 <= weight < float("inf"):
                raise UsageError(f"the weight of {attribute} {value!r} is {weight}; it must be 0 or more")
            self.weights[attribute][value] = weight
        if not any(self.weights[attribute].values()):
            raise UsageError(f"every value of {attribute} has weight 0; give one of them more")

    def _draw(self, rng: random.Random, name: str, among: list[str] | None = None) -> str:
        options = among or list(self.weights[name])
        weights = [self.weights[name][value] for value in options]
        # Weights may rule out all that a rule allows; the rule is what must hold.
        return rng.choices(options, weights if any(weights) else None)[0]

    def _said(self, rng: random.Random, attributes: Mapping[str, str], omit: float) -> dict[str, str]:
        said = {}
        for name, declared in self.file.attributes.items():
            if name not in attributes:
                continue
            chance = max(omit, QUIET_OMIT) if omit and attributes[name] in declared.quiet else omit
            left_out = rng.random() < chance
            if attributes[name] in declared.keep or not left_out:
                said[name] = attributes[name]
        return said

    def _phrase(self, rng: random.Random, name: str, said: Mapping[str, str]) -> tuple[Place, str, set[str]]:
        """Where to say an attribute, how, and which other attributes that says as well."""
        attribute = self.file.attributes[name]
        value = attribute.values[said[name]]
        options: list[tuple[Place, str]] = [
            (place, text) for place in PLACES for text in value.at(place) + attribute.at(place)
        ]
        # A phrase that is nothing but a slot needs something to fill it.
        options = [
            (place, text)
            for place, text in options
            if (slot := re.fullmatch(r"\{(\w+)\}", text)) is None or slot[1] in said
        ]
        place, text = rng.choice(options)
        slots = {slot for slot in re.findall(r"\{(\w+)\}", text) if slot in said}
        text = text.replace("{}", self._word(name, said[name]))
        text = re.sub(r"\{(\w+)\}", lambda slot: self._word(slot[1], said[slot[1]]) if slot[1] in said else "", text)
        return place, " ".join(text.split()), slots

    def _word(self, name: str, value: str) -> str:
        return self.file.attributes[name].values[value].word or value

    @staticmethod
    def _flavour(rng: random.Random, flavour: Flavour, attributes: Mapping[str, str]) -> str | None:
        words = {
            word: weight for word, weight in flavour.words.items() if _holds(flavour.names.get(word, {}), attributes)
        }
        if rng.random() >= flavour.chance or not words or not _holds(flavour.when, attributes):
            return None
        return rng.choices(list(words), list(words.values()))[0]


def _holds(condition: Mapping[str, str], attributes: Mapping[str, str]) -> bool:
    return all(attributes.get(name) == value for name, value in condition.items())


def _assemble(parts: Mapping[Place, list[str]]) -> str:
    """The parts of a prompt as one line: "head, a adjective noun with a and b clause place, tail"."""
    words = [*parts["adjective"], *parts["noun"]]
    # "a girl" with an adjective before it: the article goes first, and suits what follows it.
    if parts["noun"] and parts["noun"][0].startswith("a "):
        words[-1] = words[-1].removeprefix("a ")
        words.insert(0, "an" if words[0][0] in "aeiou" else "a")
    phrase = words
    if parts["with"]:
        *most, last = parts["with"]
        phrase += ["with", f"{', '.join(most)} and {last}" if most else last]
    phrase += parts["clause"] + parts["place"]
    sentence = [" ".join(phrase)] if phrase else []
    return ", ".join([*parts["head"], *sentence, *parts["tail"]])
