"""A language model in Ray Data actors: the same prompts whatever the number of actors, and after a stop."""

from __future__ import annotations

from pathlib import Path

from cjd.config.recipe import GeneratorConfig, PromptsConfig, Recipe, ResourcesConfig
from cjd.pipelines import imagine, prompts
from cjd.progress import Progress
from cjd.storage import Run
from tests.text.test_writer import save_gpt2


def test_imagined_prompts_are_the_same_after_a_stop(
    tmp_path: Path, resources: ResourcesConfig, ray_session: None
) -> None:
    model = save_gpt2(tmp_path / "model")
    generator = GeneratorConfig(
        path=str(model), count=11, shard_rows=4, micro_batch_size=4, max_new_tokens=8, starts=("a girl", "a lake")
    )
    recipe = Recipe(name="i", prompts=PromptsConfig(count=20, builtin=False, generator=generator), resources=resources)
    run = Run.create(str(tmp_path / "run"), recipe)
    made = prompts.run(run, Progress())
    first = imagine.imagined_prompts(run)
    assert len(first) == 11 and made["origins"]["generator"] == len(set(first))
    run.store.delete("imagined/_done.json")
    run.store.delete("imagined/shard-000001.parquet")
    imagine.run(run, Progress())
    assert imagine.imagined_prompts(run) == first
