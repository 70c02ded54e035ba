"""The real chain, smaller than the demo: the command line in processes of its own."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

RECIPE = "tiny"
SMALLER = [
    "prompts.count=24",
    "generate.shard_rows=4",
    "generate.micro_batch_size=4",
    "generate.num_inference_steps=2",
    "student.stages.base.unet.block_out_channels=[16,16]",
    "student.stages.base.unet.attention_levels=[false,true]",
    "student.stages.base.unet.attention_head_dim=8",
    "student.stages.base.sampler.num_inference_steps=2",
    "student.stages.base.train.samples=96",
    "student.stages.base.train.batch_size=8",
    "student.stages.base.train.checkpoint_samples=16",
    "student.stages.base.train.log_samples=8",
    "student.stages.base.train.preview_samples=48",
    "student.stages.sr-64.unet.block_out_channels=[16,16]",
    "student.stages.sr-64.unet.attention_levels=[false,true]",
    "student.stages.sr-64.unet.attention_head_dim=8",
    "student.stages.sr-64.sampler.num_inference_steps=2",
    "student.stages.sr-64.train.samples=96",
    "student.stages.sr-64.train.batch_size=8",
    "student.stages.sr-64.train.checkpoint_samples=16",
    "student.stages.sr-64.train.log_samples=8",
    "student.stages.sr-64.train.preview_samples=0",
    "evaluate.prompts=12",
    "evaluate.shard_rows=4",
    "evaluate.micro_batch_size=4",
    "evaluate.contact_sheet=4",
]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "cjd.cli", *arguments]


def distill_command(run: str) -> list[str]:
    return command("distill", run, "--recipe", RECIPE, *SMALLER)


def cjd(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; the output is text."""
    environment = {**os.environ, **options.pop("env", {})}  # type: ignore[dict-item]
    return subprocess.run(command(*arguments), capture_output=True, text=True, env=environment, **options)  # type: ignore[call-overload]


def start(run: str, log: Path, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """`cjd distill` in a process group of its own."""
    with log.open("ab") as out:
        return subprocess.Popen(
            distill_command(run), stdout=out, stderr=out, start_new_session=True, env={**os.environ, **(env or {})}
        )


def kill_group(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def heartbeat(run: Path, stage: str) -> dict[str, object]:
    file = run / "status" / f"{stage}.json"
    try:
        return json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        return {}


def wait_for(process: subprocess.Popen[bytes], run: Path, stage: str, log: Path, timeout: float = 300) -> None:
    """Until `stage` has begun. Raises when the command ends before."""
    deadline = time.monotonic() + timeout
    while not heartbeat(run, stage):
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"{stage} never began:\n{log.read_text()[-3000:]}")
        time.sleep(0.1)


def digests(folder: Path, pattern: str) -> dict[str, str]:
    files = sorted(folder.rglob(pattern))
    return {f.relative_to(folder).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def losses(run: Path, task: str) -> list[tuple[int, float]]:
    lines = (run / "train" / task / "metrics.jsonl").read_text().splitlines()
    return [(line["samples"], line["loss"]) for line in map(json.loads, lines)]
