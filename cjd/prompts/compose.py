"""The prompts of a run: those that people brought, then as many from the grammar as are still needed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from cjd.errors import UsageError
from cjd.prompts.grammar import Grammar, is_held_out
from cjd.prompts.normalise import normalise

# This many draws in a row without a new prompt, and the grammar has none left to speak of.
PATIENCE = 20_000


def compose_prompts(
    count: int,
    seed: int,
    grammar: Grammar,
    extra: Iterable[tuple[str, str]] = (),
    exclude: Callable[[Mapping[str, str]], bool] | None = is_held_out,
    omit: float = 0.25,
    skipped: Callable[[str], None] | None = None,
) -> Iterator[dict[str, Any]]:
    """`count` distinct prompts: `extra` first, in order, then the grammar's, the same for the same seed.

    `extra`: (prompt, origin). Yields {"text": normalised prompt, "attributes": what it names, "origin": as
    given, or "grammar"}. Two prompts that differ only in case are one. A full combination that `exclude` answers
    True for is skipped, wherever it comes from; `skipped` is told those of `extra`. Raises UsageError where the grammar has too few prompts.
    """
    seen: set[str] = set()

    def is_new(text: str) -> bool:
        key = text.casefold()
        return bool(key) and key not in seen and not seen.add(key)

    for raw, origin in extra:
        text = normalise(raw)
        if len(seen) >= count:
            return
        asked = grammar.read(text)
        # A prompt that leaves something open asks for many combinations, of which most are not held out.
        if exclude is not None and grammar.is_complete(asked) and exclude(asked):
            if skipped is not None:
                skipped(text)
            continue
        if is_new(text):
            yield {"text": text, "attributes": asked, "origin": origin}

    number = since = 0
    while len(seen) < count:
        draw = _subseed("compose", seed, number)
        number, since = number + 1, since + 1
        if since > PATIENCE:
            raise UsageError(
                f"the grammar {grammar.name} gives about {len(seen)} distinct prompts, not {count}; "
                "ask for fewer, or add values to it"
            )
        attributes = grammar.sample_attributes(draw)
        if exclude is not None and exclude(attributes):
            continue
        text = normalise(grammar.realise(attributes, draw, omit))
        if is_new(text):
            since = 0
            yield {"text": text, "attributes": grammar.read(text), "origin": "grammar"}


def held_out_prompts(count: int, seed: int, grammar: Grammar) -> list[dict[str, Any]]:
    """`count` distinct evaluation prompts, each naming the whole of a combination that is held out.

    Rows are those of `compose_prompts`. Raises UsageError where the grammar has too few.
    """
    rows = compose_prompts(
        count, _subseed("held out", seed, 0), grammar, exclude=lambda a: not is_held_out(a), omit=0.0
    )
    return list(rows)


def _subseed(purpose: str, seed: int, number: int) -> int:
    digest = hashlib.sha256(f"{purpose} {seed} {number}".encode()).digest()
    return int.from_bytes(digest[:8], "big")
