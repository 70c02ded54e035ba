import json

import numpy as np
import pyarrow as pa
import pytest

from cjd.config import resolve
from cjd.evaluation.judge import Judge, Vocabulary
from cjd.images import encode
from cjd.pipelines import evaluate
from cjd.records import SAMPLES
from cjd.storage import Run, write_shard

STAGES = [{"name": "base", "size": 8}, {"name": "sr-16", "size": 16}]


def picture(seed: int, size: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def paint(run: Run, folder: str, seed: int, stages: bool = False, shards: int = 2, rows: int = 4) -> None:
    names = [evaluate.stage_column(stage["name"]) for stage in STAGES] if stages else []
    schema = pa.schema([*SAMPLES, *((name, pa.binary()) for name in names)])
    for shard in range(shards):
        table = []
        for i in range(shard * rows, shard * rows + rows):
            row = {
                "prompt": f"prompt {i}",
                "attributes": json.dumps({"colour": "red"}),
                "image": encode(picture(seed + i)),
            }
            if stages:
                small = picture(seed + i).reshape(8, 2, 8, 2, 3).mean((1, 3)).round().astype(np.uint8)
                row |= {names[0]: encode(small), names[1]: row["image"]}
            table.append(row)
        write_shard(run.store, folder, shard, pa.Table.from_pylist(table, schema))


@pytest.fixture
def run(tmp_path) -> Run:
    judge = Judge(Vocabulary.of({"colour": ["red", "blue"]}), channels=(8,), size=16)
    judge.save(tmp_path / "a-judge")
    content = {"name": "toy", "evaluate": {"judge": str(tmp_path / "a-judge"), "contact_sheet": 3, "prompts": 8}}
    run = Run.create(str(tmp_path / "run"), resolve({**content, "prompts": {"count": 5}}, "toy"))
    paint(run, evaluate.TEACHER, 0, shards=4)  # the prompts twice: the second half has other seeds
    paint(run, evaluate.STUDENT, 200, stages=True)
    return run


def test_measures_the_painted_sets_in_the_order_of_their_prompts(run):
    metrics, pairs = evaluate.measure(run, STAGES)
    assert metrics["prompts"] == 8
    assert set(metrics["teacher"]["attributes"]) == {"colour"}
    assert "consistency_psnr" not in metrics["stages"]["base"]
    assert metrics["stages"]["sr-16"]["consistency_psnr"] > 50
    assert metrics["student"]["attribute_accuracy"] == metrics["stages"]["sr-16"]["attribute_accuracy"]
    assert {"fid", "kid", "floor", "losses"} <= set(metrics) and set(metrics["floor"]) == {"fid", "kid"}
    assert [pair.prompt for pair in pairs] == ["prompt 0", "prompt 1", "prompt 2"]
    assert np.array_equal(pairs[2].student, picture(202)) and np.array_equal(pairs[2].teacher, picture(2))
    json.dumps(metrics)


def test_the_report_and_the_sheet_are_written(run):
    metrics, pairs = evaluate.measure(run, STAGES)
    evaluate._write_report(run, metrics, pairs)
    assert run.store.list("evaluation") == ["evaluation/contact-sheet.png", "evaluation/report.html"]


def test_held_out_prompts_repeat(run):
    rows = evaluate.held_out_rows(run, 6)
    assert rows == evaluate.held_out_rows(run, 6) and len({row["prompt_id"] for row in rows}) == 6
    shards = [evaluate._shard_rows(rows, 4, number) for number in (0, 1)]
    assert shards[0] + shards[1] == rows and len(shards[1]) == 2
