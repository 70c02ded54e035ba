"""The text encoder's first loss: to tell from a caption what its picture shows.

Shapes: B captions, L tokens, D text width, K attributes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cjd.seeds import RowRandom


class TextObjective(nn.Module):
    """A linear classifier of each attribute on CLIP's pooled state (the one at the end-of-text token)."""

    def __init__(self, text_encoder: Any, values: Sequence[int]) -> None:
        super().__init__()
        self.text_encoder = text_encoder
        self.heads = nn.ModuleList(nn.Linear(text_encoder.config.hidden_size, count) for count in values)

    def forward(self, batch: dict[str, Tensor], random: RowRandom) -> dict[str, Tensor]:
        """`batch`: "tokens" int32 `[B, L]` and "attributes" int8 `[B, K]`, -1 where one does not apply.

        An attribute that the caption leaves out cannot be told; its head learns how often each value occurs.
        Returns "loss" and "accuracy" (of the attributes that apply, told or not), float32 `[B]`.
        """
        pooled_BD = self.text_encoder(batch["tokens"].long()).pooler_output.float()
        wanted_BK = batch["attributes"].long()
        applies_BK = wanted_BK >= 0
        logits = [head(pooled_BD) for head in self.heads]
        losses_BK = torch.stack(
            [F.cross_entropy(x, wanted_BK[:, k], ignore_index=-1, reduction="none") for k, x in enumerate(logits)], 1
        )
        hits_BK = torch.stack([x.argmax(1) == wanted_BK[:, k] for k, x in enumerate(logits)], 1) & applies_BK
        count_B = applies_BK.sum(1).clamp(min=1)
        return {"loss": losses_BK.sum(1) / count_B, "accuracy": hits_BK.sum(1) / count_B}
