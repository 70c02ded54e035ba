"""The prompts that the first teacher was shown with."""

from __future__ import annotations

TEACHER_PROMPTS: tuple[str, ...] = (
    "manga, monochrome, a cute girl with long white hair in the coffee shop",
    "a girl with long white hair",
    "a kawaii girl with long white hair",
    "a moe girl with long white hair",
    "anime, a beautiful girl with long white hair, 4k, detailed",
    "anime, a cute girl with long white hair, 4k, detailed",
    "anime, a cute girl with long white hair and blue eyes in the coffee shop, 4k, detailed",
    "manga, monochrome, a cute girl with long white hair",
    "mountains, fantasy, concept art, 4k, 8k, highly detailed",
    "anime, buildings in Tokyo, concept art, 4k, detailed",
    "anime, plains, concept art, 4k, detailed",
    "anime, concept art, starry sky, 4k, detailed",
    "manga, monochrome, buildings in Tokyo, highly detailed",
)
