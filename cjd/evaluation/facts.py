"""What a run's own files say about it: counts, refusals, training curves, weights. Read, never guessed."""

from __future__ import annotations

import hashlib
import json
import platform
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from cjd import __version__
from cjd.errors import CjdError
from cjd.records import PROMPTS, REJECTS, SAMPLES
from cjd.storage import Run, read_shard, shard_numbers

LIBRARIES = ("torch", "diffusers", "transformers", "ray", "deepspeed", "torchmetrics")


def counts(run: Run) -> dict[str, Any]:
    """{"prompts", "samples": rows, "refused": {"prompts" | "samples": {rule: rows}}}."""
    return {
        "prompts": _rows(run, "prompts", PROMPTS, "rows"),
        "samples": _rows(run, "samples", SAMPLES, "accepted"),
        "refused": {kind: _rules(run, f"rejects/{kind}") for kind in ("prompts", "samples")},
    }


def _rows(run: Run, folder: str, schema: Any, key: str) -> int:
    """What the finished stage counted; before its end, what its shards hold."""
    done = run.done(folder)
    if done is not None and key in done:
        return done[key]
    first = [schema.names[0]]
    return sum(read_shard(run.store, folder, k, schema, first).num_rows for k in shard_numbers(run.store, folder))


def _rules(run: Run, folder: str) -> dict[str, int]:
    rules: Counter[str] = Counter()
    for number in shard_numbers(run.store, folder):
        rules.update(read_shard(run.store, folder, number, REJECTS, ["rule"])["rule"].to_pylist())
    return dict(rules.most_common())


def curves(run: Run) -> dict[str, list[dict[str, Any]]]:
    """Lines of each `train/<task>/metrics.jsonl` that hold a loss, by task, in the order of samples."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name in run.store.list("train", recursive=True):
        if name.endswith("/metrics.jsonl"):
            found[name.split("/")[1]] = _lines(run, name)
    stages = [stage.name for stage in run.recipe.student.stages] if run.recipe.student else []
    order = ["vae", "unet", "judge", *stages]
    rank = {task: number for number, task in enumerate(order)}
    return {task: found[task] for task in sorted(found, key=lambda t: (rank.get(t, len(order)), t))}


def _lines(run: Run, name: str) -> list[dict[str, Any]]:
    """After a restart from a checkpoint a number of samples can come twice: the later line counts."""
    by_samples: dict[int, dict[str, Any]] = {}
    lines = [text for text in run.store.read(name).decode("utf-8").splitlines() if text.strip()]
    for number, text in enumerate(lines):
        try:
            line = json.loads(text)
        except ValueError:
            if number == len(lines) - 1:
                continue  # a killed writer leaves half a last line
            raise CjdError(f"{run.uri}/{name} line {number + 1} is not JSON; mend or delete that line") from None
        if "loss" in line and "samples" in line:
            by_samples[line["samples"]] = line
    return [by_samples[samples] for samples in sorted(by_samples)]


def losses(run: Run) -> dict[str, dict[str, float]]:
    """For each task: the mean loss of the last tenth of its lines, and the samples trained on."""
    summary = {}
    for task, lines in curves(run).items():
        if lines:
            last = [line["loss"] for line in lines[-max(1, len(lines) // 10) :]]
            summary[task] = {"loss": sum(last) / len(last), "samples": lines[-1]["samples"]}
    return summary


def versions() -> dict[str, str]:
    """Of this program, of Python and of the libraries that decide numbers."""
    found = {"cool-japan-diffusion": __version__, "python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def sha256_of(run: Run, name: str) -> str:
    return hashlib.sha256(run.store.read(name)).hexdigest()


def weights(run: Run) -> dict[str, dict[str, str]]:
    """sha256 of every safetensors file of the student, by stage."""
    by_stage: dict[str, dict[str, str]] = {}
    for name in run.store.list("student", recursive=True):
        if name.endswith(".safetensors"):
            _, stage, *rest = name.split("/")
            by_stage.setdefault(stage, {})["/".join(rest)] = sha256_of(run, name)
    return by_stage


def teacher_of_samples(run: Run) -> dict[str, Any]:
    """Which teacher painted the samples and how, from the first row of the first shard; {} without samples."""
    numbers = shard_numbers(run.store, "samples")
    names = ["teacher", "guidance_scale", "num_inference_steps", "scheduler", "width", "height", "licence"]
    for number in numbers:
        table = read_shard(run.store, "samples", number, SAMPLES, names)
        if table.num_rows:
            return table.slice(0, 1).to_pylist()[0]
    return {}
