"""A prompt generator: any causal language model of transformers, writing one prompt a row, each from its own seed.

Shapes: B rows, L tokens so far, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cjd.config.recipe import GeneratorConfig
from cjd.errors import UsageError
from cjd.seeds import RowRandom
from cjd.storage import open_store
from cjd.text.libraries import quieten

if TYPE_CHECKING:
    import torch


class PromptWriter:
    """Load with `PromptWriter.load`. A row's prompt depends on its start and seed alone."""

    def __init__(self, tokenizer: Any, model: Any, config: GeneratorConfig, device: torch.device | str = "cpu") -> None:
        self.tokenizer, self.config, self.device = tokenizer, config, device
        self.model = model.to(device).eval().requires_grad_(False)
        ends = model.generation_config.eos_token_id
        self.ends = set(ends if isinstance(ends, list) else [] if ends is None else [ends])
        self.starts = {start: self._start(start) for start in config.starts}
        self.width = max(len(ids) for ids in self.starts.values())

    @classmethod
    def load(cls, config: GeneratorConfig, device: torch.device | str = "cpu") -> PromptWriter:
        """Raises UsageError for a folder without a causal language model in safetensors."""
        quieten()
        from transformers import AutoModelForCausalLM, AutoTokenizer

        folder = generator_folder(config.path)
        try:
            model = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, local_files_only=True)
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            reason = str(error).strip().splitlines()[0]
            raise UsageError(f"prompts.generator.path: {folder} is no causal language model ({reason})") from None
        return cls(tokenizer, model.float(), config, device)

    def write(self, starts: Sequence[str], seeds: Sequence[int]) -> list[str]:
        """Each start with its continuation, up to the first line break or end of text."""
        size = self.config.micro_batch_size
        written: list[str] = []
        for at in range(0, len(starts), size):
            some, own = list(starts[at : at + size]), list(seeds[at : at + size])
            fill = size - len(some)  # a constant batch, so that company changes nothing
            lines = self._write(some + some[-1:] * fill, own + own[-1:] * fill)
            written += lines[: len(some)]
        return written

    def _start(self, text: str) -> list[int]:
        ids = self.tokenizer(text, add_special_tokens=False).input_ids
        if ids:
            return ids
        first = self.tokenizer.bos_token_id if self.tokenizer.bos_token_id is not None else self.tokenizer.eos_token_id
        if first is None:
            raise UsageError(
                "prompts.generator: the model has no token to begin with; give it prompts.generator.starts"
            )
        return [first]

    def _write(self, starts: list[str], seeds: list[int]) -> list[str]:
        import torch

        begun = [self.starts[start] for start in starts]
        pad = next(iter(self.ends), 0)
        # Padded on the left to one width, the same for every batch of the run.
        ids_BL = torch.tensor([[pad] * (self.width - len(ids)) + ids for ids in begun], device=self.device)
        mask_BL = torch.tensor([[0] * (self.width - len(ids)) + [1] * len(ids) for ids in begun], device=self.device)
        random = RowRandom(seeds)
        new: list[list[int]] = [[] for _ in starts]
        open_rows = set(range(len(starts)))
        past: Any = None
        step_BL = ids_BL
        with torch.inference_mode():
            for _ in range(self.config.max_new_tokens):
                places_BL = (mask_BL.cumsum(1) - 1).clamp(min=0)[:, -step_BL.shape[1] :]
                output = self.model(
                    step_BL, attention_mask=mask_BL, position_ids=places_BL, past_key_values=past, use_cache=True
                )
                past = output.past_key_values
                step_BL = self._choose(output.logits[:, -1].float().cpu(), random).to(self.device)[:, None]
                mask_BL = torch.cat([mask_BL, torch.ones_like(step_BL)], dim=1)
                for row in list(open_rows):
                    token = int(step_BL[row, 0])
                    if token in self.ends:
                        open_rows.remove(row)
                    else:
                        new[row].append(token)
                if not open_rows:
                    break
        return [self._text(start, tokens) for start, tokens in zip(starts, new, strict=True)]

    def _choose(self, logits_BV: torch.Tensor, random: RowRandom) -> torch.Tensor:
        """Tokens [B], from the `top_k` likeliest, each row by a number of its own."""
        import torch

        best_BK, tokens_BK = logits_BV.topk(min(self.config.top_k, logits_BV.shape[1]), dim=1)
        reached_BK = (best_BK / self.config.temperature).softmax(1).cumsum(1)
        chosen_B = (reached_BK < random.uniform()[:, None]).sum(1).clamp(max=best_BK.shape[1] - 1)
        return torch.gather(tokens_BK, 1, chosen_B[:, None])[:, 0]

    def _text(self, start: str, tokens: list[int]) -> str:
        continued = self.tokenizer.decode(tokens, skip_special_tokens=True)
        return (start + continued).strip().split("\n")[0].strip()


def generator_folder(path: str) -> Path:
    """Where the model is on this machine. Raises UsageError when there is none."""
    folder = open_store(path).local() if path.startswith("s3://") else Path(path)
    if not (folder / "config.json").is_file():
        raise UsageError(f"prompts.generator.path: there is no model at {path} (no config.json)")
    if not any(folder.glob("*.safetensors")):
        raise UsageError(f"{folder} holds no safetensors weights; save the model again with save_pretrained")
    return folder
