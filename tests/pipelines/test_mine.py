"""Prompt logs of several kinds, on disk and on S3, become the run's prompts."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cjd.config.recipe import MineConfig, PromptsConfig, Recipe, ResourcesConfig
from cjd.errors import UsageError
from cjd.pipelines import mine, prompts
from cjd.progress import Progress
from cjd.records import PROMPTS
from cjd.storage import Run, open_store, read_shard
from tests.end_to_end.chain import cjd

CASTLE = "a castle on a hill above the sea in the evening light, highly detailed"


def write_log(folder: Path) -> None:
    """The columns of DiffusionDB's metadata in Parquet, and the same kind of thing in CSV and JSON lines."""
    folder.mkdir()
    texts = [CASTLE] * 5 + ["a lake", "A Lake", "a girl, by Greg Rutkowski", "something unsafe", "  "]
    unsafe = [0.01] * 8 + [0.97, 0.0]
    table = pa.table(
        {
            "image_name": [f"{i}.png" for i in range(10)],
            "prompt": texts,
            "seed": pa.array(range(10), pa.uint32()),
            "cfg": pa.array([7.0] * 10, pa.float32()),
            "image_nsfw": pa.array([0.1] * 10, pa.float32()),
            "prompt_nsfw": pa.array(unsafe, pa.float32()),
        }
    )
    pq.write_table(table, folder / "metadata.parquet", row_group_size=3)
    (folder / "log.csv").write_text(
        f'prompt,prompt_nsfw,image_nsfw\n"{CASTLE}, 4k",0.1,0.1\n"two\nlines, quoted",0.1,0.1\nno number,,0.1\n'
    )
    rows = [{"prompt": "a lake", "prompt_nsfw": 0, "image_nsfw": 0}, {"prompt": 3, "prompt_nsfw": 0, "image_nsfw": 0}]
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def make(folder: str, resources: ResourcesConfig, **options: object) -> Run:
    limits = {"prompt_nsfw": 0.5, "image_nsfw": 0.5}
    mining = MineConfig.model_validate({"count": 10, "limits": limits, **options})
    section = PromptsConfig(count=30, builtin=False, mine=mining)
    return Run.create(folder, Recipe(name="mine", prompts=section, resources=resources))


def test_a_log_becomes_prompts_and_every_row_is_accounted_for(
    tmp_path: Path, resources: ResourcesConfig, ray_session: None
) -> None:
    write_log(tmp_path / "log")
    run = make(str(tmp_path / "run"), resources, sources=[str(tmp_path / "log")], temperature=0.0)
    prompts.run(run, Progress())
    report = run.read_json("mined/report.json")
    assert report["rows"] == 15
    assert report["dropped"] == {"artist": 1, "empty": 2, "unsafe": 2}
    assert (report["distinct"], report["near_copies"], report["drawn"]) == (4, 1, 3)
    assert mine.mined_prompts(run) == [CASTLE, "a lake", "two lines, quoted"]
    counts = read_shard(run.store, "mined", 0, mine.MINED).column("count").to_pylist()
    assert counts == [6, 3, 1]
    made = read_shard(run.store, "prompts", 0, PROMPTS).to_pylist()
    assert [row["prompt"] for row in made[:3]] == mine.mined_prompts(run)
    assert [row["origin"] for row in made] == ["mine"] * 3 + ["grammar"] * 27
    assert run.read_json("prompts/report.json")["words"]["a"] > 0
    assert not run.store.exists("mined/parts")


def test_it_goes_on_with_the_parts_that_are_left(tmp_path: Path, resources: ResourcesConfig, ray_session: None) -> None:
    write_log(tmp_path / "log")
    whole, halted = (make(str(tmp_path / n), resources, sources=[str(tmp_path / "log")]) for n in ("whole", "halted"))
    mine.run(whole, Progress())
    parts = mine.find_parts([str(tmp_path / "log")])
    assert len(parts) == 6
    actor_class = mine.MineActor

    class Stops(actor_class):
        def __call__(self, batch: pa.Table) -> pa.Table:
            if batch.column("shard")[0].as_py() == 4:
                raise UsageError("stopped here")
            return super().__call__(batch)

    mine.MineActor = Stops  # type: ignore[misc]
    try:
        with pytest.raises(UsageError, match="stopped here"):
            mine.run(halted, Progress())
    finally:
        mine.MineActor = actor_class  # type: ignore[misc]
    mine.run(halted, Progress())
    assert halted.store.read("mined/shard-000000.parquet") == whole.store.read("mined/shard-000000.parquet")


def test_many_files_on_s3_by_the_command(tmp_path: Path, s3: str) -> None:
    write_log(tmp_path / "log")
    open_store(f"{s3}/logs").upload(tmp_path / "log", "2022")
    source = f'prompts.mine={{sources=["{s3}/logs/20*/*.parquet"], count=10, limits={{prompt_nsfw=0.5}}}}'
    done = cjd("prompts", str(tmp_path / "run"), "--recipe", "tiny", "prompts.count=30", source)
    assert done.returncode == 0, done.stderr
    run = Run.open(str(tmp_path / "run"))
    assert run.read_json("mined/report.json")["rows"] == 10
    assert set(mine.mined_prompts(run)) == {CASTLE, "A Lake"}  # both spellings once


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sources": ["{log}/nothing.csv"]}, "there is no file"),
        ({"sources": ["{log}"], "column": "caption"}, "no column 'caption'"),
        ({"sources": ["{log}"], "limits": {"violence": 0.5}}, "no column 'violence'"),
        ({"sources": ["{log}/broken.parquet"]}, "not a whole Parquet file"),
        ({"sources": ["{log}/broken.jsonl"]}, "line 2: not JSON"),
    ],
)
def test_what_cannot_be_mined_is_named(
    tmp_path: Path, resources: ResourcesConfig, ray_session: None, options: dict, said: str
) -> None:
    log = tmp_path / "log"
    write_log(log)
    options["sources"] = [source.format(log=log) for source in options["sources"]]
    if "broken" in options["sources"][0]:
        (log / "broken.parquet").write_bytes((log / "metadata.parquet").read_bytes()[:-40])
        (log / "broken.jsonl").write_text('{"prompt": "a lake", "prompt_nsfw": 0, "image_nsfw": 0}\n{"prompt"\n')
    run = make(str(tmp_path / "run"), resources, **options)
    with pytest.raises(UsageError, match=said) as caught:
        mine.run(run, Progress())
    assert "\n" not in str(caught.value)
