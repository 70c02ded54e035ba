"""Rules over pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from cjd.errors import UsageError

# Grey levels. A decoder's black or single-coloured picture has a deviation below one; a drawing, tens.
FLAT_DEVIATION = 2.0
HARMLESS_LABELS = frozenset({"normal", "safe", "sfw", "neutral", "drawings", "drawing"})


def flatness(array_HWC: np.ndarray) -> float:
    """Standard deviation of the grey levels within a channel, largest channel, 0 to 127.5.

    Raises ValueError for what is not a uint8 RGB picture (a float array with NaN in it is none).
    """
    if array_HWC.dtype != np.uint8 or array_HWC.ndim != 3 or array_HWC.shape[2] != 3 or array_HWC.size == 0:
        raise ValueError(f"not a uint8 RGB picture: {array_HWC.dtype} {array_HWC.shape}")
    return round(float(array_HWC.reshape(-1, 3).std(axis=0, dtype=np.float64).max()), 3)


class SafetyClassifier:
    """An image classifier in transformers' format; any label that is not known to be harmless refuses.

    The model is loaded at the first picture, once in each process.
    """

    def __init__(self, folder: str, threshold: float = 0.5) -> None:
        self.folder = Path(folder).expanduser()
        self.threshold = threshold
        self._loaded: Any = None
        if not (self.folder / "config.json").is_file() or not list(self.folder.glob("*.safetensors")):
            raise UsageError(
                f"[policy] safety: {folder} is not a classifier folder (config.json and safetensors weights); "
                'name one, or write safety = "none"'
            )
        try:
            config = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        except ValueError as error:
            raise UsageError(f"[policy] safety: {folder}/config.json is not valid JSON ({error})") from None
        self.name = str(config.get("_name_or_path") or self.folder.name)

    def __reduce__(self) -> tuple[Any, ...]:
        return SafetyClassifier, (str(self.folder), self.threshold)

    def score(self, array_HWC: np.ndarray) -> tuple[float, str]:
        """(probability of the likeliest label that is not harmless, that label)."""
        import torch

        if self._loaded is None:
            from transformers import AutoImageProcessor, AutoModelForImageClassification

            processor = AutoImageProcessor.from_pretrained(self.folder, local_files_only=True)
            model = AutoModelForImageClassification.from_pretrained(
                self.folder, local_files_only=True, use_safetensors=True
            )
            self._loaded = processor, model.eval()
        processor, model = self._loaded
        with torch.inference_mode():
            logits = model(**processor(images=array_HWC, return_tensors="pt")).logits[0].float()
        labels = [str(model.config.id2label[i]) for i in range(len(logits))]
        chances = logits.softmax(0).tolist()
        return max(
            (round(chance, 4), label)
            for chance, label in zip(chances, labels, strict=True)
            if label.lower() not in HARMLESS_LABELS
        )
