"""The teacher's model card, computed from the recipe and the run."""

from __future__ import annotations

import json
from typing import Any

from cjd import __version__
from cjd.config.recipe import Recipe
from cjd.storage import Store


def teacher_card(recipe: Recipe, store: Store, pipeline: Any) -> str:
    """Markdown with the Hub's front matter. What was made from nothing but drawn pictures is free of rights;
    what was fine-tuned from another teacher stays under that one's licence.
    """
    assert recipe.finetune is not None and recipe.source is not None
    own = recipe.finetune.init == "new"
    licence = "cc0-1.0" if own else recipe.teacher.licence.lower()
    front = [
        "---",
        f"license: {licence}",
        "library_name: diffusers",
        "pipeline_tag: text-to-image",
        "tags:",
        "- stable-diffusion",
    ]
    if not own:
        front.append(f"base_model: {recipe.finetune.init}")
    return "\n".join([*front, "---", "", *_body(recipe, store, pipeline, licence)]) + "\n"


def _body(recipe: Recipe, store: Store, pipeline: Any, licence: str) -> list[str]:
    assert recipe.finetune is not None and recipe.source is not None
    finetune, source = recipe.finetune, recipe.source
    start = "nothing (randomly initialised)" if finetune.init == "new" else finetune.init
    counts = {
        name: sum(p.numel() for p in getattr(pipeline, name).parameters()) for name in ("text_encoder", "vae", "unet")
    }
    text = "trained with the U-Net" if finetune.unet.train_text_encoder else "not trained"
    return [
        f"# {recipe.name}",
        "",
        f"A StableDiffusionPipeline for {source.size}-pixel illustrations, the teacher of a student that is distilled from it.",
        "It is not meant to be used by itself.",
        "",
        "| | |",
        "| --- | --- |",
        f"| Base | {start} |",
        f"| Training pictures | {_pictures(store, source.count):,} of {source.kind}, a procedural illustrator that draws and captions them; no other data |",
        f"| VAE | {counts['vae']:,} parameters, {finetune.vae.train.samples:,} samples seen |",
        f"| U-Net | {counts['unet']:,} parameters, {finetune.unet.train.samples:,} samples seen, {pipeline.scheduler.config.prediction_type} |",
        f"| Text encoder | {counts['text_encoder']:,} parameters, {text} |",
        f"| Weights | safetensors, {finetune.weights_dtype} |",
        f"| Recipe | {recipe.name}, fingerprint {recipe.fingerprint()}, seed {recipe.seed} |",
        f"| Code | cjd {__version__} |",
        f"| Licence | {licence} |",
        "",
        "Made by:",
        "",
        "```",
        f"python jobs/finetune_teacher.py RUN --recipe {recipe.name}",
        "```",
        "",
        "Use:",
        "",
        "```python",
        "from diffusers import StableDiffusionPipeline",
        "",
        'pipeline = StableDiffusionPipeline.from_pretrained("RUN/teacher")',
        'pipeline("anime, a cute girl with long white hair", num_inference_steps=12, guidance_scale=3).images[0]',
        "```",
    ]


def _pictures(store: Store, planned: int) -> int:
    if not store.exists("pictures/_done.json"):
        return planned
    return int(json.loads(store.read("pictures/_done.json")).get("rows", planned))
