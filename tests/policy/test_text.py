"""Names and terms are found however they are spelt, and innocent words are left alone."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cjd.config.recipe import PolicyConfig
from cjd.errors import UsageError
from cjd.policy import Gate
from cjd.policy.lists import Entry, NameList, shipped_list
from cjd.policy.text import TextMatcher, fold
from cjd.prompts import TEACHER_PROMPTS, Grammar, compose_prompts

GATE = Gate.load(PolicyConfig())
ARTISTS = shipped_list("artist")
NAMES = [phrase for entry in ARTISTS.entries if not entry.attributed for phrase in entry.phrases]

SPELLINGS = {
    "upper": str.upper,
    "lower": str.lower,
    "full width": lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "underscores": lambda text: text.replace(" ", "_"),
    "joined": lambda text: text.replace(" ", ""),
    "invisible": lambda text: "\u200b".join(text),
    "spaced": lambda text: " ".join(text),
}


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    how=st.sampled_from(sorted(SPELLINGS)),
    place=st.sampled_from(["{}", "a girl, by {}, 4k", "{}風の女の子"]),
)
def test_a_listed_name_is_refused_in_every_spelling(name: str, how: str, place: str) -> None:
    verdict = GATE.text(place.format(SPELLINGS[how](name)))
    assert not verdict.ok
    assert (verdict.rule, verdict.list) == ("artist", ARTISTS.label)


@pytest.mark.parametrize("text", ["シンカイマコトの絵", "しんかいまことの絵", "ｼﾝｶｲﾏｺﾄ", "新海 誠", "新海・誠風"])
def test_kana_and_separators_are_one(text: str) -> None:
    assert GATE.text(text).detail == "Makoto Shinkai"


def test_look_alike_letters_are_one() -> None:
    assert GATE.text("by gr\u0435g rutk\u043ewski").detail == "Greg Rutkowski"


@pytest.mark.parametrize(
    "text",
    ["by the window", "monetary policy", "a lamb in the plains", "a lack of light", "girl in the coffee shop",
     "イエローの花", "カロリーの低いケーキ", "フローリングの部屋の女の子", "grapes on a table", "Essex landscape",
     "グローバルな街", "a clamp on a workbench", "skyscraper, 4k", "a happy child in the plains"],
)  # fmt: skip
def test_innocent_words_pass(text: str) -> None:
    assert GATE.text(text).ok


def test_a_name_is_a_whole_word() -> None:
    listed = NameList(name="old masters", version="1", kind="artist", entries=(Entry(name="Monet"),))
    matcher = TextMatcher([listed])
    assert matcher.find("a pond by Monet") and matcher.find("monet's pond") and matcher.find("モネ") is None
    assert matcher.find("monetary policy") is None and matcher.find("simonet") is None


def test_an_ordinary_word_is_a_name_only_where_it_is_used_as_one() -> None:
    assert not GATE.text("a girl by huke").ok
    assert not GATE.text("huke style").ok
    assert GATE.text("lack of colour, ask me").ok


@pytest.mark.parametrize(
    "text", ["naked child", "裸の少女", "nude loli, 4k", "児童ポルノ", "gore", "bloody decapitation", "強姦"]
)
def test_terms_are_refused(text: str) -> None:
    verdict = GATE.text(text)
    assert (verdict.ok, verdict.rule) == (False, "term")


def test_the_grammar_and_the_builtin_prompts_pass() -> None:
    for text in TEACHER_PROMPTS:
        assert GATE.text(text).ok
    for row in compose_prompts(500, 3, Grammar.load()):
        assert GATE.text(row["text"]).ok, row


@given(st.text(max_size=60))
def test_folding_is_settled_after_once_and_any_text_has_a_verdict(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert GATE.text(text).rule != "error"


def test_rules_can_be_off_and_lists_added(tmp_path) -> None:
    assert Gate.load(PolicyConfig(artists=False)).text("by greg rutkowski").ok
    assert Gate.load(PolicyConfig(terms=False)).text("gore").ok
    own = tmp_path / "own.toml"
    own.write_text('name = "own"\nversion = "3"\nkind = "term"\n[[entries]]\nname = "pineapple pizza"\n')
    verdict = Gate.load(PolicyConfig(extra_lists=(str(own),))).text("a Pineapple-Pizza")
    assert (verdict.ok, verdict.rule, verdict.list) == (False, "term", "own 3")


@pytest.mark.parametrize(
    "content", [None, "not toml [", 'name = "x"', 'name="x"\nversion="1"\nkind="other"\nentries=[{name="a"}]']
)
def test_a_bad_list_is_named(tmp_path, content: str | None) -> None:
    file = tmp_path / "bad.toml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(UsageError, match="bad.toml") as caught:
        Gate.load(PolicyConfig(extra_lists=(str(file),)))
    assert "\n" not in str(caught.value)
