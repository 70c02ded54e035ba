import tomllib
from importlib import resources

import pytest

from cjd.config import load_recipe, recipe_names


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_parses_and_bears_its_files_name(name):
    recipe = load_recipe(name)
    assert recipe.name == name and recipe.description
    content = tomllib.loads((resources.files("cjd") / "recipes" / f"{name}.toml").read_text(encoding="utf-8"))
    assert content["name"] == name


@pytest.mark.parametrize("name", recipe_names())
def test_batches_divide_among_the_workers(name):
    recipe = load_recipe(name)
    for stage in recipe.student.stages if recipe.student else ():
        workers = recipe.resources.train.workers
        micro = stage.train.micro_batch_size or 1
        assert stage.train.batch_size % (workers * micro) == 0, stage.name
        levels = 2 ** (len(stage.unet.block_out_channels) - 1)
        assert stage.size % levels == 0 and (stage.crop_size or stage.size) % levels == 0, stage.name
        assert all(c % stage.unet.norm_num_groups == 0 for c in stage.unet.block_out_channels), stage.name


@pytest.mark.parametrize("name", recipe_names())
def test_resources_are_no_part_of_what_comes_out(name):
    recipe = load_recipe(name)
    assert load_recipe(name, ["resources.train.workers=7"]).fingerprint() == recipe.fingerprint()
    assert load_recipe(name, ["seed=12345"]).fingerprint() != recipe.fingerprint()
