"""A row's name is a hash of what it is, so the same row has the same name in every run."""

from __future__ import annotations

import hashlib


def _digest(*parts: object) -> str:
    return hashlib.sha256("\0".join(str(part) for part in parts).encode()).hexdigest()


def prompt_id(text: str) -> str:
    """Sixteen hex digits of a normalised prompt."""
    return _digest("prompt", text)[:16]


def sample_id(teacher: str, prompt: str, index: int) -> str:
    """Thirty-two hex digits: the teacher's fingerprint, the prompt's text, and which picture of it."""
    return _digest("sample", teacher, prompt, index)[:32]


def sample_seed(identity: str) -> int:
    """The seed of a sample's noise, in [0, 2**53): exact in JSON and in every database."""
    return int(identity[:14], 16) & ((1 << 53) - 1)
