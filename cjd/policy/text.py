"""Find listed names and terms in a prompt, however they are spelt.

Text is folded first (`fold`): NFKC, case, accents, look-alike letters, kana, invisible characters. Then
Latin names match whole words, spaced or joined in any way ("greg_rutkowski", "GregRutkowski"), and names
in Japanese, Chinese or Korean script match anywhere, since those scripts do not part words.
Looking up is one walk over the text, whatever the length of the lists.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

import jaconv

from cjd.policy.lists import Entry, NameList

# Cyrillic and Greek letters that look like a Latin one, and Latin letters whose stroke is not an accent.
_LOOKALIKES = str.maketrans("авекмнорстухіјѕԁѵօαεικνορτυχłøđı", "abekmhopctyxijsdvoaeikvoptuxlodi")
_TOKEN = re.compile(r"[a-z0-9]+|[^\x00-\x7f\W]+")
_KANA = re.compile(r"[\u3040-\u30ff]+")
_ATTRIBUTION = {"by", "of", "artist", "style", "styled"}
_AFTER_EAST_ASIAN = ("風", "画", "の絵", "先生", "絵師", "すたいる")
_PARTICLES = "のをがはにでとなも"
_SHORT_KANA = 4


@dataclass(frozen=True)
class Hit:
    """A listed name that a text holds."""

    kind: str
    list: str
    name: str


def fold(text: str) -> str:
    """The spelling that names are compared in: lower-case Latin without accents, hiragana, no invisibles."""
    text = unicodedata.normalize("NFKC", text).casefold()
    text = unicodedata.normalize("NFD", text)
    # Only Latin accents go: the voicing marks of kana (U+3099, U+309A) make another letter.
    text = "".join(c for c in text if not "\u0300" <= c <= "\u036f" and unicodedata.category(c) != "Cf")
    text = unicodedata.normalize("NFKC", text).translate(_LOOKALIKES)
    return jaconv.kata2hira(text)


def _words(text: str) -> list[str]:
    """Runs of Latin letters and digits, and runs of other letters, in order, of a folded text."""
    return _TOKEN.findall(text)


@dataclass(frozen=True)
class _Phrase:
    """One spelling of an entry; `group` is set when it counts only together with other groups."""

    list: NameList
    entry: Entry | None
    group: str | None
    attributed: bool


class TextMatcher:
    """The names and terms of several lists, ready to be looked for."""

    def __init__(self, lists: Iterable[NameList]) -> None:
        self.lists = tuple(lists)
        self._latin: dict[str, list[_Phrase]] = {}
        self._east_asian: dict[str, list[tuple[str, _Phrase]]] = {}
        for each in self.lists:
            for entry in each.entries:
                if not entry.together:
                    for text in entry.phrases:
                        self._add(text, _Phrase(each, entry, None, entry.attributed))
            for group, texts in each.groups.items():
                for text in texts:
                    self._add(text, _Phrase(each, None, group, False))
        self._longest = max(map(len, self._latin), default=0)

    def _add(self, text: str, phrase: _Phrase) -> None:
        joined = "".join(_words(fold(text)))
        if not joined:
            raise ValueError(f"{phrase.list.label}: {text!r} holds no letters to look for")
        if joined.isascii():
            self._latin.setdefault(joined, []).append(phrase)
        else:
            self._east_asian.setdefault(joined[0], []).append((joined, phrase))

    def find(self, text: str) -> Hit | None:
        """The first thing in `text` that a list refuses, or None."""
        words = _words(fold(text))
        groups: dict[int, set[str]] = {}
        for phrase in self._matches(words):
            if phrase.entry is not None:
                return Hit(phrase.list.kind, phrase.list.label, phrase.entry.name)
            if phrase.group is not None:
                groups.setdefault(id(phrase.list), set()).add(phrase.group)
        for each in self.lists:
            found = groups.get(id(each), set())
            for entry in each.entries:
                if entry.together and found.issuperset(entry.together):
                    return Hit(each.kind, each.label, entry.name)
        return None

    def _matches(self, words: list[str]) -> Iterable[_Phrase]:
        for start in range(len(words)):
            joined = ""
            for end in range(start, len(words)):
                joined += words[end]
                if len(joined) > self._longest or not words[end].isascii():
                    break
                for phrase in self._latin.get(joined, ()):
                    if not phrase.attributed or _is_attributed(words, start, end):
                        yield phrase
        whole = "".join(words)
        for position, letter in enumerate(whole):
            for name, phrase in self._east_asian.get(letter, ()):
                end = position + len(name)
                found = whole.startswith(name, position) and _stands_alone(whole, position, end)
                if found and (not phrase.attributed or whole.startswith(_AFTER_EAST_ASIAN, end)):
                    yield phrase


def _is_attributed(words: list[str], start: int, end: int) -> bool:
    """Whether an ordinary word is used as a name: "by lam", "in lam style", "lam風"."""
    before = words[start - 1] if start else ""
    after = words[end + 1] if end + 1 < len(words) else ""
    return before in _ATTRIBUTION or after in ("style", "styled") or after.startswith(_AFTER_EAST_ASIAN)


def _stands_alone(text: str, start: int, end: int) -> bool:
    """A short name in kana is often part of another word ("えろ" in "いえろー"): it needs other script around it."""
    if end - start >= _SHORT_KANA or not _KANA.fullmatch(text, start, end):
        return True
    before, after = text[start - 1 : start], text[end : end + 1]
    return not _KANA.match(before) and (not _KANA.match(after) or after in _PARTICLES)
