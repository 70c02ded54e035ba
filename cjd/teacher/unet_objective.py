"""The U-Net's loss: denoise latents of captioned pictures, under diffusers' own schedule.

Shapes: B pictures, C latent channels, h×w latents, L tokens, D text width, H×W pixels.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr
from torch import Tensor, nn

from cjd.seeds import RowRandom
from cjd.teacher.parts import to_signed
from cjd.teacher.sampling import encode_tokens

# Min-SNR weights v-prediction by 0 at zero terminal SNR, where sampling starts: the first step would not be learnt.
SMALLEST_WEIGHT = 0.1


class UNetObjective(nn.Module):
    """Trains `unet`, and `text_encoder` with it when `train_text_encoder`.

    What is frozen (the VAE, and a text encoder that is not trained) is not registered: it is in no
    optimizer and no state dict, and follows the batch to its device.
    """

    def __init__(
        self,
        unet: nn.Module,
        text_encoder: nn.Module,
        vae: nn.Module,
        scheduler_config: Any,  # of the teacher's own scheduler
        null_tokens: Tensor,  # [L], the empty prompt's
        column: str,
        *,
        train_text_encoder: bool,
        min_snr_gamma: float,  # 0: unweighted
        caption_dropout: float,
    ) -> None:
        super().__init__()
        self.unet = unet
        vae = vae.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # encodes faster so
        self.frozen: dict[str, nn.Module] = {"vae": vae}
        if train_text_encoder:
            self.text_encoder = text_encoder
        else:
            self.frozen["text_encoder"] = text_encoder.eval().requires_grad_(False)
        self.schedule: Any = DDPMScheduler.from_config(scheduler_config, variance_type="fixed_small")
        self.null_tokens: Tensor
        self.register_buffer("null_tokens", null_tokens.long(), persistent=False)
        self.column = column
        self.min_snr_gamma = min_snr_gamma
        self.caption_dropout = caption_dropout

    def companion(self, name: str, device: torch.device) -> Any:
        """ "vae" or "text_encoder", on `device`."""
        module = self.frozen[name] if name in self.frozen else getattr(self, name)
        return module.to(device) if name in self.frozen else module

    def forward(self, batch: dict[str, Tensor], random: RowRandom) -> dict[str, Tensor]:
        """`batch`: "image_<size>" uint8 `[B, 3, H, W]` and "tokens" int32 `[B, L]`. Pictures are not mirrored:
        a caption may say which side a thing is on.

        Returns "loss" and "mse", float32 `[B]`, and "timesteps", int64 `[B]`.
        """
        x0_BChw = self.latents(batch[self.column], random)
        timesteps = random.integers(0, self.schedule.config.num_train_timesteps)
        noise_BChw = random.normal(*x0_BChw.shape[1:])
        dropped_B = random.uniform() < self.caption_dropout
        tokens_BL = torch.where(dropped_B[:, None], self.null_tokens, batch["tokens"].long())
        text_BLD = encode_tokens(self.companion("text_encoder", tokens_BL.device), tokens_BL)
        xt_BChw = self.schedule.add_noise(x0_BChw, noise_BChw, timesteps)
        output_BChw = self.unet(xt_BChw, timesteps, encoder_hidden_states=text_BLD, return_dict=False)[0].float()
        if self.schedule.config.prediction_type == "v_prediction":
            target_BChw = self.schedule.get_velocity(x0_BChw, noise_BChw, timesteps)
        else:
            target_BChw = noise_BChw
        mse = (output_BChw - target_BChw).square().flatten(1).mean(1)
        return {"loss": self.weight(timesteps) * mse, "mse": mse.detach(), "timesteps": timesteps}

    @torch.no_grad()
    def latents(self, image_B3HW: Tensor, random: RowRandom) -> Tensor:
        """A draw from the VAE's posterior, scaled to a deviation of 1: float32 `[B, C, h, w]`."""
        vae = self.companion("vae", image_B3HW.device)
        posterior = vae.encode(to_signed(image_B3HW).contiguous(memory_format=torch.channels_last)).latent_dist
        mean_BChw = posterior.mean.float().contiguous()
        return (mean_BChw + posterior.std.float() * random.normal(*mean_BChw.shape[1:])) * vae.config.scaling_factor

    def weight(self, timesteps: Tensor) -> Tensor:
        """min(SNR, γ) over SNR (epsilon) or SNR + 1 (v), `[B]`, with a floor. Source: Hang et al., arXiv 2303.09556."""
        if self.min_snr_gamma == 0:
            return torch.ones_like(timesteps, dtype=torch.float32)
        snr = compute_snr(self.schedule, timesteps)
        one = 1.0 if self.schedule.config.prediction_type == "v_prediction" else 0.0
        return (snr.clamp(max=self.min_snr_gamma) / (snr + one).clamp(min=1e-8)).clamp(min=SMALLEST_WEIGHT)
