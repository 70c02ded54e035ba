from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from cjd.config.recipe import GenerateConfig
from cjd.seeds import RowRandom
from cjd.teacher.painter import TeacherPainter

PROMPTS = ["anime, a cute girl", "manga, a girl with long white hair", "mountains, fantasy", "", "a kawaii girl, 4k"]
SEEDS = [5, 2**52, 7, 8, 9]


def generate(**changes) -> GenerateConfig:
    return GenerateConfig(**({"micro_batch_size": 3, "num_inference_steps": 4, "guidance_scale": 3.0} | changes))


@pytest.fixture(scope="module")
def painter(teacher) -> TeacherPainter:
    return TeacherPainter(teacher, generate())


def test_a_row_is_the_same_alone_and_in_company(painter):
    together = painter.paint(PROMPTS, SEEDS)["image"]
    assert together.shape == (5, painter.size, painter.size, 3) and together.dtype == np.uint8
    for prompt, seed, picture in zip(PROMPTS, SEEDS, together, strict=True):
        alone = painter.paint([prompt], [seed])["image"]
        np.testing.assert_array_equal(alone[0], picture)


@pytest.mark.parametrize("micro_batch_size", [1, 2, 7, 32])
def test_the_micro_batch_changes_no_picture(painter, teacher, micro_batch_size):
    other = TeacherPainter(teacher, generate(micro_batch_size=micro_batch_size))
    prompts, seeds = PROMPTS * 4, list(range(20))
    np.testing.assert_array_equal(other.paint(prompts, seeds)["image"], painter.paint(prompts, seeds)["image"])


def test_prompts_read_ahead_change_no_picture(painter):
    expected = painter.paint(PROMPTS[:2], SEEDS[:2])["image"]
    painter.embed(["something else", *PROMPTS[::-1]])
    np.testing.assert_array_equal(painter.paint(PROMPTS[:2], SEEDS[:2])["image"], expected)


def test_order_and_earlier_work_do_not_matter(painter):
    forward = painter.paint(PROMPTS, SEEDS)["image"]
    backward = painter.paint(PROMPTS[::-1], SEEDS[::-1])["image"]
    np.testing.assert_array_equal(forward, backward[::-1])


def test_seed_and_prompt_decide(painter):
    one, other_seed, other_prompt = painter.paint(["anime", "anime", "manga"], [1, 2, 1])["image"]
    assert (one != other_seed).any()
    assert (one != other_prompt).any()


def test_no_prompts_no_pictures(painter):
    assert painter.paint([], [])["image"].shape == (0, painter.size, painter.size, 3)


@pytest.mark.parametrize("scheduler", ["dpmsolver++", "ddim"])
@pytest.mark.parametrize("guidance_scale", [1.0, 3.0])
def test_equals_the_stock_pipeline(teacher, scheduler, guidance_scale):
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    ours = TeacherPainter(teacher, generate(scheduler=scheduler, guidance_scale=guidance_scale))
    stock = StableDiffusionPipeline.from_pretrained(teacher)
    stock.set_progress_bar_config(disable=True)
    if scheduler == "ddim":
        stock.scheduler = DDIMScheduler.from_config(stock.scheduler.config, clip_sample=False)
    side = stock.unet.config.sample_size
    latents = RowRandom(SEEDS[:3]).normal(stock.unet.config.in_channels, side, side)
    theirs: Any = stock(
        PROMPTS[:3],
        num_inference_steps=4,
        guidance_scale=guidance_scale,
        latents=latents,
        output_type="np",
        return_dict=False,
    )[0]
    difference = ours.paint(PROMPTS[:3], SEEDS[:3])["image"].astype(int) - (theirs * 255).round().astype(int)
    assert np.abs(difference).max() <= 1


def test_half_precision_on_disk_is_float32_in_memory(painter):
    assert {painter.unet.dtype, painter.vae.dtype, painter.text_encoder.dtype} == {torch.float32}


def test_bfloat16_when_asked(teacher):
    painter = TeacherPainter(teacher, generate(precision="bf16"))
    assert {painter.unet.dtype, painter.vae.dtype, painter.text_encoder.dtype} == {torch.bfloat16}
    assert painter.paint(["anime"], [1])["image"].shape == (1, painter.size, painter.size, 3)
