"""From words back to attributes: which of a grammar's phrases a prompt holds."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cjd.prompts.schema import PLACES, GrammarFile

_SLOT = re.compile(r"\{(\w+)\} ?")


class Reader:
    """Finds a grammar's phrases in a text; the longest match takes its words, so that none counts twice."""

    def __init__(self, grammar: GrammarFile) -> None:
        self.grammar = grammar
        self.words = {
            name: {(value.word or key).lower(): key for key, value in attribute.values.items()}
            for name, attribute in grammar.attributes.items()
        }
        phrases = sorted(set(self._phrases()), key=lambda phrase: -len(phrase[0]))
        self.patterns = [(self._pattern(text), text, named) for text, named in phrases]

    def read(self, text: str) -> dict[str, str]:
        """The attributes that `text` names, in the grammar's order; the earliest mention of each counts."""
        text = " ".join(text.lower().split())
        taken = [False] * len(text)
        found: list[tuple[int, str, str]] = []
        matches = [(match, text_named) for pattern, *text_named in self.patterns for match in pattern.finditer(text)]
        # Longest first; of equals the one that was declared first.
        matches.sort(key=lambda item: (item[0].start() - item[0].end(), item[0].start()))
        for match, (_, named) in matches:
            if any(taken[match.start() : match.end()]):
                continue
            taken[match.start() : match.end()] = [True] * (match.end() - match.start())
            found += [(match.start(), name, value) for name, value in named]
            for name, word in match.groupdict().items():
                if word is not None:
                    found.append((match.start(), name, self.words[name][word]))
        asked: dict[str, str] = {}
        for _, name, value in sorted(found):
            asked.setdefault(name, value)
        # Manga wins over a word that would name another style: what must be said is never a mistake.
        for _, name, value in found:
            if value in self.grammar.attributes[name].keep:
                asked[name] = value
        return self._implied(asked)

    def _implied(self, asked: dict[str, str]) -> dict[str, str]:
        for implied in self.grammar.implies:
            if implied.present in asked and implied.absent not in asked:
                asked = asked | implied.means
        return {name: asked[name] for name in self.grammar.attributes if name in asked}

    def _phrases(self) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
        """Every phrase, with the attributes that it names whatever fills its slots."""
        for name, attribute in self.grammar.attributes.items():
            for key, value in attribute.values.items():
                word = value.word or key
                own = [text for place in PLACES for text in value.at(place)] + value.reads
                shared = [text for place in PLACES for text in attribute.at(place)] + attribute.reads
                if value.word:
                    own.append(value.word)
                for text in own + [text.replace("{}", word) for text in shared]:
                    if not re.fullmatch(r"\{\w+\}", text):
                        yield text.lower(), ((name, key),)
        for flavour in self.grammar.flavours:
            for word, named in flavour.names.items():
                yield word.lower(), tuple(named.items())

    def _pattern(self, text: str) -> re.Pattern[str]:
        parts, end = [], 0
        for slot in _SLOT.finditer(text):
            words = "|".join(sorted(map(re.escape, self.words[slot[1]]), key=len, reverse=True))
            parts += [re.escape(text[end : slot.start()]), f"(?:(?P<{slot[1]}>{words}) )?"]
            end = slot.end()
        return re.compile(r"(?<!\w)" + "".join(parts) + re.escape(text[end:]) + r"(?!\w)")
