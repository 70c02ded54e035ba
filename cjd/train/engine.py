"""DeepSpeed, in one file: an engine that steps, saves and loads under any ZeRO stage."""

from __future__ import annotations

import contextlib
import io
import logging
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from cjd.config.recipe import TrainConfig

TAG = "engine"


def make_engine(module: nn.Module, config: TrainConfig, *, world: int, device: torch.device, universal: bool) -> Any:
    """A `DeepSpeedEngine` over `module`. `universal`: a checkpoint of another world size will be loaded."""
    if device.type == "cpu":
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    import deepspeed

    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    # Built on first use, so it wants a compiler on every machine; gloo needs none.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    parameters: Any = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters, lr=config.learning_rate, betas=config.betas, eps=config.eps, weight_decay=config.weight_decay
    )
    engine, *_ = deepspeed.initialize(
        model=module,
        model_parameters=parameters,
        optimizer=optimizer,
        config=_settings(config, world, universal),
        dist_init_required=False,
    )
    return engine


def _settings(config: TrainConfig, world: int, universal: bool) -> dict[str, Any]:
    micro = config.micro_batch_size or config.batch_size // world
    return {
        "train_batch_size": config.batch_size,
        "train_micro_batch_size_per_gpu": micro,
        "gradient_accumulation_steps": config.batch_size // (micro * world),
        "gradient_clipping": config.max_grad_norm,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "zero_optimization": {
            "stage": config.zero_stage,
            "overlap_comm": False,
            "reduce_bucket_size": 50_000_000,
            "allgather_bucket_size": 50_000_000,
        },
        "torch_autocast": {"enabled": config.precision == "bf16", "dtype": "bfloat16"},
        "checkpoint": {"load_universal": universal},
        "steps_per_print": 10**9,
        "wall_clock_breakdown": False,
    }


def set_learning_rate(engine: Any, value: float) -> None:
    for group in engine.optimizer.param_groups:
        group["lr"] = value


def save_engine(engine: Any, folder: Path) -> None:
    """Every rank calls this; each writes its own shards below `folder`."""
    engine.save_checkpoint(str(folder), tag=TAG, save_latest=True)


def load_engine(engine: Any, folder: Path) -> None:
    """Every rank calls this."""
    engine.load_checkpoint(str(folder), load_lr_scheduler_states=False)


def to_universal(folder: Path, output: Path, zero_stage: int) -> None:
    """DeepSpeed's own conversion, after which any world size can load. Called by one rank."""
    from deepspeed.checkpoint.ds_to_universal import main

    with contextlib.redirect_stdout(io.StringIO()):
        main(
            SimpleNamespace(
                input_folder=str(folder / TAG),
                output_folder=str(output / TAG),
                num_extract_workers=1,
                num_merge_workers=1,
                keep_temp_folder=False,
                strict=True,
                inject_missing_state=zero_stage < 3,
            )
        )
