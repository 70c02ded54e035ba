"""The VAE's loss.

Shapes: B pictures, C latent channels, h×w latents, H×W pixels.
"""

from __future__ import annotations

from typing import Any

from diffusers import AutoencoderKL
from torch import Tensor, nn

from cjd.seeds import RowRandom
from cjd.teacher.parts import to_signed

MSE_WEIGHT = 0.5
EDGE_WEIGHT = 0.5


class VaeObjective(nn.Module):
    """loss = L1 + 0.5 MSE + 0.5 L1 of the edges + kl_weight KL: flat colours and crisp lines, without a critic."""

    def __init__(self, vae: AutoencoderKL, column: str, kl_weight: float) -> None:
        super().__init__()
        self.vae = vae
        self.column = column
        self.kl_weight = kl_weight

    def forward(self, batch: dict[str, Tensor], random: RowRandom) -> dict[str, Tensor]:
        """`batch[column]`: uint8 `[B, 3, H, W]`. Returns "loss", "l1", "edges" and "kl", float32 `[B]`."""
        x_B3HW = to_signed(batch[self.column])
        posterior: Any = self.vae.encode(x_B3HW).latent_dist  # type: ignore[union-attr]
        mean_BChw, std_BChw = posterior.mean.float(), posterior.std.float()
        latents_BChw = mean_BChw + std_BChw * random.normal(*mean_BChw.shape[1:])
        difference = self.vae.decode(latents_BChw).sample.float() - x_B3HW  # type: ignore[union-attr]
        l1, mse, edges = per_row(difference.abs()), per_row(difference.square()), edge_l1(difference)
        kl = gaussian_kl(posterior.mean.float(), posterior.logvar.float())
        loss = l1 + MSE_WEIGHT * mse + EDGE_WEIGHT * edges + self.kl_weight * kl
        return {"loss": loss, "l1": l1.detach(), "edges": edges.detach(), "kl": kl.detach()}


def per_row(x: Tensor) -> Tensor:
    """The mean of each row: `[B, ...]` to `[B]`."""
    return x.flatten(1).mean(1)


def edge_l1(difference_B3HW: Tensor) -> Tensor:
    """L1 between the pictures' finite differences, `[B]`; linear, so taken of the difference itself."""
    down = difference_B3HW[:, :, 1:] - difference_B3HW[:, :, :-1]
    across = difference_B3HW[:, :, :, 1:] - difference_B3HW[:, :, :, :-1]
    return per_row(down.abs()) + per_row(across.abs())


def gaussian_kl(mean_BChw: Tensor, logvar_BChw: Tensor) -> Tensor:
    """KL(N(mean, exp(logvar)) || N(0, 1)) in nats, summed over a row: `[B]`. Source: arXiv 1312.6114, appendix B."""
    return 0.5 * (mean_BChw.square() + logvar_BChw.exp() - 1.0 - logvar_BChw).flatten(1).sum(1)
