"""A frozen text encoder (CLIP, T5 or ByT5) with DeepFloyd-IF's conventions: lower case, 77 tokens, masked padding.

Shapes: B prompts, L = 77 tokens, D the encoder's width.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cjd.config.recipe import Recipe
from cjd.errors import UsageError
from cjd.storage import Store, open_store
from cjd.text.libraries import quieten
from cjd.text.tokens import MAX_TOKENS, load_tokenizer

if TYPE_CHECKING:
    import torch

_BATCH = 32


class TextEncoder:
    """`tokenizer` and `model` as transformers has them; the model is in evaluation mode and float32."""

    def __init__(self, tokenizer: Any, model: Any, device: torch.device | str = "cpu") -> None:
        self.tokenizer = tokenizer
        self.model = model.to(device).eval().requires_grad_(False)
        self.device = device

    @classmethod
    def load(cls, folder_tokenizer: Path, folder_text_encoder: Path, device: torch.device | str = "cpu") -> TextEncoder:
        """Raises UsageError for a folder without a CLIP, T5 or ByT5 encoder in safetensors."""
        tokenizer = load_tokenizer(Path(folder_tokenizer))
        return cls(tokenizer, load_text_model(Path(folder_text_encoder)), device)

    @property
    def width(self) -> int:
        """D."""
        config = self.model.config
        return config.hidden_size if hasattr(config, "hidden_size") else config.d_model

    def encode(self, prompts: Sequence[str]) -> torch.Tensor:
        """float32 `[N, 77, D]`. The empty prompt's embedding is the one for caption dropout and guidance.

        Source: diffusers, `IFPipeline.encode_prompt` (with `clean_caption=False`).
        """
        import torch

        if not prompts:
            return torch.zeros(0, MAX_TOKENS, self.width, device=self.device)
        with torch.inference_mode():
            batches = [self._encode(prompts[i : i + _BATCH]) for i in range(0, len(prompts), _BATCH)]
        return torch.cat(batches).clone()

    def _encode(self, prompts: Sequence[str]) -> torch.Tensor:
        tokens = self.tokenizer(
            [prompt.lower().strip() for prompt in prompts],
            padding="max_length",
            max_length=MAX_TOKENS,
            truncation=True,
            add_special_tokens=True,
            return_tensors="pt",
        )
        mask = tokens.attention_mask.to(self.device)
        return self.model(tokens.input_ids.to(self.device), attention_mask=mask)[0].float()


def load_text_model(folder: Path) -> Any:
    """The `CLIPTextModel` or `T5EncoderModel` of a folder, float32. Raises UsageError when it holds none."""
    quieten()
    import torch
    import transformers

    kinds: dict[str, Any] = {
        "clip_text_model": transformers.CLIPTextModel,
        "clip": transformers.CLIPTextModel,
        "t5": transformers.T5EncoderModel,
    }
    config = folder / "config.json"
    if not config.is_file():
        raise UsageError(
            f"{folder} holds no text encoder (no config.json); name a folder of a CLIP, T5 or ByT5 encoder"
        )
    try:
        kind = json.loads(config.read_text(encoding="utf-8")).get("model_type")
    except (ValueError, AttributeError):
        raise UsageError(f"{config} is not valid JSON; save the text encoder again") from None
    if kind not in kinds:
        raise UsageError(
            f"{folder} holds a {kind!r} model, not a text encoder; name a folder of a CLIP, T5 or ByT5 encoder"
        )
    if not any(folder.glob("*.safetensors")):
        raise UsageError(f"{folder} holds no safetensors weights; save the text encoder again with safe_serialization")
    only_fp16 = all(".fp16." in file.name for file in folder.glob("*.safetensors"))
    return kinds[kind].from_pretrained(
        folder, dtype=torch.float32, variant="fp16" if only_fp16 else None, use_safetensors=True, local_files_only=True
    )


def student_text_folders(recipe: Recipe, run_store: Store, teacher_folder: Path) -> tuple[Path, Path]:
    """Where the student's tokenizer and text encoder are: (tokenizer folder, text encoder folder).

    `student.text_encoder` is "teacher", or a folder (local, s3://, or relative to nothing but the working
    directory) that holds both together or as `tokenizer/` and `text_encoder/`.
    Raises UsageError when one of them is not there.
    """
    choice = recipe.student.text_encoder if recipe.student else "teacher"
    if choice == "teacher":
        folder = teacher_folder
    elif choice.startswith("s3://"):
        folder = open_store(choice).local()
    else:
        folder = Path(choice).expanduser()
    if not folder.is_dir():
        raise UsageError(f"student.text_encoder: there is no folder {folder}; name one of a CLIP, T5 or ByT5 encoder")
    tokenizer = folder / "tokenizer" if (folder / "tokenizer").is_dir() else folder
    encoder = folder / "text_encoder" if (folder / "text_encoder").is_dir() else folder
    if not (encoder / "config.json").is_file():
        raise UsageError(
            f"{folder} holds no text encoder; student.text_encoder names a folder of a CLIP, T5 or ByT5 encoder"
        )
    if not (tokenizer / "tokenizer_config.json").is_file():
        raise UsageError(
            f"{folder} holds no tokenizer beside its text encoder; save one there with tokenizer.save_pretrained"
        )
    return tokenizer, encoder
