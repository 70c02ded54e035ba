import json
import pickle

import pytest
import torch

from cjd.config import resolve
from cjd.evaluation.judge import Judge
from cjd.evaluation.judge_task import JudgeTask, held_out_pictures, roughen
from cjd.prompts import is_held_out
from cjd.seeds import RowRandom
from cjd.storage import open_store

SIZE = 16


@pytest.fixture
def task(tmp_path) -> JudgeTask:
    store = open_store(tmp_path)
    vocabulary = {"colour": ["red", "green", "blue"], "half": ["left", "right"]}
    store.write("prepared/pictures/manifest.json", json.dumps({"vocabulary": vocabulary}).encode())
    recipe = {
        "name": "toy",
        "source": {"count": 10, "size": SIZE},
        "judge": {"channels": [8, 16], "train": {"samples": 1000}},
    }
    return JudgeTask(store, resolve(recipe, "toy"))


def toy_batch(rows: int, seed: int) -> dict[str, torch.Tensor]:
    """A coloured half; for grey pictures the colour does not apply."""
    random = torch.Generator().manual_seed(seed)
    colour = torch.randint(-1, 3, (rows,), generator=random)
    half = torch.randint(0, 2, (rows,), generator=random)
    images = torch.full((rows, 3, SIZE, SIZE), 128, dtype=torch.uint8)
    for i in range(rows):
        columns = slice(0, SIZE // 2) if half[i] == 0 else slice(SIZE // 2, SIZE)
        value = torch.tensor([255, 255, 255] if colour[i] < 0 else [255 * (c == colour[i]) for c in range(3)])
        images[i, :, :, columns] = value.to(torch.uint8)[:, None, None]
    return {f"image_{SIZE}": images, "attributes": torch.stack([colour, half], 1).to(torch.int8)}


def test_it_learns_a_toy_world(task):
    objective = task.build()
    optimizer = torch.optim.AdamW(objective.parameters(), 3e-3)
    for step in range(80):
        out = objective(toy_batch(32, step), RowRandom(range(step * 32, step * 32 + 32)))
        optimizer.zero_grad()
        out["loss"].mean().backward()
        optimizer.step()
    out = objective(toy_batch(64, 1000), RowRandom(range(64)))
    assert out["loss"].shape == out["accuracy"].shape == (64,)
    assert out["accuracy"].mean() > 0.9


def test_attributes_that_do_not_apply_add_nothing(task):
    objective, batch = task.build(), toy_batch(8, 0)
    batch["attributes"][:] = -1
    out = objective(batch, RowRandom(range(8)))
    assert torch.equal(out["loss"], torch.zeros(8)) and torch.equal(out["accuracy"], torch.zeros(8))


def test_a_row_does_not_depend_on_its_batch_mates():
    images = torch.rand(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    together = roughen(images, RowRandom([5, 6, 7, 8]))
    alone = roughen(images[2:3], RowRandom([7]))
    assert torch.allclose(together[2:3], alone, atol=1e-6)
    assert together.abs().max() <= 1 and not torch.equal(together, images)


def test_the_same_recipe_builds_the_same_judge_anywhere(task):
    torch.manual_seed(3)
    one = task.build().state_dict()
    two = pickle.loads(pickle.dumps(task)).build().state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert task.columns == (f"image_{SIZE}", "attributes") and task.dataset == "pictures" and task.name == "judge"


def test_held_out_pictures_are_of_combinations_that_training_leaves_out():
    images, asked = held_out_pictures(6, seed=0, size=32)
    assert images.shape == (6, 32, 32, 3)
    assert all(is_held_out(attributes) for attributes in asked)


def test_export_writes_a_judge_with_its_card_and_its_own_accuracy(task, tmp_path, monkeypatch):
    from cjd.sources import paperdoll

    monkeypatch.setattr("cjd.evaluation.judge_task.HELD_OUT", 5)
    task.store.write("prepared/pictures/manifest.json", json.dumps({"vocabulary": paperdoll.ATTRIBUTES}).encode())
    task.export(task.build().state_dict())
    judge = Judge.load(tmp_path / "judge")
    assert judge.vocabulary.as_dict() == paperdoll.ATTRIBUTES
    config = json.loads((tmp_path / "judge" / "config.json").read_text())
    assert config["held_out"]["pictures"] == 5 and 0 <= config["held_out"]["attribute_accuracy"] <= 1
    assert "# Judge" in (tmp_path / "judge" / "README.md").read_text()
