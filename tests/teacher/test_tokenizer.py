from __future__ import annotations

import pytest
from transformers import CLIPTokenizer

from cjd.errors import UsageError
from cjd.teacher.tokenizer import SMALLEST, save_tokenizer, train_tokenizer
from cjd.text.tokens import tokenize
from tests.teacher.small import CAPTIONS


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(CAPTIONS, 1024)


def test_each_word_of_the_captions_is_one_token(tokenizer):
    words = {word for caption in CAPTIONS for word in caption.replace(",", " ").split() if word.isalpha()}
    assert all(len(tokenizer.tokenize(word)) == 1 for word in words)


@pytest.mark.parametrize("text", ["zebra", "漫画の女の子", "☃", "a girl", "xyz 123"])
def test_any_text_falls_back_to_bytes(tokenizer, text):
    ids = tokenizer(text).input_ids
    assert tokenizer.unk_token_id not in ids[1:-1]
    assert tokenizer.decode(ids, skip_special_tokens=True).replace(" ", "") == text.replace(" ", "")


def test_order_of_the_captions_does_not_matter(tokenizer):
    assert train_tokenizer(CAPTIONS[::-1], 1024).get_vocab() == tokenizer.get_vocab()


def test_vocabulary_is_bounded():
    tokenizer = train_tokenizer(CAPTIONS, SMALLEST + 10)
    assert len(tokenizer) == SMALLEST + 10
    assert max(tokenizer.get_vocab().values()) == len(tokenizer) - 1
    with pytest.raises(UsageError, match="vocab_size"):
        train_tokenizer(CAPTIONS, SMALLEST - 1)


def test_loads_as_a_stock_tokenizer(tokenizer, tmp_path):
    save_tokenizer(tokenizer, tmp_path)
    stock = CLIPTokenizer.from_pretrained(tmp_path)
    assert stock.model_max_length == 77
    assert (tokenize(stock, CAPTIONS) == tokenize(tokenizer, CAPTIONS)).all()
    long = tokenize(stock, ["a girl " * 100])
    assert long.shape == (1, 77) and long[0, -1] == stock.eos_token_id
