"""`make bench-train`: the training loop beside a hand-written one, on the same cores.

Ours is what a user runs: `cjd train` with Ray Train, DeepSpeed, the loader, EMA, logging. The plain loop is what one
would write by hand: the same U-Net and AdamW, the whole data set in memory as float32, batch-wise noise, v-prediction,
gradient clipping, EMA by `torch._foreach_lerp_`, no logging; in one process, and in two with DistributedDataParallel,
each with one and two threads. Samples a second are medians over the second half of the steps; the layouts of both take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
STAGES = {
    # The demo's own base, whose steps are short, and one of four million parameters.
    "tiny": {"block_out_channels": [32, 64], "attention_levels": [False, True], "batch_size": 16},
    "4m": {"block_out_channels": [64, 128, 192], "attention_levels": [False, True, True], "batch_size": 32},
}
LAYOUTS = [(1, 1), (1, 2), (2, 1)]  # workers, threads of each

PLAIN = """
import json, sys, time
import numpy as np, torch, torch.distributed as dist
from cjd.config import load_recipe
from cjd.storage import Run
from cjd.student import diffusion
from cjd.student.unet import build_unet
from cjd.train.data import PreparedData
uri, rank, world, threads, samples, meeting = sys.argv[1], *map(int, sys.argv[2:6]), sys.argv[6]
torch.set_num_threads(threads)
run = Run.open(uri)
stage = run.recipe.student.stages[0]
data = PreparedData(run.store, "samples")
held = data.read(np.arange(data.rows), [f"image_{stage.size}", "text"])
pictures, texts, null = held[f"image_{stage.size}"].float() / 127.5 - 1, held["text"], held["text_null"]
torch.manual_seed(0)
unet = build_unet(stage, texts.shape[-1], False)
model = unet
if world > 1:
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=world)
    model = torch.nn.parallel.DistributedDataParallel(unet)
optimizer = torch.optim.AdamW(model.parameters(), lr=stage.train.learning_rate)
average = [p.detach().clone() for p in unet.parameters()]
alpha_bar = diffusion.alpha_bar_from_betas(diffusion.trained_betas(stage.size, stage.schedule_shift))
share, marks = stage.train.batch_size // world, []
torch.manual_seed(rank)
for step in range(samples // stage.train.batch_size):
    rows = torch.randint(0, len(pictures), (share,))
    x0, t = pictures[rows], torch.randint(0, 1000, (share,))
    text = torch.where(torch.rand(share, 1, 1) < 0.1, null, texts[rows])
    alpha, sigma = (v[:, None, None, None] for v in diffusion.alpha_sigma(alpha_bar[t]))
    noise = torch.randn_like(x0)
    output = model(alpha * x0 + sigma * noise, t, encoder_hidden_states=text, return_dict=False)[0][:, :3]
    loss = torch.nn.functional.mse_loss(output, alpha * noise - sigma * x0)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    torch._foreach_lerp_(average, [p.detach() for p in unet.parameters()], 0.01)
    marks.append(time.perf_counter())
if rank == 0:
    print(json.dumps([stage.train.batch_size / (b - a) for a, b in zip(marks, marks[1:])]))
"""


def cjd(*arguments: str, threads: int = 1) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [sys.executable, "-m", "cjd.cli", *arguments], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr[-2000:]


def prepare(run: Path, stage: dict[str, Any], samples: int) -> None:
    """A run of the demo's recipe, ready to be trained."""
    base = "student.stages.base"
    cjd("prompts", str(run), "--recipe", "tiny", "prompts.count=256", "generate.num_inference_steps=4",
        f"{base}.unet.block_out_channels={stage['block_out_channels']}",
        f"{base}.unet.attention_levels={json.dumps(stage['attention_levels'])}",
        f"{base}.train.batch_size={stage['batch_size']}", f"{base}.train.samples={samples}",
        f"{base}.train.checkpoint_samples={samples}", f"{base}.train.log_samples={8 * stage['batch_size']}",
        f"{base}.train.preview_samples=0")  # fmt: skip
    cjd("generate", str(run))
    cjd("prepare", str(run))


def ours(run: Path, workers: int, threads: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "run"
        shutil.copytree(run, copy)
        layout = [f"resources.train.workers={workers}", f"resources.train.threads={threads}"]
        cjd("train", str(copy), "--only", "base", *layout, threads=threads)
        lines = [json.loads(line) for line in (copy / "train" / "base" / "metrics.jsonl").read_text().splitlines()]
    return _median([line["samples_per_second"] for line in lines])


def plain(run: Path, workers: int, threads: int, samples: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "GLOO_SOCKET_IFNAME": "lo"}
        arguments = [str(workers), str(threads), str(samples), f"{folder}/meeting"]
        processes = [
            subprocess.Popen([sys.executable, "-c", PLAIN, str(run), str(rank), *arguments],
                             stdout=subprocess.PIPE, text=True, env=environment)
            for rank in range(workers)
        ]  # fmt: skip
        outputs = [process.communicate()[0] for process in processes]
    return _median(json.loads(outputs[0].splitlines()[-1]))


def _median(rates: list[float]) -> float:
    return statistics.median(rates[len(rates) // 2 :])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20, help="about how long each layout trains")
    parser.add_argument("--stages", nargs="*", default=list(STAGES))
    options = parser.parse_args()
    result: dict[str, Any] = {}
    for name in options.stages:
        stage = STAGES[name]
        rate = {"tiny": 150, "4m": 60}[name]
        samples = int(options.seconds * rate // stage["batch_size"]) * stage["batch_size"]
        with tempfile.TemporaryDirectory(prefix="cjd-bench-train-") as folder:
            run = Path(folder) / "run"
            prepare(run, stage, samples)
            rates: dict[str, dict[str, float]] = {"plain": {}, "ours": {}}
            for workers, threads in LAYOUTS:
                label = f"{workers} x {threads}"
                rates["plain"][label] = plain(run, workers, threads, samples)
                rates["ours"][label] = ours(run, workers, threads)
                print(name, label, {kind: rates[kind][label] for kind in rates}, flush=True)
        best = max(rates["plain"].values())
        of_one = max(rate for label, rate in rates["ours"].items() if label.startswith("1"))
        of_two = max(rate for label, rate in rates["ours"].items() if label.startswith("2"))
        result[name] = {"samples_per_second": rates, "one_worker": of_one / best, "two_workers": of_two / best}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "train-cpu.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
