"""What a recipe names, looked at before a run is made of it: afterwards the recipe is settled."""

from __future__ import annotations

from cjd.config import Recipe
from cjd.errors import UsageError
from cjd.pipelines.evaluate import FEWEST_PROMPTS
from cjd.storage import Store


def check(recipe: Recipe, store: Store) -> None:
    """Raises UsageError or PolicyError, one line, for the first thing that a stage would stumble over.

    What the run is still to make itself (a teacher or a judge called "run") is not asked for.
    """
    from cjd.policy import Gate
    from cjd.prompts import Grammar

    Gate.load(recipe.policy)
    if recipe.prompts is not None:
        Grammar.load(recipe.prompts.grammar, recipe.prompts.weights)
        _check_prompts(recipe)
    if recipe.generate is not None and recipe.teacher.path != "run":
        _check_teacher(recipe, store)
    if recipe.student is not None:
        _check_student(recipe)
    if recipe.evaluate is not None:
        _check_evaluation(recipe, store)
    if recipe.finetune is not None:
        _check_finetune(recipe, store)


def _check_teacher(recipe: Recipe, store: Store) -> None:
    from cjd.teacher.folder import check_teacher, resolve_teacher
    from cjd.text.encoder import student_text_folders

    folder = resolve_teacher(recipe.teacher.path, store)
    check_teacher(folder)
    student_text_folders(recipe, store, folder)


def _check_prompts(recipe: Recipe) -> None:
    from cjd.pipelines.mine import find_parts
    from cjd.text.writer import generator_folder

    assert recipe.prompts is not None
    if recipe.prompts.mine is not None:
        find_parts(recipe.prompts.mine.sources)
    if recipe.prompts.generator is not None:
        generator_folder(recipe.prompts.generator.path)


def _check_student(recipe: Recipe) -> None:
    from cjd.policy.licences import student_licence
    from cjd.student.task import check_sizes
    from cjd.train.loop import check_layout

    assert recipe.student is not None
    student_licence(recipe.teacher.licence)
    lower = None
    for stage in recipe.student.stages:
        check_sizes(stage, lower)
        check_layout(stage.train, recipe.resources.train.workers, stage.name)
        lower = stage


def _check_evaluation(recipe: Recipe, store: Store) -> None:
    from cjd.evaluation.judge import resolve_judge

    assert recipe.evaluate is not None
    if recipe.evaluate.prompts < FEWEST_PROMPTS:
        raise UsageError(f"evaluate.prompts is {recipe.evaluate.prompts}; distances need at least {FEWEST_PROMPTS}")
    if recipe.evaluate.judge != "run":
        resolve_judge(recipe.evaluate.judge, store)


def _check_finetune(recipe: Recipe, store: Store) -> None:
    from cjd.teacher.build import init_folder
    from cjd.train.loop import check_layout

    assert recipe.finetune is not None
    init_folder(recipe, store)
    tasks = {"vae": recipe.finetune.vae.train, "unet": recipe.finetune.unet.train}
    if recipe.finetune.text_encoder.train is not None:
        tasks["text"] = recipe.finetune.text_encoder.train
    if recipe.judge is not None:
        tasks["judge"] = recipe.judge.train
    for name, config in tasks.items():
        check_layout(config, recipe.resources.train.workers, name)
