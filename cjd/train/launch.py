"""Start Ray Train for one task, and follow it."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs
import ray
import ray.train
from ray.train.torch import TorchTrainer

from cjd.progress import Progress, StageProgress
from cjd.progress.mailbox import Mailbox
from cjd.storage import Run, Store
from cjd.train.checkpoint import Checkpoints
from cjd.train.loop import check_layout
from cjd.train.task import Task
from cjd.train.worker import train_worker

NOTES = ".ray"
NOTES_HERE = "cjd-ray-train-"


def train(run: Run, task: Task, progress: Progress) -> dict[str, Any]:
    """Train `task` to its end, from its newest checkpoint, and export it into the run.

    Returns the summary; at once when it was done before. A worker that dies is started again from the last
    checkpoint, `resources.train.max_failures` times.
    """
    folder = f"train/{task.name}"
    if (summary := run.done(folder)) is not None:
        return summary
    resources = run.recipe.resources.train
    check_layout(task.config, resources.workers, task.name)
    found, _ = Checkpoints(run.store.sub(folder), task.config.keep_checkpoints).newest()
    mailbox = Mailbox()
    filesystem, path = _notes_of_ray(run.store.sub(folder))
    trainer = TorchTrainer(
        train_worker,
        train_loop_config={
            "task": task,
            "store": run.store,
            "seed": run.recipe.seed,
            "threads": resources.threads,
            "mailbox": mailbox,
        },
        scaling_config=ray.train.ScalingConfig(
            num_workers=resources.workers,
            use_gpu=resources.gpus > 0,
            resources_per_worker={"CPU": resources.cpus, **({"GPU": resources.gpus} if resources.gpus else {})},
        ),
        run_config=ray.train.RunConfig(
            name=uuid.uuid4().hex[:8],
            storage_path=path,
            storage_filesystem=filesystem,
            failure_config=ray.train.FailureConfig(max_failures=resources.max_failures),
        ),
    )
    with (
        progress.stage(
            f"train.{task.name}", task.config.samples, "samples", done=found.samples if found else 0
        ) as stage,
        mailbox.forward(_Follower(stage)),
    ):
        trainer.fit()
    filesystem.delete_dir(path)
    return run.require(folder, "train")


def _notes_of_ray(store: Store) -> tuple[pafs.FileSystem, str]:
    """Where Ray Train keeps its own notes; our checkpoints are not among them.

    They must be seen by every node. On one node that is a temporary folder: Arrow marks folders on S3 by empty
    objects, which not every S3 server takes.
    """
    if len([node for node in ray.nodes() if node["Alive"]]) == 1:
        _sweep(Path(tempfile.gettempdir()))
        return pafs.LocalFileSystem(), tempfile.mkdtemp(prefix=f"{NOTES_HERE}{os.getpid()}-")
    return store.arrow(NOTES)


def _sweep(temporary: Path) -> None:
    """Remove the notes of this user's commands that were killed."""
    for folder in temporary.glob(f"{NOTES_HERE}*-*"):
        owner = folder.name.removeprefix(NOTES_HERE).partition("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists() and folder.stat().st_uid == os.getuid():
            shutil.rmtree(folder, ignore_errors=True)


class _Follower:
    """Turns absolute positions, which may step back when workers restart, into progress."""

    def __init__(self, stage: StageProgress) -> None:
        self.stage = stage

    def advance(self, n: int = 1, **fields: Any) -> None:
        at = fields.pop("at", None)
        # The last batch may reach beyond what was asked for.
        self.stage.advance(n if at is None else min(at, self.stage.total) - self.stage.done, **fields)
