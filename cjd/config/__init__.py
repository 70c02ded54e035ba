"""Recipes: what a run is made of. No torch, no Ray: a recipe can be read anywhere in a blink."""

from cjd.config.load import load_recipe, recipe_names, resolve, with_overrides
from cjd.config.recipe import Recipe

__all__ = ["Recipe", "load_recipe", "recipe_names", "resolve", "with_overrides"]
