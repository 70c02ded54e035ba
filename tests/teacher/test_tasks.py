from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
import torch
from safetensors import safe_open

from cjd.errors import UsageError
from cjd.seeds import RowRandom
from cjd.storage import open_store
from cjd.teacher.build import ensure_tokenizer
from cjd.teacher.folder import load_part, teacher_fingerprint
from cjd.teacher.parts import first_pictures
from cjd.teacher.unet_task import TeacherUNetTask
from cjd.teacher.vae_task import VaeTask, latent_deviation
from cjd.text.tokens import tokenize
from tests.teacher.small import batch_of, finish, make_teacher, small_recipe


@pytest.fixture(params=[VaeTask, TeacherUNetTask])
def task(request, run_store, recipe):
    return request.param(run_store, recipe)


def test_tasks_travel_and_build_the_same(task):
    again = pickle.loads(pickle.dumps(task))
    assert (again.name, again.dataset, again.columns) == (task.name, "pictures", task.columns)
    state = torch.get_rng_state()
    one, other = task.build().state_dict(), again.build().state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    assert one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_loss_is_per_row_and_reaches_every_weight(task, run_store):
    objective = task.build()
    batch = {name: batch_of(run_store, [0, 1, 2, 3])[name] for name in task.columns}
    out = objective(batch, RowRandom([1, 2, 3, 4]))
    assert out["loss"].shape == (4,) and out["loss"].dtype == torch.float32
    assert out["loss"].isfinite().all()
    out["loss"].mean().backward()
    assert all(p.grad is not None for p in objective.parameters() if p.requires_grad)


def test_loss_of_a_row_does_not_depend_on_its_mates(task, run_store):
    objective = task.build()
    with torch.no_grad():
        together = objective(batch_of(run_store, [0, 1, 2, 3]), RowRandom([1, 2, 3, 4]))["loss"]
        alone = objective(batch_of(run_store, [2]), RowRandom([3]))["loss"]
    torch.testing.assert_close(alone[0], together[2], rtol=1e-4, atol=1e-5)


def test_loss_under_autocast_is_float32(task, run_store):
    objective = task.build()
    with torch.autocast("cpu", torch.bfloat16):
        loss = objective(batch_of(run_store, [0, 1]), RowRandom([1, 2]))["loss"]
    assert loss.dtype == torch.float32 and loss.isfinite().all()


def test_a_few_steps_lower_the_loss(task, run_store):
    objective = task.build()
    optimizer = torch.optim.AdamW(objective.parameters(), lr=2e-3)
    batch, losses = batch_of(run_store, [0, 1, 2, 3]), []
    for _ in range(25):
        loss = objective(batch, RowRandom([1, 2, 3, 4]))["loss"].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_preview_is_a_sheet_and_repeats(task):
    objective = task.build()
    sheet = task.preview(objective)
    assert sheet.ndim == 3 and sheet.shape[2] == 3 and sheet.dtype == "uint8"
    assert (task.preview(objective) == sheet).all()


def test_vae_is_outside_the_unet_objective(run_store):
    trained = TeacherUNetTask(run_store, small_recipe()).build()
    assert {name.split(".")[0] for name in trained.state_dict()} == {"unet", "text_encoder"}
    frozen = TeacherUNetTask(run_store, small_recipe(train_text_encoder=False)).build()
    assert {name.split(".")[0] for name in frozen.state_dict()} == {"unet"}
    assert {name.split(".")[0] for name, _ in frozen.named_parameters()} == {"unet"}


def test_dropped_captions_are_the_empty_prompt(run_store):
    objective: Any = TeacherUNetTask(run_store, small_recipe(caption_dropout=1.0)).build()
    batch = batch_of(run_store, [0, 1])
    empty = batch | {"tokens": objective.null_tokens.int().repeat(2, 1)}
    losses = [objective(b, RowRandom([1, 2]))["loss"] for b in (batch, empty)]
    assert torch.equal(*losses)


@pytest.mark.parametrize("prediction_type", ["v_prediction", "epsilon"])
def test_weights_are_positive_to_the_last_timestep(run_store, prediction_type):
    objective: Any = TeacherUNetTask(run_store, small_recipe(prediction_type=prediction_type)).build()
    weight = objective.weight(torch.arange(1000))
    assert weight.isfinite().all() and (weight > 0).all() and (weight <= 1).all()
    terminal = objective.schedule.alphas_cumprod[-1]
    assert (terminal == 0) == (prediction_type == "v_prediction")


def test_latents_have_a_deviation_of_one(run_store, recipe):
    vae = load_part(run_store.local("teacher-parts"), "vae")
    deviation = latent_deviation(vae, first_pictures(run_store, 16, 256))
    assert deviation * vae.config.scaling_factor == pytest.approx(1.0, rel=1e-3)


def test_export_keeps_the_trained_weights_in_half(run_store, recipe, teacher):
    weights = TeacherUNetTask(run_store, recipe).build().state_dict()
    for part, file in (("unet", "diffusion_pytorch_model.safetensors"), ("text_encoder", "model.safetensors")):
        with safe_open(teacher / part / file, framework="pt") as saved:
            names = list(saved.keys())
            assert {saved.get_slice(name).get_dtype() for name in names} == {"F16"}
        loaded = load_part(teacher, part).state_dict()
        for name, tensor in loaded.items():
            assert torch.equal(tensor, weights[f"{part}.{name}"].half().float())


def test_the_same_recipe_makes_the_same_teacher(tmp_path, recipe, teacher):
    again = make_teacher(str(tmp_path / "elsewhere"), recipe)
    assert teacher_fingerprint(again.local("teacher")) == teacher_fingerprint(teacher)


def test_card_says_what_it_is(teacher, recipe):
    card = (teacher / "README.md").read_text()
    assert card.startswith("---\nlicense: cc0-1.0\n")
    for fact in (recipe.fingerprint(), "paperdoll", "--recipe small-teacher"):
        assert fact in card


def test_fine_tuning_starts_from_a_folder(tmp_path, teacher, run_store):
    recipe = small_recipe()
    finetune = recipe.finetune.model_copy(update={"init": str(teacher)})  # type: ignore[union-attr]
    recipe = recipe.model_copy(update={"finetune": finetune})
    store = make_teacher(str(tmp_path / "run"), recipe)
    for part in ("unet", "text_encoder", "vae"):
        one, other = load_part(teacher, part).state_dict(), load_part(store.local("teacher"), part).state_dict()
        assert all(torch.equal(one[k], other[k]) for k in one)
    assert (
        load_part(store.local("teacher"), "vae").config.scaling_factor
        == load_part(teacher, "vae").config.scaling_factor
    )
    assert "license: openrail++" in store.read("teacher/README.md").decode()


def test_the_unet_wants_the_vae_first(tmp_path, recipe):
    from tests.teacher.small import prepare

    store = open_store(tmp_path)
    prepare(store)
    with pytest.raises(UsageError, match="VAE is trained first"):
        TeacherUNetTask(store, recipe).build()
    finish(VaeTask(store, recipe))
    TeacherUNetTask(store, recipe).build()


def test_tokenizer_wants_captions(tmp_path, recipe):
    from cjd.teacher.build import ensure_tokenizer

    with pytest.raises(UsageError, match="cjd finetune"):
        ensure_tokenizer(open_store(tmp_path), recipe)


def test_the_text_encoder_learns_its_captions_before_the_unet(tmp_path):
    from cjd.teacher.text_task import TextTask

    run_store, recipe = make_teacher(str(tmp_path), small_recipe()), small_recipe()
    manifest = {"rows": 8, "shards": [], "vocabulary": {"colour": ["red", "blue"], "size": ["big", "small", "tiny"]}}
    run_store.write("prepared/pictures/manifest.json", json.dumps(manifest).encode())
    objective: Any = TextTask(run_store, recipe).build()
    tokens = torch.from_numpy(tokenize(ensure_tokenizer(run_store, recipe), ["a red girl", "a blue sky"] * 4))
    batch = {"tokens": tokens, "attributes": torch.tensor([[0, 1], [1, -1]] * 4, dtype=torch.int8)}
    optimizer = torch.optim.AdamW(objective.parameters(), lr=1e-2)
    first = objective(batch, RowRandom([0] * 8))["loss"]
    assert first.shape == (8,)
    for _ in range(40):
        optimizer.zero_grad()
        objective(batch, RowRandom([0] * 8))["loss"].mean().backward()
        optimizer.step()
    result = objective(batch, RowRandom([0] * 8))
    assert result["loss"].mean() < 0.2 * first.mean()
    assert result["accuracy"].eq(1).all()
    TextTask(run_store, recipe).export(objective.state_dict())
    unet_task: Any = TeacherUNetTask(run_store, small_recipe(train_text_encoder=True)).build()
    learnt = objective.text_encoder.state_dict()
    assert all(torch.equal(value, learnt[name]) for name, value in unet_task.text_encoder.state_dict().items())
