"""One spelling for one prompt."""

from __future__ import annotations

import unicodedata

from cjd.errors import UsageError

MAX_PROMPT_CHARS = 1000


def normalise(text: str) -> str:
    """`text` in NFKC, without control or format characters, whitespace folded to single spaces, trimmed.

    Case is kept. Raises UsageError where more than MAX_PROMPT_CHARS characters are left.
    """
    composed = unicodedata.normalize("NFKC", text)
    kept = (
        " " if character.isspace() else character
        for character in composed
        if character.isspace() or unicodedata.category(character) not in ("Cc", "Cf", "Cs")
    )
    folded = " ".join("".join(kept).split())
    # Dropping a character can bring a letter and its combining mark together.
    folded = unicodedata.normalize("NFKC", folded)
    if len(folded) > MAX_PROMPT_CHARS:
        raise UsageError(f"the prompt has {len(folded)} characters; at most {MAX_PROMPT_CHARS} are allowed: shorten it")
    return folded
