"""The teacher as a painter: prompts and seeds in, pictures out, each a function of its own row alone.

Libraries choose their kernels by the batch's size, so the networks are always called with the same number of rows,
the last call filled up with repeats: a row's arithmetic is then the same in whatever company it comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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

# Rows of one call on a CPU, whatever the micro-batch: pictures do not depend on it, and more are no faster there.
CPU_ROWS = 8


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
        self._texts: dict[str, torch.Tensor] = {}  # prompt -> [L, D], of the last `embed`
        self.size = self.unet.config.sample_size * 2 ** (len(self.vae.config.block_out_channels) - 1)

    @property
    def rows_per_call(self) -> int:
        """How many rows the networks see at once: the micro-batch, on a CPU a number of its own."""
        return CPU_ROWS if self.device.type == "cpu" else self.micro_batch_size

    def embed(self, prompts: Sequence[str]) -> None:
        """Encode the distinct prompts of a shard in one go; `paint` finds them when it comes to them."""
        import torch

        distinct = list(dict.fromkeys([*prompts, ""]))
        ids_NL = torch.from_numpy(tokenize(self.tokenizer, distinct)).long().to(self.device)
        with torch.inference_mode():
            parts = [encode_tokens(self.text_encoder, ids_NL[rows])[:kept] for rows, kept in self._calls(len(distinct))]
        self._texts = dict(zip(distinct, torch.cat(parts), strict=True))

    def paint(self, prompts: Sequence[str], seeds: Sequence[int]) -> dict[str, np.ndarray]:
        """{"image": uint8 `[N, size, size, 3]`}, row by row. A row's picture depends on its prompt and seed only.

        Raises ArithmeticError where the model's output is not of numbers.
        """
        import torch

        if len(prompts) != len(seeds):
            raise ValueError(f"{len(prompts)} prompts but {len(seeds)} seeds")
        if not self._texts.keys() >= {*prompts, ""}:
            self.embed(prompts)
        pictures = [np.zeros((0, self.size, self.size, 3), np.uint8)]
        with torch.inference_mode():
            for rows, kept in self._calls(len(prompts)):
                pictures.append(self._paint([prompts[r] for r in rows], [seeds[r] for r in rows])[:kept])
        return {"image": np.concatenate(pictures)}

    def _calls(self, count: int) -> Iterator[tuple[list[int], int]]:
        """(row numbers, always `rows_per_call` of them; how many of them are new)."""
        size = self.rows_per_call
        for start in range(0, count, size):
            yield [min(row, count - 1) for row in range(start, start + size)], min(size, count - start)

    def _paint(self, prompts: list[str], seeds: list[int]) -> np.ndarray:
        import torch

        channels, side = self.unet.config.in_channels, self.unet.config.sample_size
        noise_BChw = RowRandom(seeds, self.device).normal(channels, side, side)
        text_BLD = torch.stack([self._texts[prompt] for prompt in prompts])
        latents_BChw = denoise(
            self.unet,
            self.scheduler,
            noise_BChw.contiguous(memory_format=torch.channels_last),
            text_BLD,
            self._texts[""].expand_as(text_BLD),
            self.generate.num_inference_steps,
            self.generate.guidance_scale,
            self.generate.guidance_interval,
        )
        if not torch.isfinite(latents_BChw).all():
            raise ArithmeticError("the model's output is not of finite numbers")
        return decode_latents(self.vae, latents_BChw, self.generate.decode_batch_size).numpy()
