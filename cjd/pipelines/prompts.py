"""The prompts of a run: built in, brought, mined, imagined and composed, each past the gate."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from cjd.config.recipe import PromptsConfig
from cjd.errors import UsageError
from cjd.policy import Gate, Verdict
from cjd.progress import Progress
from cjd.prompts import TEACHER_PROMPTS, Grammar, compose_prompts, read_prompts
from cjd.prompts.mining import describe
from cjd.records import PROMPTS, REJECTS, prompt_id
from cjd.storage import Run, read_shard, write_shard

SHARD_ROWS = 65_536
# Of the distinct prompts composed, so many may be refused for each that is kept.
SPARE = 4
HELD_OUT = "held_out"


def run(run: Run, progress: Progress, imports: Sequence[str] = ()) -> dict[str, Any]:
    """Write prompts/ (accepted, in order) and rejects/prompts/; returns the summary.

    `imports`: files of the user's own prompts. They come after the built-in ones; then come those mined, those
    of the language model, and the grammar's.
    """
    config: PromptsConfig = run.section("prompts")
    brought = [_read_import(path) for path in imports]
    recorded = [{key: each[key] for key in ("name", "sha256", "rows")} for each in brought]
    summary = run.done("prompts")
    if summary is not None:
        _check_imports(run, recorded, summary["imports"])
        return summary
    gate = Gate.load(run.recipe.policy)
    grammar = Grammar.load(config.grammar, config.weights)
    extra = [(text, "builtin") for text in (TEACHER_PROMPTS if config.builtin else ())]
    extra += [(text, "import") for each in brought for text in each["prompts"]]
    extra += _from_elsewhere(run, progress)
    writer = _Writer(run)
    with progress.stage("prompts", config.count, "prompts") as bar:
        held_out = Verdict(False, HELD_OUT, detail="a combination that only evaluation paints")
        candidates = _candidates(config, run.recipe.seed, grammar, extra, lambda text: writer.refuse(text, held_out))
        for row in candidates:
            verdict = gate.text(row["text"])
            if not verdict.ok:
                writer.refuse(row["text"], verdict)
                bar.advance(0, refused=len(writer.refused))
                continue
            writer.accept(row)
            bar.advance(1)
            if writer.rows == config.count:
                break
    if not writer.rows:
        raise UsageError("no prompt is left after screening; import others or set prompts.grammar_fill=true")
    counts = writer.finish()
    run.write_json("prompts/report.json", counts | describe(writer.texts()))
    summary = counts | {"imports": recorded}
    run.finish("prompts", summary)
    if (unused := sum(each["rows"] for each in recorded) - counts["origins"].get("import", 0)) > 0:
        progress.say(
            f"prompts: {unused} of the imported prompts are not used: repeated, refused or kept for evaluation (rejects/prompts), "
            f"built in, or beyond prompts.count = {config.count}"
        )
    for origin, count in counts["origins"].items():
        progress.say(f"prompts: {count} from {origin}")
    return summary


def _candidates(
    config: PromptsConfig, seed: int, grammar: Grammar, extra: list[tuple[str, str]], skipped: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    """More than are needed, so that those refused are made up for; the caller stops."""
    for row in compose_prompts(config.count * (1 + SPARE) + len(extra), seed, grammar, extra, skipped=skipped):
        if row["origin"] == "grammar" and not config.grammar_fill:
            return
        yield row


def _from_elsewhere(run: Run, progress: Progress) -> list[tuple[str, str]]:
    """What the recipe has mined and imagined: (prompt, origin)."""
    config: PromptsConfig = run.section("prompts")
    found: list[tuple[str, str]] = []
    if config.mine is not None:  # both need Ray, which composing does not
        from cjd.pipelines import mine

        mine.run(run, progress)
        found += [(text, "mine") for text in mine.mined_prompts(run)]
    if config.generator is not None:
        from cjd.pipelines import imagine

        imagine.run(run, progress)
        found += [(text, "generator") for text in imagine.imagined_prompts(run)]
    return found


def _read_import(path: str) -> dict[str, Any]:
    prompts = read_prompts(path)
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return {"name": Path(path).name, "sha256": digest, "rows": len(prompts), "prompts": prompts}


def _check_imports(run: Run, asked: list[dict[str, Any]], made: list[dict[str, Any]]) -> None:
    if asked and [each["sha256"] for each in asked] != [each["sha256"] for each in made]:
        names = ", ".join(each["name"] for each in made) or "no import"
        raise UsageError(
            f"the prompts of {run.uri} are made already, from {names}; name another folder for other prompts"
        )


class _Writer:
    """Accepted prompts go out shard by shard, refused ones at the end."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.rows = 0
        self.shards = 0
        self.refused: list[dict[str, Any]] = []
        self.origins: Counter[str] = Counter()
        self._pending: list[dict[str, Any]] = []

    def accept(self, row: dict[str, Any]) -> None:
        attributes = json.dumps(row["attributes"], ensure_ascii=False)
        text = row["text"]
        self._pending.append(
            {"prompt_id": prompt_id(text), "prompt": text, "origin": row["origin"], "attributes": attributes}
        )
        self.origins[row["origin"]] += 1
        self.rows += 1
        if len(self._pending) == SHARD_ROWS:
            self._flush()

    def texts(self) -> Iterator[str]:
        """Every accepted prompt, from the shards."""
        for number in range(self.shards):
            yield from read_shard(self.run.store, "prompts", number, PROMPTS, ["prompt"]).column(0).to_pylist()

    def refuse(self, text: str, verdict: Any) -> None:
        self.refused.append(
            {
                "row": prompt_id(text),
                "kind": "prompt",
                "prompt": text,
                "rule": verdict.rule,
                "list": verdict.list,
                "score": verdict.score,
                "detail": verdict.detail,
            }
        )

    def _flush(self) -> None:
        write_shard(self.run.store, "prompts", self.shards, pa.Table.from_pylist(self._pending, PROMPTS))
        self.shards += 1
        self._pending = []

    def finish(self) -> dict[str, Any]:
        if self.refused:
            write_shard(self.run.store, "rejects/prompts", 0, pa.Table.from_pylist(self.refused, REJECTS))
        if self._pending:
            self._flush()
        rules = Counter(row["rule"] for row in self.refused)
        return {
            "rows": self.rows,
            "shard_rows": SHARD_ROWS,
            "shards": self.shards,
            "origins": dict(sorted(self.origins.items())),
            "refused": dict(sorted(rules.items())),
        }
