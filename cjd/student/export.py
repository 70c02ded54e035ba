"""A trained stage becomes a stock diffusers pipeline folder; the folders together become the student."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cjd.config.recipe import Recipe, StageConfig
from cjd.errors import UsageError
from cjd.storage.store import Store
from cjd.student.scheduler import noising_scheduler, sampling_scheduler
from cjd.text.encoder import load_text_model
from cjd.text.libraries import quieten
from cjd.text.tokens import load_tokenizer

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

STUDENT = "student"
CASCADE = "cascade.json"


def export_stage(
    store: Store,
    stage: StageConfig,
    lower: StageConfig | None,
    unet: UNet2DConditionModel,
    tokenizer_folder: Path,
    text_encoder_folder: Path,
) -> None:
    """Write `student/<stage>/`: IFPipeline for the base, IFSuperResolutionPipeline above; safetensors, float32.

    Tokenizer and text encoder go into every stage, so that each loads alone.
    """
    from diffusers import IFPipeline, IFSuperResolutionPipeline

    quieten()
    parts: dict[str, Any] = {
        "tokenizer": load_tokenizer(tokenizer_folder),
        "text_encoder": load_text_model(
            text_encoder_folder
        ),  # float32: the stock pipelines give its dtype to the U-Net's input
        "unet": unet.float().eval(),
        "scheduler": sampling_scheduler(stage, lower is not None),
        "safety_checker": None,
        "feature_extractor": None,
        "watermarker": None,
        "requires_safety_checker": False,
    }
    if lower is None:
        pipeline = IFPipeline(**parts)
    else:
        pipeline = IFSuperResolutionPipeline(image_noising_scheduler=noising_scheduler(), **parts)
    target = f"{STUDENT}/{stage.name}"
    with tempfile.TemporaryDirectory() as temporary:
        pipeline.save_pretrained(temporary, safe_serialization=True)
        store.delete(target)
        store.upload(Path(temporary), target)


def write_cascade(store: Store, recipe: Recipe) -> dict[str, Any]:
    """Write `student/cascade.json`, which makes the exported stages a student. Returns its content.

    Raises UsageError when a stage is not exported yet.
    """
    if recipe.student is None:
        raise UsageError(f"recipe {recipe.name} has no [student] section, which a cascade needs")
    for stage in recipe.student.stages:
        if not store.exists(f"{STUDENT}/{stage.name}/model_index.json"):
            raise UsageError(f"{store.uri}/{STUDENT}/{stage.name} is not there; first run: cjd train {store.uri}")
    content = {"stages": [{"name": s.name, "size": s.size, **s.sampler.model_dump()} for s in recipe.student.stages]}
    store.write(f"{STUDENT}/{CASCADE}", (json.dumps(content, indent=2) + "\n").encode())
    return content
