"""A run whose student is real in every part and has learnt nothing: 8 and 16 pixels."""

from pathlib import Path

import pytest

from cjd.config import resolve
from cjd.storage import Run

TRAIN = {"samples": 8, "batch_size": 4}


def stage(name: str, size: int, **more) -> dict:
    unet = {"block_out_channels": [16, 32], "attention_levels": [False, True], "attention_head_dim": 8}
    unet |= {"cross_attention_dim": 32, "norm_num_groups": 8}
    return {"name": name, "size": size, "unet": unet, "train": TRAIN, **more}


STAGES = [
    stage("base", 8, sampler={"num_inference_steps": 3, "guidance_scale": 2.0}),
    stage("sr-16", 16, sampler={"num_inference_steps": 2, "noise_level": 50}),
]


def write_student(run: Run, folder: Path) -> None:
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel

    from cjd.student.export import export_stage, write_cascade
    from cjd.student.unet import build_unet
    from cjd.teacher.tokenizer import save_tokenizer, train_tokenizer

    tokenizer = train_tokenizer(["a girl with long white hair", "starry sky"], 600)
    save_tokenizer(tokenizer, folder / "tokenizer")
    torch.manual_seed(0)
    config = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2
    )
    CLIPTextModel(config).save_pretrained(folder / "text_encoder")
    lower = None
    for each in run.section("student").stages:
        unet = build_unet(each, text_width=32, super_resolution=lower is not None)
        torch.nn.init.normal_(unet.conv_out.weight, std=0.05)  # so that prompts and guidance matter
        export_stage(run.store, each, lower, unet, folder / "tokenizer", folder / "text_encoder")
        lower = each
    write_cascade(run.store, run.recipe)


@pytest.fixture(scope="session")
def served_run(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("student")
    recipe = resolve({"name": "untrained", "student": {"stages": STAGES}}, "test")
    run = Run.create(str(folder / "run"), recipe)
    write_student(run, folder / "parts")
    return run


@pytest.fixture(scope="session")
def service(served_run):
    from cjd.serving.service import load_service

    return load_service(served_run)
