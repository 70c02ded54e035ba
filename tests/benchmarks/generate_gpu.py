"""`make bench-generate-gpu`: painting with a teacher of Stable Diffusion 2.1's size on this machine's GPU.

The weights are random, for their values do not change the time. The stock StableDiffusionPipeline, in bfloat16, at
its best batch size, and our painter, with the recipe's options for a GPU, paint the same prompts at 512 px in 25 steps
with guidance. MFU is the counted multiplications and additions of matrix products and convolutions over the peak that
the maker states for dense bfloat16. `--smoke` runs the same on a CPU with very small networks.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
STEPS, GUIDANCE = 25, 7.5
PEAK_BF16 = {"A100": 312e12, "L40S": 362e12, "H100": 989e12, "H200": 989e12, "B200": 2250e12}
FULL: dict[str, Any] = {
    "unet": {
        "sample_size": 64,
        "block_out_channels": (320, 640, 1280, 1280),
        "layers_per_block": 2,
        "cross_attention_dim": 1024,
        "attention_head_dim": (5, 10, 20, 20),
        "use_linear_projection": True,
    },
    "vae": {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "sample_size": 512},
    "text": {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 23, "num_attention_heads": 16},
}
SMALL: dict[str, Any] = {
    "unet": {
        "sample_size": 8,
        "block_out_channels": (32, 32, 64, 64),
        "layers_per_block": 1,
        "cross_attention_dim": 32,
        "attention_head_dim": 2,
        "use_linear_projection": True,
    },
    "vae": {"block_out_channels": (32, 32, 32, 32), "layers_per_block": 1, "sample_size": 64},
    "text": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2},
}


def make_teacher(folder: Path, sizes: dict[str, Any], device: str) -> None:
    """A StableDiffusionPipeline's folder with random weights, v-prediction."""
    import torch
    from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    from cjd.teacher.tokenizer import train_tokenizer

    tokenizer = train_tokenizer(["anime, a cute girl with long white hair"], 600)
    scheduler = DPMSolverMultistepScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="v_prediction",
        steps_offset=1,
    )
    blocks = len(sizes["vae"]["block_out_channels"])
    vae_settings: dict[str, Any] = {
        "down_block_types": ("DownEncoderBlock2D",) * blocks,
        "up_block_types": ("UpDecoderBlock2D",) * blocks,
        "latent_channels": 4,
        **sizes["vae"],
    }
    text_settings: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 77,
        "hidden_act": "gelu",
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        **sizes["text"],
    }
    torch.manual_seed(0)
    with torch.device(device):
        parts: dict[str, Any] = {
            "unet": UNet2DConditionModel(**sizes["unet"]),
            "vae": AutoencoderKL(**vae_settings),
            "text_encoder": CLIPTextModel(CLIPTextConfig(**text_settings)),
        }
    unused: dict[str, Any] = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    pipeline = StableDiffusionPipeline(tokenizer=tokenizer, scheduler=scheduler, **parts, **unused)  # type: ignore[arg-type]
    pipeline.to(torch.bfloat16).save_pretrained(folder)


def _config(model: Any, folder: Path) -> Any:
    return model.load_config(folder)


def flops_per_picture(folder: Path) -> float:
    """Counted on the meta device: guided U-Net steps, one decoding, one text."""
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import CLIPTextConfig, CLIPTextModel

    with torch.device("meta"):
        unet: Any = UNet2DConditionModel.from_config(_config(UNet2DConditionModel, folder / "unet"))
        vae: Any = AutoencoderKL.from_config(_config(AutoencoderKL, folder / "vae"))
        text = CLIPTextModel(CLIPTextConfig.from_pretrained(folder / "text_encoder"))
        side, width = unet.config.sample_size, unet.config.cross_attention_dim
        calls: list[tuple[int, Callable[[], Any]]] = [
            (2 * STEPS, lambda: unet(torch.zeros(1, 4, side, side), 1, torch.zeros(1, 77, width))),
            (1, lambda: vae.decode(torch.zeros(1, 4, side, side))),
            (1, lambda: text(torch.zeros(1, 77, dtype=torch.long))),
        ]
        total = 0.0
        for times, call in calls:
            with torch.no_grad(), FlopCounterMode(display=False) as counter:
                call()
            total += times * counter.get_total_flops()
    return total


def images_per_second(paint: Callable[[list[str]], Any], batch: int, pictures: int, device: str) -> float:
    import torch

    prompts = [f"anime, a cute girl, number {i}" for i in range(pictures)]
    paint(prompts[:batch])  # compiles, and chooses its kernels
    if device == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    for start in range(0, pictures, batch):
        paint(prompts[start : start + batch])
    return pictures / (time.perf_counter() - began)


def stock(folder: Path, device: str) -> Callable[[list[str]], Any]:
    import torch
    from diffusers import StableDiffusionPipeline

    pipe: Any = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.bfloat16).to(device)
    pipe.set_progress_bar_config(disable=True)
    return lambda prompts: pipe(prompts, num_inference_steps=STEPS, guidance_scale=GUIDANCE).images


def ours(folder: Path, device: str, batch: int, **changes: Any) -> Callable[[list[str]], Any]:
    from cjd.config.recipe import GenerateConfig
    from cjd.teacher.painter import TeacherPainter

    settings = {"num_inference_steps": STEPS, "guidance_scale": GUIDANCE, "precision": "bf16"} | changes
    painter = TeacherPainter(folder, GenerateConfig(micro_batch_size=batch, **settings), device)
    return lambda prompts: painter.paint(prompts, list(range(len(prompts))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="*", default=[8, 16, 32])
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--smoke", action="store_true", help="very small networks on the CPU; writes no result")
    options = parser.parse_args()
    import torch

    device = "cpu" if options.smoke else "cuda"
    if not options.smoke and not torch.cuda.is_available():
        raise SystemExit("there is no GPU here; --smoke tries the script without one")
    name = "CPU" if options.smoke else torch.cuda.get_device_name()
    variants: dict[str, dict[str, Any]] = {
        "eager": {},
        "compiled": {"compile": True},
        "compiled, guided in half of the steps": {"compile": True, "guidance_interval": (0.0, 0.5)},
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "teacher"
        make_teacher(folder, SMALL if options.smoke else FULL, device)
        flops = flops_per_picture(folder)
        tried: list[dict[str, Any]] = []
        for batch in options.batches:
            for label, make in [
                ("stock", lambda: stock(folder, device)),
                *((k, lambda c=v, b=batch: ours(folder, device, b, **c)) for k, v in variants.items()),
            ]:
                rate = images_per_second(make(), batch, max(batch, options.pictures), device)
                tried.append({"variant": label, "batch": batch, "images_per_second": rate})
                print(tried[-1], flush=True)
                if device == "cuda":
                    torch._dynamo.reset()
                    torch.cuda.empty_cache()
    best = {
        label: max((t for t in tried if t["variant"] == label), key=lambda t: t["images_per_second"])
        for label in ["stock", *variants]
    }
    peak = next((value for key, value in PEAK_BF16.items() if key in name), None)
    result = {
        "gpu": name,
        "torch": torch.__version__,
        "teraflops_per_picture": flops / 1e12,
        "best": best,
        "ratio_to_stock": {k: b["images_per_second"] / best["stock"]["images_per_second"] for k, b in best.items()},
        "mfu": {k: b["images_per_second"] * flops / peak for k, b in best.items() if "half" not in k} if peak else None,
        "tried": tried,
    }
    print(json.dumps(result, indent=2))
    if not options.smoke:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"generate-{name.replace(' ', '-').lower()}.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
