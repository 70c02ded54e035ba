import numpy as np
import pytest
import torch

from cjd.errors import UsageError
from cjd.evaluation.judge import Judge, Vocabulary, count_hits, resolve_judge
from cjd.evaluation.metrics import accuracy_table
from cjd.storage import open_store

VOCABULARY = Vocabulary.of({"colour": ["red", "blue"], "shape": ["disc", "bar", "none"]})


def small_judge() -> Judge:
    torch.manual_seed(0)
    return Judge(VOCABULARY, channels=(8, 16), size=16).eval()


def pictures(count: int, size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def test_vocabulary_numbers_known_values_and_marks_the_others():
    assert VOCABULARY.encode({"colour": "blue", "shape": "none"}) == [1, 2]
    assert VOCABULARY.encode({"shape": "a star"}) == [-1, -1]


def test_only_what_a_prompt_names_is_judged():
    found = [{"colour": "red", "shape": "disc"}, {"colour": "blue", "shape": "bar"}, {"colour": "red", "shape": "bar"}]
    asked = [{"colour": "red"}, {"colour": "red", "shape": "bar"}, {"shape": "none", "mood": "happy"}]
    assert count_hits(found, asked, VOCABULARY) == {"colour": (1, 2), "shape": (1, 2)}
    assert count_hits(found, [{}, {}, {"shape": "bar"}], VOCABULARY) == {"shape": (1, 1)}
    with pytest.raises(ValueError, match="3 pictures"):
        count_hits(found, asked[:2], VOCABULARY)


def test_mean_accuracy_is_over_attributes_not_over_pictures():
    table = accuracy_table({"colour": (9, 10), "shape": (1, 2)})
    assert table["attribute_accuracy"] == pytest.approx((0.9 + 0.5) / 2)
    assert table["attributes"]["shape"] == {"accuracy": 0.5, "hits": 1, "asked": 2}


def test_a_saved_judge_judges_the_same(tmp_path):
    judge, images = small_judge(), pictures(5, 16)
    judge.save(tmp_path / "judge", held_out={"pictures": 3})
    again = Judge.load(tmp_path / "judge")
    assert again.vocabulary == VOCABULARY
    assert again.judge(images) == judge.judge(images)
    assert torch.equal(again.features(again.prepare(images)), judge.features(judge.prepare(images)))


def test_pictures_of_any_size_and_any_number_are_judged():
    judge = small_judge()
    assert judge.features(judge.prepare(pictures(3, 48))).shape == (3, judge.num_features)
    found = judge.judge(pictures(5, 8), batch_size=2)
    assert len(found) == 5 and all(set(row) == {"colour", "shape"} for row in found)


def test_missing_and_foreign_judges_are_refused_in_one_line(tmp_path):
    store = open_store(tmp_path)
    for path in ("asset:no-such-judge", "run", str(tmp_path / "nowhere")):
        with pytest.raises(UsageError, match=r"evaluate\.judge") as error:
            resolve_judge(path, store)
        assert "\n" not in str(error.value)
    (tmp_path / "config.json").write_text('{"vocabulary": {"colour": ["red"]}}')
    with pytest.raises(UsageError, match="not a judge"):
        Judge.load(tmp_path)
    small_judge().save(tmp_path / "judge")
    assert resolve_judge("run", store) == tmp_path / "judge"
