"""The grammar: what it draws holds together, and what it writes can be read back."""

import pytest

from cjd.errors import UsageError
from cjd.prompts import TEACHER_PROMPTS, Grammar, is_held_out

WHITE = {"subject": "girl", "hair_length": "long", "hair_colour": "white"}
SEEDS = range(600)


@pytest.fixture(scope="module")
def grammar():
    return Grammar.load()


def test_a_whole_prompt_reads_back_as_its_attributes(grammar):
    for seed in SEEDS:
        attributes = grammar.sample_attributes(seed)
        assert grammar.is_complete(attributes)
        assert grammar.read(grammar.realise(attributes, seed, omit=0.0)) == attributes


def test_a_prompt_never_says_more_than_its_attributes(grammar):
    for seed in SEEDS:
        attributes = grammar.sample_attributes(seed)
        for omit in (0.25, 0.7, 1.0):
            text = grammar.realise(attributes, seed, omit)
            asked = grammar.read(text)
            assert asked.items() <= attributes.items(), text
            assert asked.get("style") == "manga" or attributes["style"] != "manga"
            assert text == " ".join(text.split()) and not text.endswith(",")


def test_half_a_doll_can_be_written_too(grammar):
    for seed in SEEDS:
        whole = grammar.sample_attributes(seed)
        part = {name: value for i, (name, value) in enumerate(whole.items()) if (seed >> i) & 1}
        part["subject"] = whole["subject"]
        assert grammar.read(grammar.realise(part, seed, omit=0.0)).items() <= part.items()


def test_case_and_blanks_do_not_matter_to_the_reader(grammar):
    for text in TEACHER_PROMPTS:
        assert grammar.read(text) == grammar.read(f"  {text.upper()} ".replace(" ", "  "))


@pytest.mark.parametrize(
    ("number", "asked"),
    [
        (0, WHITE | {"style": "manga", "background": "coffee shop"}),
        (1, WHITE),
        (2, WHITE | {"style": "anime"}),
        (3, WHITE | {"style": "anime"}),
        (4, WHITE | {"style": "anime"}),
        (5, WHITE | {"style": "anime"}),
        (6, WHITE | {"style": "anime", "eye_colour": "blue", "background": "coffee shop"}),
        (7, WHITE | {"style": "manga"}),
        (8, {"subject": "scenery", "background": "mountains"}),
        (9, {"style": "anime", "subject": "scenery", "background": "Tokyo buildings"}),
        (10, {"style": "anime", "subject": "scenery", "background": "plains"}),
        (11, {"style": "anime", "subject": "scenery", "background": "starry sky"}),
        (12, {"style": "manga", "subject": "scenery", "background": "Tokyo buildings"}),
    ],
)
def test_the_first_prompts_are_understood(grammar, number, asked):
    assert grammar.read(TEACHER_PROMPTS[number]) == asked


@pytest.mark.parametrize("text", ["", "a castle", "evergreen eyeshadow", "the chat room", "manganese"])
def test_words_inside_words_mean_nothing(grammar, text):
    assert grammar.read(text) == {}


def test_manga_wins_over_words_of_another_style(grammar):
    assert grammar.read("a kawaii girl, manga")["style"] == "manga"


def test_weights_change_what_is_drawn():
    only = Grammar.load(weights={"background": dict.fromkeys(Grammar.load().attributes["background"], 0.0)
                                 | {"beach": 1.0}})  # fmt: skip
    assert {only.sample_attributes(seed)["background"] for seed in range(100)} == {"beach"}


@pytest.mark.parametrize(
    "weights", [{"background": {"moon": 1.0}}, {"shoes": {"red": 1}}, {"style": {"anime": 0, "manga": 0}},
                {"style": {"anime": -1.0}}]
)  # fmt: skip
def test_faulty_weights_are_refused(weights):
    with pytest.raises(UsageError):
        Grammar.load(weights=weights)


def test_a_grammar_of_ones_own(tmp_path, grammar):
    path = tmp_path / "mine.toml"
    path.write_text('[attributes.thing.values.cat]\nnoun = ["a cat"]\n[attributes.thing.values.dog]\nnoun = ["a dog"]')
    mine = Grammar.load(path)
    assert mine.realise({"thing": "cat"}, 0, omit=0.0) == "a cat"
    assert mine.read("A DOG") == {"thing": "dog"}
    with pytest.raises(UsageError, match="bird"):
        mine.realise({"thing": "bird"}, 0)


@pytest.mark.parametrize("text", ["= 1", "[attributes.x]\n", "colour = 3", "[attributes.a.values.b]", "[attributes.a.values.b]\nnoun = ['a {c} b']", '[attributes.a.values.b]\nnoun=["b"]\n'
                                  '[[rules]]\nwhen={a="c"}'])  # fmt: skip
def test_a_faulty_grammar_is_refused_with_its_name(tmp_path, text):
    path = tmp_path / "faulty.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"faulty\.toml"):
        Grammar.load(path)


def test_an_unknown_grammar_lists_the_known():
    with pytest.raises(UsageError, match="illustration"):
        Grammar.load("nothing")


def test_held_out_is_a_share_that_stays(grammar):
    drawn = [a for seed in range(3000) if (a := grammar.sample_attributes(seed))["subject"] == "girl"]
    share = sum(map(is_held_out, drawn)) / len(drawn)
    assert 0.07 < share < 0.13
    for attributes in drawn[:50]:
        assert is_held_out(dict(reversed(attributes.items()))) == is_held_out(attributes)
        assert not is_held_out(attributes, share=0.0) and is_held_out(attributes, share=1.0)
    assert not is_held_out({"style": "anime", "subject": "scenery", "background": "plains"}, share=1.0)
