"""The teacher as a painter: prompts and seeds in, pictures out, each a function of its own row alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cjd.config.recipe import GenerateConfig
from cjd.seeds import RowRandom
from cjd.teacher.folder import check_teacher, load_part, teacher_fingerprint
from cjd.teacher.sampling import decode_latents, denoise, encode_tokens, sampler
from cjd.text.tokens import load_tokenizer, tokenize

if TYPE_CHECKING:
    import torch


class TeacherPainter:
    """Loads a teacher's folder and paints with it. Raises UsageError for a folder that is no teacher."""

    fingerprint: str  # of the weights' content
    size: int  # pixels a side

    def __init__(self, folder: Path, generate: GenerateConfig, device: torch.device | str = "cpu") -> None:
        import torch

        folder = Path(folder)
        check_teacher(folder)
        self.generate = generate
        self.micro_batch_size = generate.micro_batch_size
        self.device = torch.device(device)
        self.fingerprint = teacher_fingerprint(folder)
        self.tokenizer = load_tokenizer(folder / "tokenizer")
        self.text_encoder, self.unet, self.vae = (
            load_part(folder, part, generate.precision).to(self.device).eval().requires_grad_(False)
            for part in ("text_encoder", "unet", "vae")
        )
        self.unet.to(memory_format=torch.channels_last)
        self.vae.to(memory_format=torch.channels_last)
        if generate.compile:
            self.unet.compile()
            self.vae.decoder.compile()
        self.scheduler = sampler(load_part(folder, "scheduler").config, generate.scheduler)
        self.size = self.unet.config.sample_size * 2 ** (len(self.vae.config.block_out_channels) - 1)

    def paint(self, prompts: list[str], seeds: list[int]) -> dict[str, np.ndarray]:
        """{"image": uint8 `[N, size, size, 3]`}, row by row. A row's picture depends on its prompt and seed only.

        The work is cut into batches of exactly `micro_batch_size`, the last filled up with repeats: the
        arithmetic of a row is then the same in whatever company it comes. Raises ArithmeticError where the
        model's output is not of numbers.
        """
        import torch

        if len(prompts) != len(seeds):
            raise ValueError(f"{len(prompts)} prompts but {len(seeds)} seeds")
        size = self.micro_batch_size
        pictures = [np.zeros((0, self.size, self.size, 3), np.uint8)]
        with torch.inference_mode():
            for start in range(0, len(prompts), size):
                some_prompts, some_seeds = prompts[start : start + size], seeds[start : start + size]
                fill = size - len(some_prompts)
                batch = self._paint(some_prompts + some_prompts[-1:] * fill, some_seeds + some_seeds[-1:] * fill)
                pictures.append(batch[: size - fill])
        return {"image": np.concatenate(pictures)}

    def _paint(self, prompts: list[str], seeds: list[int]) -> np.ndarray:
        import torch

        channels, side = self.unet.config.in_channels, self.unet.config.sample_size
        noise_BChw = RowRandom(seeds, self.device).normal(channels, side, side)
        ids_BL = torch.from_numpy(tokenize(self.tokenizer, [*prompts, ""])).long().to(self.device)
        text_BLD, null_1LD = encode_tokens(self.text_encoder, ids_BL).split([len(prompts), 1])
        latents_BChw = denoise(
            self.unet,
            self.scheduler,
            noise_BChw.contiguous(memory_format=torch.channels_last),
            text_BLD,
            null_1LD.expand_as(text_BLD),
            self.generate.num_inference_steps,
            self.generate.guidance_scale,
            self.generate.guidance_interval,
        )
        if not torch.isfinite(latents_BChw).all():
            raise ArithmeticError("the model's output is not of finite numbers")
        return decode_latents(self.vae, latents_BChw, self.generate.decode_batch_size).numpy()
