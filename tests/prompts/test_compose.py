"""A run's prompts: as many as asked, each once, none of them held out."""

import pytest

from cjd.errors import UsageError
from cjd.prompts import TEACHER_PROMPTS, Grammar, compose_prompts, held_out_prompts, is_held_out

BUILTIN = [(text, "builtin") for text in TEACHER_PROMPTS]


@pytest.fixture(scope="module")
def grammar():
    return Grammar.load()


def test_count_order_and_origin(grammar):
    brought = ["a dragon  over Kyoto", "A DRAGON over kyoto"]
    extra = [*BUILTIN, *((text, "import") for text in brought)]
    rows = list(compose_prompts(100, 7, grammar, extra))
    assert len({row["text"].casefold() for row in rows}) == len(rows) == 100
    assert [row["text"] for row in rows[:13]] == list(TEACHER_PROMPTS)
    assert [row["origin"] for row in rows] == ["builtin"] * 13 + ["import"] + ["grammar"] * 86
    assert all(row["attributes"] == grammar.read(row["text"]) for row in rows)


def test_the_same_seed_gives_the_same_prompts_and_more_of_them(grammar):
    few, many = (list(compose_prompts(count, 3, grammar)) for count in (50, 200))
    assert many[:50] == few
    assert list(compose_prompts(50, 4, grammar)) != few


def test_fewer_than_were_brought(grammar):
    assert [row["text"] for row in compose_prompts(2, 0, grammar, BUILTIN)] == list(TEACHER_PROMPTS[:2])


def test_nothing_that_is_held_out_is_ever_composed(grammar):
    held_out = held_out_prompts(60, 1, grammar)
    brought = [row["text"] for row in held_out]
    skipped: list[str] = []
    extra = [(text, "import") for text in brought]
    rows = list(compose_prompts(200, 1, grammar, extra, omit=0.0, skipped=skipped.append))
    assert len(rows) == 200
    assert skipped == brought
    assert not any(is_held_out(row["attributes"]) for row in rows)
    assert not {row["text"] for row in rows} & set(brought)


def test_held_out_prompts_name_everything(grammar):
    rows = held_out_prompts(60, 1, grammar)
    assert len({row["text"] for row in rows}) == 60
    assert all(is_held_out(row["attributes"]) and grammar.is_complete(row["attributes"]) for row in rows)
    assert rows == held_out_prompts(60, 1, grammar)


def test_a_small_grammar_says_how_many_it_has(tmp_path, monkeypatch):
    monkeypatch.setattr("cjd.prompts.compose.PATIENCE", 200)
    path = tmp_path / "small.toml"
    path.write_text('[attributes.a.values.b]\nnoun = ["a cat"]\n[attributes.a.values.c]\nnoun = ["a dog"]')
    with pytest.raises(UsageError, match="2 distinct"):
        list(compose_prompts(3, 0, Grammar.load(path), omit=0.0))
