"""A teacher on disk: a diffusers folder of a StableDiffusionPipeline, in safetensors."""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Any

from cjd.errors import UsageError
from cjd.storage import Store, open_store
from cjd.text.encoder import load_text_model
from cjd.text.libraries import quieten

NETWORKS = ("unet", "vae", "text_encoder")
PARTS = (*NETWORKS, "tokenizer", "scheduler")
PICKLES = ("*.bin", "*.ckpt", "*.pt", "*.pth")
PREDICTIONS = ("epsilon", "v_prediction")


def resolve_teacher(path: str, run_store: Store) -> Path:
    """Where the teacher's folder is on this machine.

    `path` is "asset:NAME" (a teacher of the package), "run" (this run's own `teacher/`), an s3:// address
    (copied to a cache) or a folder. Raises UsageError when there is nothing there; see `check_teacher` for
    whether it is a teacher.
    """
    if path.startswith("asset:"):
        name = path.removeprefix("asset:")
        folder = Path(str(resources.files("cjd") / "assets" / name))
        if not folder.is_dir():
            raise UsageError(
                f"teacher {path}: the package carries no {name!r}; name a diffusers folder as teacher.path"
            )
        return folder
    if path == "run":
        if not run_store.exists("teacher/model_index.json"):
            raise UsageError(f"{run_store.uri} has no teacher yet; first run: cjd finetune {run_store.uri}")
        return run_store.local("teacher")
    if path.startswith("s3://"):
        store = open_store(path)
        if not store.exists("model_index.json"):
            raise UsageError(
                f"{path} holds no diffusers pipeline (no model_index.json); name the folder that save_pretrained wrote"
            )
        return store.local()
    folder = Path(path).expanduser()
    if not folder.exists():
        raise UsageError(f"there is no teacher at {path}; name a diffusers folder as teacher.path")
    return folder


def check_teacher(folder: Path) -> None:
    """Raises UsageError, one line, when `folder` is not a Stable Diffusion teacher that can be painted with."""
    folder = Path(folder)
    if folder.is_file():
        raise UsageError(f"{folder} is a single checkpoint file; convert it to a diffusers folder with save_pretrained")
    if not folder.is_dir():
        raise UsageError(f"there is no teacher at {folder}; name a diffusers folder as teacher.path")
    if not (folder / "model_index.json").is_file():
        raise UsageError(
            f"{folder} is not a diffusers pipeline (no model_index.json); name the folder that save_pretrained wrote"
        )
    kind = _json(folder / "model_index.json").get("_class_name")
    if kind != "StableDiffusionPipeline":
        raise UsageError(f"{folder} is a {kind}; a teacher is a StableDiffusionPipeline")
    for part in PARTS:
        if not (folder / part).is_dir():
            raise UsageError(f"{folder} has no {part}/; save the whole pipeline there with save_pretrained")
    for part in NETWORKS:
        _check_weights(folder / part)
    prediction = _json(folder / "scheduler" / "scheduler_config.json").get("prediction_type", "epsilon")
    if prediction not in PREDICTIONS:
        raise UsageError(f"{folder}/scheduler predicts {prediction!r}; a teacher predicts {' or '.join(PREDICTIONS)}")


def teacher_fingerprint(folder: Path) -> str:
    """Sixteen hex digits over the names and contents of the safetensors and JSON files; hidden ones and a stage's marks aside."""
    digest = hashlib.sha256()
    for file in sorted(f for f in Path(folder).rglob("*") if f.suffix in (".safetensors", ".json") and f.is_file()):
        name = file.relative_to(folder).as_posix()
        if any(part.startswith((".", "_")) for part in name.split("/")):  # a stage's own marks
            continue
        with open(file, "rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        digest.update(f"{name}\0{content}\0".encode())
    return digest.hexdigest()[:16]


def load_part(folder: Path, part: str, precision: str = "fp32") -> Any:
    """One part of a checked teacher: "unet", "vae", "text_encoder" or "scheduler". Networks are in `precision`
    ("fp32" | "bf16" | "fp16") whatever they are on disk, from safetensors only.
    """
    quieten()
    import diffusers
    import torch

    if part == "scheduler":
        name = _json(folder / part / "scheduler_config.json").get("_class_name", "")
        if not (name.endswith("Scheduler") and hasattr(diffusers, name)):
            raise UsageError(
                f"{folder}/scheduler names {name!r}, which diffusers does not have; save the pipeline again"
            )
        return getattr(diffusers, name).from_pretrained(folder / part, local_files_only=True)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    if part == "text_encoder":
        return load_text_model(folder / part).to(dtype)
    network = {"unet": diffusers.UNet2DConditionModel, "vae": diffusers.AutoencoderKL}[part]
    only_fp16 = all(".fp16." in file.name for file in (folder / part).glob("*.safetensors"))
    return network.from_pretrained(
        folder / part,
        torch_dtype=dtype,
        use_safetensors=True,
        local_files_only=True,
        variant="fp16" if only_fp16 else None,
    )


def _check_weights(folder: Path) -> None:
    whole = any(folder.glob("*.safetensors"))
    if not whole and any(file for pattern in PICKLES for file in folder.glob(pattern)):
        raise UsageError(
            f"{folder} holds pickled weights, which can run code and are not loaded; "
            "convert them to safetensors with save_pretrained(safe_serialization=True)"
        )
    if not whole:
        raise UsageError(
            f"{folder} holds no weights (*.safetensors); save the whole pipeline again with save_pretrained"
        )
    if not (folder / "config.json").is_file():
        raise UsageError(f"{folder}/config.json is missing; save the whole pipeline again with save_pretrained")


def _json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{file} is missing; save the whole pipeline again with save_pretrained") from None
    except ValueError as error:
        raise UsageError(f"{file} is not valid JSON ({error}); save the pipeline again") from None
    if not isinstance(content, dict):
        raise UsageError(f"{file} is not a JSON object; save the pipeline again")
    return content
