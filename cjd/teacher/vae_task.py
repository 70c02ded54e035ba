"""The first fine-tuning, of the part that can express: the VAE learns to give the pictures back.

Shapes: B pictures, C latent channels, h×w latents, H×W pixels.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cjd.config.recipe import Recipe, TrainConfig
from cjd.images import grid
from cjd.storage import Store
from cjd.teacher.build import PARTS, build_vae, finetune_config, picture_size
from cjd.teacher.parts import first_pictures, part_weights, publish, to_signed

if TYPE_CHECKING:
    import torch
    from torch import nn

_PREVIEW = 8
_SCALE_PICTURES = 256


@dataclass(frozen=True)
class VaeTask:
    store: Store
    recipe: Recipe

    @property
    def name(self) -> str:
        return "vae"

    @property
    def dataset(self) -> str:
        return "pictures"

    @property
    def columns(self) -> tuple[str, ...]:
        return (f"image_{picture_size(self.recipe)}",)

    @property
    def config(self) -> TrainConfig:
        return finetune_config(self.recipe).vae.train

    def build(self) -> nn.Module:
        from cjd.teacher.vae_objective import VaeObjective

        vae = build_vae(self.recipe, self.store)
        if self.config.activation_checkpointing:
            vae.enable_gradient_checkpointing()
        return VaeObjective(vae, self.columns[0], finetune_config(self.recipe).vae.kl_weight)

    def preview(self, objective: nn.Module) -> np.ndarray | None:
        """Originals above their reconstructions."""
        import torch

        vae: Any = objective.vae
        originals = first_pictures(self.store, picture_size(self.recipe), _PREVIEW)
        with torch.no_grad():
            mean_BChw = vae.encode(to_signed(originals).to(vae.device, vae.dtype)).latent_dist.mode()
            pixels = (vae.decode(mean_BChw).sample.float().cpu() * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)
        pictures = torch.cat([originals, pixels]).permute(0, 2, 3, 1).numpy()
        return grid(list(pictures), columns=len(originals))

    def export(self, weights: Mapping[str, torch.Tensor]) -> None:
        """`teacher-parts/vae/`, float32, with the scaling factor that gives its latents a deviation of 1.

        A VAE that was fine-tuned from another teacher keeps its factor: the U-Net knows latents at that scale.
        """
        vae = build_vae(self.recipe, self.store)
        vae.load_state_dict(part_weights(weights, "vae"))
        vae.eval()
        if finetune_config(self.recipe).init == "new":
            pictures = first_pictures(self.store, picture_size(self.recipe), _SCALE_PICTURES)
            vae.register_to_config(scaling_factor=round(1.0 / latent_deviation(vae, pictures), 6))
        with tempfile.TemporaryDirectory() as folder:
            vae.save_pretrained(folder, safe_serialization=True)
            publish(self.store, Path(folder), f"{PARTS}/vae", last="config.json")


def latent_deviation(vae: Any, pictures_uint8: torch.Tensor) -> float:
    """The standard deviation over all entries of the posterior means of some pictures."""
    import torch

    with torch.no_grad():
        latents = [vae.encode(to_signed(some)).latent_dist.mode() for some in pictures_uint8.split(32)]
    return float(torch.cat(latents).double().std())
