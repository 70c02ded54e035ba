"""Where the text encoder is made from nothing: it learns what captions say before the U-Net learns to draw it.

A fine-tuned teacher brings an encoder that was taught by millions of captioned pictures. One that starts
from nothing binds words to attributes (whose colour is blue: the hair's or the eyes'?) much faster from the
captions alone than through the U-Net's loss, to which an eye is a few pixels.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cjd.config.recipe import Recipe, TrainConfig
from cjd.errors import UsageError
from cjd.storage import Store
from cjd.teacher.build import PARTS, build_text_encoder, ensure_tokenizer, finetune_config, seeded
from cjd.teacher.parts import part_weights, publish

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import nn

MANIFEST = "prepared/pictures/manifest.json"


@dataclass(frozen=True)
class TextTask:
    store: Store
    recipe: Recipe

    @property
    def name(self) -> str:
        return "text"

    @property
    def dataset(self) -> str:
        return "pictures"

    @property
    def columns(self) -> tuple[str, ...]:
        return ("tokens", "attributes")

    @property
    def config(self) -> TrainConfig:
        config = finetune_config(self.recipe).text_encoder.train
        if config is None:
            raise UsageError(f"recipe {self.recipe.name} has no [finetune.text_encoder.train] section")
        return config

    def build(self) -> nn.Module:
        from cjd.teacher.text_objective import TextObjective

        vocabulary = json.loads(self.store.read(MANIFEST))["vocabulary"]
        text_encoder: Any = build_text_encoder(self.recipe, self.store, ensure_tokenizer(self.store, self.recipe))
        with seeded(self.recipe.seed, "text_heads"):
            return TextObjective(text_encoder, [len(values) for values in vocabulary.values()])

    def preview(self, objective: nn.Module) -> np.ndarray | None:
        return None

    def export(self, weights: Mapping[str, torch.Tensor]) -> None:
        """`teacher-parts/text_encoder/`, from which the U-Net's task goes on; the heads are left behind."""
        text_encoder = build_text_encoder(self.recipe, self.store, ensure_tokenizer(self.store, self.recipe))
        text_encoder.load_state_dict(part_weights(weights, "text_encoder"))
        with tempfile.TemporaryDirectory() as folder:
            text_encoder.save_pretrained(folder, safe_serialization=True)
            publish(self.store, Path(folder), f"{PARTS}/text_encoder", last="config.json")
