"""Token ids: CLIP's 77 places, padded and truncated as diffusers' pipelines do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cjd.errors import UsageError
from cjd.text.libraries import quieten

if TYPE_CHECKING:
    import torch

MAX_TOKENS = 77


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a folder, whatever its kind. Raises UsageError when there is none."""
    if not (folder / "tokenizer_config.json").is_file():
        raise UsageError(
            f"{folder} holds no tokenizer (no tokenizer_config.json); name a folder that tokenizer.save_pretrained wrote"
        )
    quieten()
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(
            f"{folder}: the tokenizer does not load ({str(error).splitlines()[0]}); save it again"
        ) from error


def tokenize(tokenizer: Any, texts: Sequence[str]) -> np.ndarray:
    """int32 `[N, 77]`, with start and end tokens, cut at 77 and padded to it."""
    if not texts:
        return np.zeros((0, MAX_TOKENS), np.int32)
    encoded = tokenizer(list(texts), padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="np")
    return encoded.input_ids.astype(np.int32)


def attention_mask(ids_BL: torch.Tensor, eos_token_id: int) -> torch.Tensor:
    """int64 `[B, L]`: 1 up to and with the first end token, 0 on the padding, which may be the same token."""
    is_end = (ids_BL == eos_token_id).long()
    return ((is_end.cumsum(1) - is_end) == 0).long()
