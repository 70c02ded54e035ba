"""The judge: a small classifier that says which attributes a picture shows.

Shapes: B pictures, C channels, H and W pixels, F features, V values of one attribute.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from cjd.errors import UsageError
from cjd.images import resize
from cjd.storage import Store, open_store

SIZE = 64  # pixels a side of what the judge looks at
FEATURES = 128
WEIGHTS = "model.safetensors"
CONFIG = "config.json"


@dataclass(frozen=True)
class Vocabulary:
    """The attributes that can be judged and their values, in the order of the classifier's outputs."""

    values: tuple[tuple[str, tuple[str, ...]], ...]

    @classmethod
    def of(cls, values: Mapping[str, Sequence[str]]) -> Vocabulary:
        """From {attribute: [value, ...]}, as a data set's manifest or a judge's config holds it."""
        return cls(tuple((name, tuple(options)) for name, options in values.items()))

    def as_dict(self) -> dict[str, tuple[str, ...]]:
        return dict(self.values)

    def encode(self, attributes: Mapping[str, str]) -> list[int]:
        """One index for each attribute, -1 where it is not named or its value is not known."""
        return [options.index(v) if (v := attributes.get(name)) in options else -1 for name, options in self.values]


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8 if channels % 8 == 0 else 1, channels)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        return x_BCHW + self.conv(F.silu(self.norm(x_BCHW)))


class Judge(nn.Module):
    """A convolutional network with one head for each attribute."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        channels: Sequence[int] = (32, 64, 96, 128),  # one level each, every level halves the side
        size: int = SIZE,                             # input side, pixels
        features: int = FEATURES,                     # width of the layer before the heads
    ) -> None:  # fmt: skip
        super().__init__()
        if size % 2 ** len(channels):
            raise ValueError(f"a judge of {len(channels)} levels needs a size divisible by {2 ** len(channels)}")
        self.vocabulary, self.channels, self.size, self.num_features = vocabulary, tuple(channels), size, features
        layers: list[nn.Module] = [nn.Conv2d(3, channels[0], 3, padding=1)]
        for before, after in zip([channels[0], *channels[:-1]], channels, strict=True):
            layers += [nn.SiLU(), nn.Conv2d(before, after, 4, stride=2, padding=1), _Residual(after)]
        self.body = nn.Sequential(*layers, nn.SiLU(), nn.Flatten())
        self.neck = nn.Linear(channels[-1] * (size // 2 ** len(channels)) ** 2, features)
        self.heads = nn.Linear(features, sum(len(options) for _, options in vocabulary.values))

    def features(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """Pictures in [-1, 1] or uint8, `[B, 3, size, size]` -> the layer before the heads, `[B, F]`, each row of
        mean 0 and variance 1, so that distances between judges' features are of one order.
        """
        if x_BCHW.dtype == torch.uint8:
            x_BCHW = x_BCHW.float() / 127.5 - 1
        return F.layer_norm(F.silu(self.neck(self.body(x_BCHW))), (self.num_features,))

    def forward(self, x_BCHW: torch.Tensor) -> dict[str, torch.Tensor]:
        """Logits `[B, V]` for each attribute."""
        sizes = [len(options) for _, options in self.vocabulary.values]
        split = self.heads(self.features(x_BCHW)).split(sizes, dim=1)
        return {name: logits for (name, _), logits in zip(self.vocabulary.values, split, strict=True)}

    def prepare(self, images_NHWC: np.ndarray) -> torch.Tensor:
        """uint8 `[N, H, W, 3]` of any size -> uint8 `[N, 3, size, size]`."""
        resized = np.stack([resize(image, self.size) for image in images_NHWC])
        return torch.from_numpy(resized.copy()).permute(0, 3, 1, 2).contiguous()

    @torch.inference_mode()
    def judge(self, images_NHWC: np.ndarray, batch_size: int = 64) -> list[dict[str, str]]:
        """The most likely value of every attribute, for each picture."""
        found: list[dict[str, str]] = []
        for x_BCHW in self.prepare(images_NHWC).split(batch_size):
            best = {name: logits.argmax(1).tolist() for name, logits in self(x_BCHW).items()}
            options = self.vocabulary.as_dict()
            found += [{name: options[name][best[name][i]] for name in best} for i in range(len(x_BCHW))]
        return found

    def accuracy(self, images_NHWC: np.ndarray, asked: Sequence[Mapping[str, str]]) -> dict[str, tuple[int, int]]:
        """(hits, times asked) for each attribute; a picture is judged only on what its prompt names."""
        return count_hits(self.judge(images_NHWC), asked, self.vocabulary)

    def save(self, folder: Path, **about: Any) -> None:
        """Write `model.safetensors` and `config.json`; `about` is kept in the config."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        save_file({k: v.detach().cpu().contiguous() for k, v in self.state_dict().items()}, folder / WEIGHTS)
        config = {"vocabulary": self.vocabulary.as_dict(), "channels": self.channels, "size": self.size}
        config |= {"features": self.num_features, **about}
        (folder / CONFIG).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Judge:
        """Raises UsageError when the folder does not hold a judge."""
        from safetensors.torch import load_file

        try:
            config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
            vocabulary = Vocabulary.of(config["vocabulary"])
            judge = cls(vocabulary, config["channels"], config["size"], config["features"])
            judge.load_state_dict(load_file(folder / WEIGHTS))
        except FileNotFoundError as error:
            raise UsageError(f"{folder} is not a judge (no {Path(error.filename).name}); set evaluate.judge") from None
        except (ValueError, KeyError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise UsageError(f"{folder} is not a judge of this program's ({reason}); set evaluate.judge") from None
        return judge.eval().requires_grad_(False)


def count_hits(
    found: Sequence[Mapping[str, str]], asked: Sequence[Mapping[str, str]], vocabulary: Vocabulary
) -> dict[str, tuple[int, int]]:
    """(hits, times asked) for each attribute that is asked at least once."""
    if len(found) != len(asked):
        raise ValueError(f"{len(found)} pictures, but {len(asked)} prompts")
    counts: dict[str, tuple[int, int]] = {}
    for name, _ in vocabulary.values:
        pairs = [(seen[name], wanted[name]) for seen, wanted in zip(found, asked, strict=True) if name in wanted]
        if pairs:
            counts[name] = (sum(seen == wanted for seen, wanted in pairs), len(pairs))
    return counts


def resolve_judge(path: str, run_store: Store) -> Path:
    """The judge's folder: "asset:NAME" (package data), "run" (<run>/judge), an s3:// address or a folder."""
    if path.startswith("asset:"):
        folder = Path(str(resources.files("cjd") / "assets" / path.removeprefix("asset:")))
    elif path == "run":
        folder = run_store.local("judge")
    elif path.startswith("s3://"):
        folder = open_store(path).local()
    else:
        folder = Path(path).expanduser()
    if not (folder / CONFIG).is_file():
        raise UsageError(
            f"no judge at {path} ({folder}); set evaluate.judge to a judge's folder, "
            "or train one: cjd finetune RUN, with a [judge] section in the recipe"
        )
    return folder
