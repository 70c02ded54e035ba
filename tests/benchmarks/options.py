"""`make bench-options`: what each of [generate]'s options does to the tiny teacher's speed and to its pictures.

One process paints the same prompts under each option, with one thread, as one actor of the stage does. The speed is
a ratio to the recipe's own settings, which are measured anew before each option, because other work may share the
machine. The quality is what the judge finds of what the prompts asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
OPTIONS: dict[str, dict[str, Any]] = {
    "as the recipe": {},
    "contiguous instead of channels_last": {"contiguous": True},
    "precision = bf16": {"precision": "bf16"},
    "compile = true": {"compile": True},
    "decode_batch_size = 1 (VAE slicing)": {"decode_batch_size": 1},
    "scheduler = ddim": {"scheduler": "ddim"},
    "num_inference_steps = 12": {"num_inference_steps": 12},
    "num_inference_steps = 7": {"num_inference_steps": 7},
    "num_inference_steps = 6": {"num_inference_steps": 6},
    "num_inference_steps = 5": {"num_inference_steps": 5},
    "guidance_scale = 1": {"guidance_scale": 1.0},
    "guidance_interval = [0, 0.5]": {"guidance_interval": (0.0, 0.5)},
    "guidance_interval = [0, 0.25]": {"guidance_interval": (0.0, 0.25)},
    "7 steps, guidance_interval = [0, 0.5]": {"num_inference_steps": 7, "guidance_interval": (0.0, 0.5)},
    "6 steps, guidance_interval = [0, 0.5]": {"num_inference_steps": 6, "guidance_interval": (0.0, 0.5)},
}


def painter(changes: dict[str, Any]) -> Any:
    import torch

    from cjd.config import load_recipe
    from cjd.storage import open_store
    from cjd.teacher.folder import resolve_teacher
    from cjd.teacher.painter import TeacherPainter

    changes = dict(changes)
    contiguous = changes.pop("contiguous", False)
    recipe = load_recipe("tiny", [])
    assert recipe.generate is not None
    settings = recipe.generate.model_copy(update=changes)
    made = TeacherPainter(resolve_teacher(recipe.teacher.path, open_store(".")), settings)
    if contiguous:
        made.unet.to(memory_format=torch.contiguous_format)
        made.vae.to(memory_format=torch.contiguous_format)
    return made


def speed(made: Any, prompts: list[str], seeds: list[int]) -> tuple[float, Any]:
    """images/s after a first call that compiles what is to be compiled, and the pictures."""
    made.paint(prompts[:8], seeds[:8])
    began = time.perf_counter()
    pictures = made.paint(prompts, seeds)["image"]
    return len(prompts) / (time.perf_counter() - began), pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=192, help="pictures under each option")
    parser.add_argument("--only", nargs="*", default=list(OPTIONS), help="names of options")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    from cjd.evaluation.judge import Judge, resolve_judge
    from cjd.prompts import Grammar, held_out_prompts
    from cjd.storage import open_store

    torch.set_num_threads(1)
    judge = Judge.load(resolve_judge("asset:tiny-judge", open_store(".")))
    rows = held_out_prompts(options.count, 1, Grammar.load())
    prompts = [row["text"] for row in rows]
    results = []
    base = painter({})
    for name in options.only:
        before, _ = speed(base, prompts[:64], list(range(64)))
        mine, pictures = speed(painter(OPTIONS[name]), prompts, list(range(len(prompts))))
        counts = judge.accuracy(pictures, [row["attributes"] for row in rows])
        accuracy = sum(hits / asked for hits, asked in counts.values()) / len(counts)
        results.append({"option": name, "speed": mine / before, "judge": accuracy})
        print(f"{name:40s} {mine / before:5.2f} x  judge {accuracy:.3f}", flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "options-cpu.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
