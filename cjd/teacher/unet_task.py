"""The second fine-tuning, of the part that remembers concepts: the U-Net, and with it the whole teacher's folder."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cjd.config.recipe import Recipe, TrainConfig
from cjd.errors import UsageError
from cjd.images import grid
from cjd.prompts.builtin import TEACHER_PROMPTS
from cjd.seeds import RowRandom, derive_seed
from cjd.storage import Store
from cjd.teacher.build import (
    PARTS,
    build_scheduler,
    build_text_encoder,
    build_unet,
    ensure_tokenizer,
    finetune_config,
    picture_size,
)
from cjd.teacher.card import teacher_card
from cjd.teacher.folder import load_part
from cjd.teacher.parts import part_weights, publish
from cjd.teacher.sampling import decode_latents, denoise, encode_tokens, sampler
from cjd.teacher.tokenizer import save_tokenizer
from cjd.text.tokens import tokenize

if TYPE_CHECKING:
    import torch
    from torch import nn

_PREVIEW_STEPS = 10
_PREVIEW_GUIDANCE = 3.0


@dataclass(frozen=True)
class TeacherUNetTask:
    store: Store
    recipe: Recipe

    @property
    def name(self) -> str:
        return "unet"

    @property
    def dataset(self) -> str:
        return "pictures"

    @property
    def columns(self) -> tuple[str, ...]:
        return (f"image_{picture_size(self.recipe)}", "tokens")

    @property
    def config(self) -> TrainConfig:
        return finetune_config(self.recipe).unet.train

    def build(self) -> nn.Module:
        """Needs the VAE that the first task exported. Raises UsageError when there is none."""
        import torch

        from cjd.teacher.unet_objective import UNetObjective

        config = finetune_config(self.recipe).unet
        tokenizer = ensure_tokenizer(self.store, self.recipe)
        unet, text_encoder = build_unet(self.recipe, self.store), build_text_encoder(self.recipe, self.store, tokenizer)
        if config.train.activation_checkpointing:
            unet.enable_gradient_checkpointing()
        return UNetObjective(
            unet,
            text_encoder,
            self._vae(),
            build_scheduler(self.recipe, self.store).config,
            torch.from_numpy(tokenize(tokenizer, [""])[0]),
            self.columns[0],
            train_text_encoder=config.train_text_encoder,
            min_snr_gamma=config.min_snr_gamma,
            caption_dropout=config.caption_dropout,
        )

    def _vae(self) -> Any:
        if not self.store.exists(f"{PARTS}/vae/config.json"):
            raise UsageError(
                f"{self.store.uri}/{PARTS}/vae is not there; the VAE is trained first: cjd finetune {self.store.uri}"
            )
        self.store.local(f"{PARTS}/vae")
        return load_part(self.store.local(PARTS), "vae")

    def preview(self, objective: nn.Module) -> np.ndarray | None:
        """The built-in prompts, painted in a few steps from the same noise each time."""
        import torch

        model: Any = objective
        device = model.null_tokens.device
        tokenizer = ensure_tokenizer(self.store, self.recipe)
        prompts = list(TEACHER_PROMPTS[:12])
        noise = RowRandom([derive_seed("preview", prompt) for prompt in prompts], device)
        with torch.no_grad():
            text_encoder = model.companion("text_encoder", device)
            ids_BL = torch.from_numpy(tokenize(tokenizer, [*prompts, ""])).long().to(device)
            text_BLD, null_1LD = encode_tokens(text_encoder, ids_BL).split([len(prompts), 1])
            side = model.unet.config.sample_size
            latents_BChw = denoise(
                model.unet,
                sampler(build_scheduler(self.recipe, self.store).config, "dpmsolver++"),
                noise.normal(model.unet.config.in_channels, side, side),
                text_BLD,
                null_1LD.expand_as(text_BLD),
                _PREVIEW_STEPS,
                _PREVIEW_GUIDANCE,
            )
            pictures = decode_latents(model.companion("vae", device), latents_BChw).numpy()
        return grid(list(pictures), columns=6)

    def export(self, weights: Mapping[str, torch.Tensor]) -> None:
        """`teacher/`: a stock StableDiffusionPipeline in safetensors, with its model card."""
        import torch
        from diffusers import StableDiffusionPipeline

        tokenizer = ensure_tokenizer(self.store, self.recipe)
        unet, text_encoder = build_unet(self.recipe, self.store), build_text_encoder(self.recipe, self.store, tokenizer)
        unet.load_state_dict(part_weights(weights, "unet"))
        if finetune_config(self.recipe).unet.train_text_encoder:
            text_encoder.load_state_dict(part_weights(weights, "text_encoder"))
        without: dict[str, Any] = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
        pipeline = StableDiffusionPipeline(
            vae=self._vae(),
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            unet=unet,
            scheduler=build_scheduler(self.recipe, self.store),
            **without,
        )
        if finetune_config(self.recipe).weights_dtype == "fp16":
            pipeline.to(dtype=torch.float16)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            pipeline.save_pretrained(folder, safe_serialization=True)
            save_tokenizer(tokenizer, folder / "tokenizer")
            load_in_float32(folder / "text_encoder" / "config.json")
            (folder / "README.md").write_text(teacher_card(self.recipe, self.store, pipeline), encoding="utf-8")
            publish(self.store, folder, "teacher", last="model_index.json")


def load_in_float32(config: Path) -> None:
    """Let the stock pipeline load half-precision weights in float32, as it does diffusers' own parts: it leaves
    the text encoder's type to transformers, which takes the one that the config names.
    """
    content = json.loads(config.read_text(encoding="utf-8")) | {"dtype": "float32"}
    config.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
