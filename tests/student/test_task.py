import pickle
from functools import partial

import numpy as np
import pytest
import torch

from cjd.errors import UsageError
from cjd.seeds import RowRandom
from cjd.student import prepared
from cjd.student.sampling import to_signed, upscale
from cjd.student.task import StageTask
from tests.student.conftest import SIZES, make_recipe


def make_task(store, folders, name, **overrides):
    return StageTask(store, make_recipe(list(SIZES), **overrides), name, partial(tuple, folders))


@pytest.fixture
def task_of(prepared_store, text_folders):
    return lambda name, **overrides: make_task(prepared_store, text_folders, name, **overrides)


def batch_of(task):
    return prepared.first_rows(task.store, task.columns, 8)


def test_the_columns_follow_from_the_place_in_the_cascade(task_of):
    assert task_of("base").columns == ("image_8", "text")
    assert task_of("sr-32").columns == ("image_32", "image_16", "text")
    assert (task_of("sr-16").name, task_of("sr-16").dataset) == ("sr-16", "samples")
    assert pickle.loads(pickle.dumps(task_of("base"))).columns == ("image_8", "text")
    with pytest.raises(UsageError, match="sr-32"):
        _ = task_of("sr-64").columns


def test_equal_recipes_build_equal_weights_and_leave_the_global_generator_alone(task_of):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = task_of("base").build().state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    second = task_of("base").build().state_dict()
    assert first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)
    assert all(k.startswith("unet.") for k in first)
    other = task_of("sr-16").build().state_dict()
    assert not torch.equal(first["unet.conv_in.weight"], other["unet.conv_in.weight"][:, :3])


@pytest.mark.parametrize("name", list(SIZES))
def test_the_untrained_loss_is_the_variance_of_v(task_of, name):
    """The first prediction is zero, so that the unweighted loss is the mean square of v, near one."""
    task = task_of(name, **{name: {"min_snr_gamma": 0.0}})
    out = task.build()(batch_of(task), RowRandom(range(8)))
    assert out["loss"].shape == (8,) and out["loss"].dtype == torch.float32
    assert out["timesteps"].shape == (8,) and out["timesteps"].dtype == torch.int64
    assert 0.3 < out["loss"].mean() < 1.5


@pytest.mark.parametrize("name", ["base", "sr-16"])
def test_the_loss_falls_on_a_toy_batch(task_of, name):
    task = task_of(name, **{name: {"caption_dropout": 0.0}})
    objective, batch = task.build(), batch_of(task)
    optimizer = torch.optim.AdamW(objective.parameters(), lr=3e-3)
    losses = []
    for step in range(40):
        loss = objective(batch, RowRandom([100 * step + i for i in range(8)]))["loss"].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-8:]) < 0.75 * np.mean(losses[:8])
    assert bool((objective.unet.conv_out.weight[3:] == 0).all()), "the variance half is left untrained"


def test_a_row_draws_the_same_whatever_its_batch_mates(task_of):
    task = task_of("sr-16")
    objective, batch = task.build(), batch_of(task)
    many = objective(batch, RowRandom(range(8)))
    one = objective({k: v if k == "text_null" else v[5:6] for k, v in batch.items()}, RowRandom([5]))
    assert many["timesteps"][5] == one["timesteps"][0]
    torch.testing.assert_close(many["loss"][5:6], one["loss"])


def test_crops_of_both_pictures_are_one_window_on_the_low_resolution_grid(task_of):
    task = task_of("sr-32", **{"sr-32": {"crop_size": 8}})
    objective = task.build()
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    places = torch.stack([y, x, torch.zeros_like(y)]).expand(64, 3, 32, 32)
    high, low = objective.crop(places, -places, RowRandom(range(64)))
    assert high.shape == (64, 3, 8, 8) and torch.equal(high, -low)
    corners = high[:, :2, 0, 0]
    assert bool((corners % 2 == 0).all()) and len(corners.unique(dim=0)) > 20
    assert corners.min() == 0 and corners.max() == 24
    assert torch.equal(high, high[:, :, :1, :1] + (places[:, :, :8, :8]))


def test_a_crop_of_the_enlarged_picture_is_what_sampling_sees(task_of, prepared_store):
    task = task_of("sr-16", **{"sr-16": {"crop_size": 16}})
    low = upscale(to_signed(batch_of(task)["image_8"]), 16)
    cropped, _ = task.build().crop(low, low, RowRandom(range(8)))
    assert torch.equal(cropped, low)


def test_captions_drop_at_their_share_and_row_by_row(task_of):
    objective = task_of("base", base={"caption_dropout": 0.25}).build()
    text, null = torch.ones(2000, 2, 3), torch.zeros(2, 3)
    dropped = objective.drop_captions(text, null, RowRandom(range(2000))).flatten(1)
    assert bool(((dropped == 0).all(1) | (dropped == 1).all(1)).all())
    assert 0.2 < (dropped[:, 0] == 0).float().mean() < 0.3


def test_augmentation_levels_stay_below_the_maximum(task_of):
    task = task_of("sr-16", **{"sr-16": {"max_noise_level": 3}})
    objective, seen = task.build(), []
    predict = objective.predict
    objective.predict = lambda x, t, text, low, level: (seen.append(level), predict(x, t, text, low, level))[1]
    for step in range(8):
        objective(batch_of(task), RowRandom(range(8 * step, 8 * step + 8)))
    assert set(torch.cat(seen).tolist()) == {0, 1, 2, 3}


def test_bfloat16_autocast_leaves_the_loss_in_float32(task_of):
    task = task_of("base")
    with torch.autocast("cpu", torch.bfloat16):
        loss = task.build()(batch_of(task), RowRandom(range(8)))["loss"]
    assert loss.dtype == torch.float32 and bool(torch.isfinite(loss).all())


@pytest.mark.parametrize("name", ["base", "sr-16"])
def test_previews_are_sheets_at_fixed_noise(task_of, name):
    task = task_of(name)
    objective = task.build()
    sheet = task.preview(objective)
    assert sheet.dtype == np.uint8 and sheet.ndim == 3 and sheet.shape[2] == 3
    assert np.array_equal(sheet, task.preview(objective))


@pytest.mark.parametrize(("change", "message"), [({"crop_size": 7}, "multiple of 2"), ({"crop_size": 64}, "larger")])
def test_sizes_that_do_not_fit_are_refused(task_of, change, message):
    with pytest.raises(UsageError, match=message):
        task_of("sr-16", **{"sr-16": change}).build()
