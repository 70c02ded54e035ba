"""Noise to latents to pixels: what StableDiffusionPipeline does, in the same order, for a batch of rows.

Shapes: B rows, C latent channels, h×w latents, L tokens, D text width, H×W pixels.
Source: diffusers, `StableDiffusionPipeline.__call__`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def sampler(config: Any, name: str) -> Any:
    """A scheduler by the recipe's name ("dpmsolver++" | "ddim") on the betas and prediction of a teacher's own."""
    import diffusers

    if name == "ddim":
        # Latents have no natural bounds: clipping them would cut colours.
        return diffusers.DDIMScheduler.from_config(config, clip_sample=False, thresholding=False)
    if name == "dpmsolver++":
        changes = {"algorithm_type": "dpmsolver++", "thresholding": False, "variance_type": None}
        return diffusers.DPMSolverMultistepScheduler.from_config(config, **changes)
    raise ValueError(f"scheduler must be dpmsolver++ or ddim, got {name!r}")


def denoise(
    unet: Any,
    scheduler: Any,
    noise_BChw: torch.Tensor,
    text_BLD: torch.Tensor,
    null_BLD: torch.Tensor,
    num_inference_steps: int,
    guidance_scale: float,
    guidance_interval: tuple[float, float] = (0.0, 1.0),
) -> torch.Tensor:
    """Latents `[B, C, h, w]`, float32, from standard normal noise. Guidance costs a second half batch above 1.

    Steps outside `guidance_interval` (shares of their number) are not guided, and cost half
    (Kynkäänniemi et al. 2024, arXiv 2404.07724). `scheduler` is set up anew, so what it did before does not matter.
    """
    import torch

    scheduler.set_timesteps(num_inference_steps)
    text_BLD = text_BLD.to(unet.dtype)
    both = torch.cat([null_BLD.to(unet.dtype), text_BLD])
    low, high = guidance_interval
    x_BChw = noise_BChw.float() * scheduler.init_noise_sigma
    for i, t in enumerate(scheduler.timesteps):
        guided = guidance_scale > 1 and low <= i / num_inference_steps < high
        model_input = torch.cat([x_BChw] * 2) if guided else x_BChw
        model_input = scheduler.scale_model_input(model_input, t)
        context = both if guided else text_BLD
        output = unet(model_input.to(unet.dtype), t, encoder_hidden_states=context, return_dict=False)[0].float()
        if guided:
            null, conditioned = output.chunk(2)
            output = null + guidance_scale * (conditioned - null)
        x_BChw = scheduler.step(output, t, x_BChw, return_dict=False)[0]
    return x_BChw


def decode_latents(vae: Any, latents_BChw: torch.Tensor, batch_size: int | None = None) -> torch.Tensor:
    """uint8 `[B, H, W, 3]` on the CPU, rounded as diffusers' image processor rounds; `batch_size` at a time."""
    import torch

    scaled_BChw = (latents_BChw / vae.config.scaling_factor).to(vae.dtype)
    parts = scaled_BChw.split(batch_size or len(scaled_BChw))
    image_B3HW = torch.cat([vae.decode(part, return_dict=False)[0] for part in parts])
    image_BHW3 = (image_B3HW.float() * 0.5 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
    return (image_BHW3 * 255).round().to(torch.uint8).cpu()


def encode_tokens(text_encoder: Any, ids_BL: torch.Tensor) -> torch.Tensor:
    """`[B, L, D]`. The padding is masked only where the encoder's config asks for it, as the stock pipeline does."""
    from cjd.text.tokens import attention_mask

    config = text_encoder.config
    mask = attention_mask(ids_BL, config.eos_token_id) if getattr(config, "use_attention_mask", False) else None
    return text_encoder(ids_BL, attention_mask=mask)[0]
