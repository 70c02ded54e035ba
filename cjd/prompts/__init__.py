"""Prompts: drawn from a grammar, brought by people, and read back as attributes."""

from cjd.prompts.builtin import TEACHER_PROMPTS
from cjd.prompts.compose import compose_prompts, held_out_prompts
from cjd.prompts.grammar import Grammar, is_held_out
from cjd.prompts.importer import read_prompts
from cjd.prompts.normalise import MAX_PROMPT_CHARS, normalise

__all__ = [
    "MAX_PROMPT_CHARS",
    "TEACHER_PROMPTS",
    "Grammar",
    "compose_prompts",
    "held_out_prompts",
    "is_held_out",
    "normalise",
    "read_prompts",
]
