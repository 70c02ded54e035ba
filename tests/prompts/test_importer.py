"""Prompts that people bring: every kind of file, and a clear line for every fault."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cjd.errors import UsageError
from cjd.prompts import MAX_PROMPT_CHARS, normalise, read_prompts

WANTED = ['a girl, "cute"', "# not a comment", "桜の下の少女"]


def test_all_kinds_say_the_same(tmp_path):
    (tmp_path / "p.txt").write_text("\n\n".join(WANTED) + "\n \n", encoding="utf-8-sig")
    quoted = "\n".join(f'{i},"' + text.replace('"', '""') + '"' for i, text in enumerate(WANTED))
    (tmp_path / "p.csv").write_text("id,caption\n" + quoted, encoding="utf-8")
    (tmp_path / "p.jsonl").write_text("\n".join(json.dumps({"id": 1, "text": text}) for text in WANTED))
    pq.write_table(pa.table({"id": [1, 2, 3], "prompt": WANTED}), tmp_path / "p.parquet")
    for path in tmp_path.iterdir():
        assert read_prompts(path) == WANTED, path
        assert read_prompts(str(path)) == WANTED


def test_the_only_column_needs_no_name(tmp_path):
    (tmp_path / "p.csv").write_text("words\na cat\n\na dog\n")
    assert read_prompts(tmp_path / "p.csv") == ["a cat", "a dog"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("p.txt", b"", "no prompts"),
        ("p.txt", b" \n\t\n", "no prompts"),
        ("p.txt", b"a cat\n\xff\xfe\n", "line 2: not UTF-8"),
        ("p.txt", b"a cat\n" + b"x" * 10_000, "line 2: .*10000 characters"),
        ("p.csv", b"", "no prompts"),
        ("p.csv", b"id,words\n1,a cat\n", "no prompt column.*id, words"),
        ("p.csv", b"id,prompt\n1\n", "line 2: no column 'prompt'"),
        ("p.csv", b"id,prompt\n1,\xff\n", "line 2: not UTF-8"),
        ("p.jsonl", b'{"prompt": "a cat"}\n{"prompt"\n', "line 2: not JSON"),
        ("p.jsonl", b'{"a": "a cat", "b": 1}\n', "line 1: no prompt column.*a, b"),
        ("p.jsonl", b'{"prompt": 3}\n', "line 1: the prompt is not a string"),
        ("p.parquet", b"not parquet at all", "not a Parquet file"),
        ("p.docx", b"a cat", r"use \.txt"),
    ],
)
def test_faults_are_named(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=says) as caught:
        read_prompts(tmp_path / name)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        read_prompts(tmp_path / "none.txt")


@pytest.mark.parametrize(
    ("text", "spelt"),
    [
        ("  a\t cat \r\n", "a cat"),
        ("Ａ　Ｃａｔ", "A Cat"),
        ("a\x00 ca\u200bt\x07", "a cat"),
        ("e\u200b\u0301", "é"),
        ("ｶﾞｰﾙ", "ガール"),
        ("\x00\n", ""),
    ],
)
def test_normalise(text, spelt):
    assert normalise(text) == spelt
    assert normalise(spelt) == spelt


def test_the_longest_prompt():
    assert normalise("x" * MAX_PROMPT_CHARS + " \n") == "x" * MAX_PROMPT_CHARS
    with pytest.raises(UsageError, match=str(MAX_PROMPT_CHARS)):
        normalise("x" * (MAX_PROMPT_CHARS + 1))
