"""A CLIP tokenizer whose byte-pair vocabulary is learnt from a few captions."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from cjd.errors import UsageError
from cjd.text.tokens import MAX_TOKENS

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

START, END = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"  # CLIP marks a word's last piece
SMALLEST = 2 * 256 + 2  # every byte, within a word and at its end; start and end


def train_tokenizer(captions: Iterable[str], vocab_size: int) -> CLIPTokenizer:
    """A stock `CLIPTokenizer` in whose vocabulary the captions' commonest words are one token each.

    Any other text falls back to pieces, at worst to bytes, so nothing is unknown. The same captions, in
    any order, give the same vocabulary. Raises UsageError when `vocab_size` has no room for the bytes.
    """
    from tokenizers import Tokenizer
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from tokenizers.trainers import BpeTrainer
    from transformers import CLIPTokenizer

    if vocab_size < SMALLEST:
        raise UsageError(
            f"finetune.text_encoder.vocab_size is {vocab_size}; {SMALLEST} is the least that holds every byte"
        )
    stock = CLIPTokenizer().backend_tokenizer  # its normalizer and word splitter, with no vocabulary
    letters = sorted(ByteLevel.alphabet())
    alphabet = letters + [letter + WORD_END for letter in letters]
    learner = Tokenizer(BPE(end_of_word_suffix=WORD_END))
    learner.normalizer, learner.pre_tokenizer = stock.normalizer, stock.pre_tokenizer
    # The alphabet goes in as special tokens: in this order, whatever the captions', so that ties break alike.
    learner.train_from_iterator(
        captions,
        BpeTrainer(
            vocab_size=vocab_size - 2,
            min_frequency=1,
            special_tokens=alphabet,  # type: ignore[arg-type]
            end_of_word_suffix=WORD_END,
            show_progress=False,
        ),
    )
    merges = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    pieces = list(dict.fromkeys([*alphabet, *("".join(pair) for pair in merges), START, END]))
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=MAX_TOKENS)  # type: ignore[arg-type]


def save_tokenizer(tokenizer: CLIPTokenizer, folder: Path) -> None:
    """As transformers saves it, and `vocab.json` with `merges.txt` for its older versions."""
    tokenizer.save_pretrained(str(folder))
    if hasattr(tokenizer, "backend_tokenizer"):
        tokenizer.backend_tokenizer.model.save(str(folder))
