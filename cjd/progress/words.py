"""Numbers in words: durations, rates, the small fields beside a bar."""

from __future__ import annotations

from typing import Any


def duration(seconds: float) -> str:
    """`8 s`, `3 min 05 s`, `2 h 07 min`, `3 d 04 h`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"


def rate_text(rate: float, unit: str) -> str:
    """`12.3 samples/s`; per minute when that reads better."""
    if rate <= 0:
        return ""
    if rate < 0.5:
        return f"{rate * 60:.1f} {unit}/min"
    return f"{rate:.1f} {unit}/s" if rate < 100 else f"{rate:,.0f} {unit}/s"


def number(value: Any) -> Any:
    """A plain Python number for anything that has `.item()` (NumPy and torch scalars); others as they are."""
    return value.item() if hasattr(value, "item") else value


def fields_text(fields: dict[str, Any]) -> str:
    """`  loss=0.0312 refused=3`"""
    shown = [f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in fields.items()]
    return "  " + " ".join(shown) if shown else ""
