"""What a training run says of itself: `metrics.jsonl`, TensorBoard scalars, preview sheets."""

from __future__ import annotations

import json
import shutil
import time
from collections import defaultdict
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import torch

from cjd import images
from cjd.storage import Store
from cjd.storage.store import LocalStore

METRICS = "metrics.jsonl"
BUCKETS = 4


class MetricsLog:
    """Averages what it is given between two lines. Only rank 0 keeps one. `store` is the task's own folder."""

    def __init__(self, store: Store, samples: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.store = store
        text = store.read(METRICS).decode() if store.exists(METRICS) else ""
        lines = [json.loads(line) for line in text.splitlines()]
        self.lines = [line for line in lines if line["samples"] <= samples]
        self._remote = not isinstance(store, LocalStore)
        self.folder = Path(mkdtemp(prefix="cjd-tb-")) if self._remote else store.local("tensorboard")
        self.writer = SummaryWriter(str(self.folder), purge_step=samples)
        if self._remote:  # what a killed process had drawn went with it
            for line in self.lines:
                self._draw(line)
        self._sums: dict[str, float] = defaultdict(float)
        self._counts: dict[str, int] = defaultdict(int)
        self._since, self._samples = time.monotonic(), samples
        self._flushed = time.monotonic()

    def add(self, losses: dict[str, torch.Tensor], grad_norm: float, seconds_waiting: float) -> None:
        """One step's per-row values `[B]` of this rank."""
        timesteps = losses.get("timesteps")
        for name, value in losses.items():
            if name != "timesteps":
                self._put(name, value.detach().float().mean().item())
        if timesteps is not None:
            bucket_of = (timesteps * BUCKETS // 1000).clamp(0, BUCKETS - 1)
            for bucket in bucket_of.unique().tolist():
                self._put(f"loss_t{bucket}", losses["loss"].detach()[bucket_of == bucket].mean().item())
        self._put("grad_norm", grad_norm)
        self._put("seconds_in_data", seconds_waiting)

    def _put(self, name: str, value: float) -> None:
        self._sums[name] += value
        self._counts[name] += 1

    def line(self, samples: int, learning_rate: float) -> dict[str, float]:
        """Write the averages since the last line, and start again."""
        seconds = max(1e-9, time.monotonic() - self._since)
        averages = {name: self._sums[name] / self._counts[name] for name in self._sums}
        line = {
            "samples": samples,
            **{name: float(f"{value:.6g}") for name, value in averages.items()},
            "learning_rate": learning_rate,
            "samples_per_second": float(f"{(samples - self._samples) / seconds:.4g}"),
            "time": round(time.time(), 1),
        }
        self.lines.append(line)
        self._draw(line)
        self._sums.clear()
        self._counts.clear()
        self._since, self._samples = time.monotonic(), samples
        if time.monotonic() - self._flushed > 5:
            self.flush()
        return line

    def _draw(self, line: dict[str, float]) -> None:
        for name, value in line.items():
            if name not in ("samples", "time"):
                self.writer.add_scalar(name, value, int(line["samples"]))

    def preview(self, sheet_HWC: np.ndarray, samples: int) -> None:
        self.store.write(f"previews/{samples:012d}.png", images.encode(sheet_HWC))
        self.writer.add_image("preview", sheet_HWC, samples, dataformats="HWC")

    def flush(self) -> None:
        text = "".join(json.dumps(line) + "\n" for line in self.lines)
        self.store.write(METRICS, text.encode())
        self.writer.flush()
        self._flushed = time.monotonic()

    def close(self) -> None:
        self.flush()
        self.writer.close()
        if self._remote:
            self.store.delete("tensorboard")
            self.store.upload(self.folder, "tensorboard")
            shutil.rmtree(self.folder)
