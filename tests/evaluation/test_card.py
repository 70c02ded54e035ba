import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pytest

from cjd.config import resolve
from cjd.errors import CjdError, PolicyError, UsageError
from cjd.evaluation import facts
from cjd.evaluation.card import lineage, student_card
from cjd.pipelines import card
from cjd.policy.licences import LICENCES, student_licence
from cjd.progress import Progress
from cjd.records import REJECTS, SAMPLES
from cjd.storage import Run, write_shard

ROW = {"accuracy": 0.875, "hits": 7, "asked": 8}
METRICS = {
    "prompts": 8,
    "teacher": {"attribute_accuracy": 0.875, "attributes": {"hair_colour": ROW}},
    "student": {"attribute_accuracy": 0.8125, "attributes": {"hair_colour": ROW}, "ratio": 0.9286},
    "stages": {"base": {"size": 16}, "sr-64": {"size": 64, "consistency_psnr": 27.25}},
    "fid": 1.5, "kid": 0.01, "floor": {"fid": 0.5, "kid": 0.001},
}  # fmt: skip
STAGES = [
    {"name": "base", "size": 16, "num_inference_steps": 12, "guidance_scale": 2.0, "noise_level": 0},
    {"name": "sr-64", "size": 64, "num_inference_steps": 8, "guidance_scale": 1.0, "noise_level": 50},
]


def make_run(folder: Path, licence: str = "cc0-1.0") -> Run:
    run = Run.create(str(folder), resolve({"name": "toy", "teacher": {"licence": licence}}, "toy"))
    sample = {field.name: 1 if pa.types.is_integer(field.type) else None for field in SAMPLES}
    sample |= {"teacher": "0123456789abcdef", "scheduler": "ddim", "guidance_scale": 3.0, "licence": "cc0-1.0"}
    write_shard(run.store, "samples", 0, pa.Table.from_pylist([sample] * 3, SAMPLES))
    write_shard(run.store, "samples", 1, pa.Table.from_pylist([sample], SAMPLES))
    refused = [{"row": "x", "kind": "prompt", "prompt": "p", "rule": rule} for rule in ("artist", "artist", "term")]
    write_shard(run.store, "rejects/prompts", 0, pa.Table.from_pylist(refused, REJECTS))
    run.finish("prompts", {"rows": 4})
    run.write_json("student/cascade.json", {"stages": STAGES})
    run.store.write("student/base/unet/diffusion_pytorch_model.safetensors", b"weights")
    return run


def test_front_matter_parses_and_tells_the_licence_and_the_scores(tmp_path):
    from huggingface_hub import ModelCard

    run = make_run(tmp_path)
    run.write_json("evaluation/metrics.json", METRICS)
    data = ModelCard(student_card(run)).data.to_dict()
    assert data["license"] == "cc0-1.0"
    assert data["library_name"] == "diffusers" and data["pipeline_tag"] == "text-to-image"
    (model,) = data["model-index"]
    assert [metric["value"] for result in model["results"] for metric in result["metrics"]] == [0.8125, 0.9286, 1.5]


def test_the_card_is_computed_from_the_run(tmp_path):
    run = make_run(tmp_path)
    run.write_json("evaluation/metrics.json", METRICS)
    text = student_card(run)
    for part in (
        "Prompts: 4",
        "Pictures: 4",
        "0123456789abcdef",
        "artist 2, term 1",
        "27.2 dB",
        "| hair colour | 0.875",
    ):
        assert part in text
    assert "None of" not in text and "Undefined" not in text


def test_its_code_snippet_is_python_and_loads_every_stage(tmp_path):
    code = student_card(make_run(tmp_path)).split("```python")[1].split("```")[0]
    compile(code, "card", "exec")
    assert code.count("DiffusionPipeline.from_pretrained") == 2
    assert 'from_pretrained("./sr-64")' in code and code.count("noise_level=50") == 1


def test_a_card_before_evaluation_says_so(tmp_path):
    assert "Not evaluated yet." in student_card(make_run(tmp_path))


@pytest.mark.parametrize("name", LICENCES)
def test_use_restrictions_are_inherited(tmp_path, name):
    text = student_card(make_run(tmp_path, licence=name))
    assert f"license: {name}" in text and LICENCES[name].url in text
    assert ("counts as its derivative" in text) == LICENCES[name].inherits


def test_an_unknown_licence_is_refused_with_what_to_do(tmp_path):
    run = make_run(tmp_path, licence="somebody-s-own")
    for ask in (lambda: student_licence("somebody-s-own"), lambda: student_card(run), lambda: lineage(run)):
        with pytest.raises(PolicyError, match=r"teacher\.licence 'somebody-s-own'.*openrail\+\+") as error:
            ask()
        assert "\n" not in str(error.value)


def test_without_a_student_there_is_no_card(tmp_path):
    run = make_run(tmp_path)
    run.store.delete("student/cascade.json")
    with pytest.raises(UsageError, match="cjd train"):
        student_card(run)


def test_the_stage_writes_card_and_lineage(tmp_path):
    run = make_run(tmp_path)
    assert card.run(run, Progress())["licence"] == "cc0-1.0"
    assert run.store.read("student/README.md").decode() == student_card(run)
    descent = run.read_json("lineage.json")
    assert descent == json.loads(json.dumps(lineage(run)))
    assert descent["recipe"]["fingerprint"] == run.recipe.fingerprint()
    assert [shard["name"] for shard in descent["shards"]["samples"]] == [
        "samples/shard-000000.parquet",
        "samples/shard-000001.parquet",
    ]
    for shard in descent["shards"]["samples"]:
        assert shard["sha256"] == hashlib.sha256(run.store.read(shard["name"])).hexdigest()
    assert set(descent["student"]["base"]) == {"unet/diffusion_pytorch_model.safetensors"}
    assert descent["counts"]["refused"]["prompts"] == {"artist": 2, "term": 1}


def test_curves_keep_the_later_of_two_lines_and_drop_half_a_last_one(tmp_path):
    run = make_run(tmp_path)
    lines = [{"samples": 10, "loss": 3.0}, {"samples": 20, "loss": 2.0}, {"samples": 20, "loss": 1.0}, {"note": "x"}]
    text = "\n".join(json.dumps(line) for line in lines)
    run.store.write("train/base/metrics.jsonl", (text + '\n{"samples": 3').encode())
    assert facts.curves(run) == {"base": [lines[0], lines[2]]}
    assert facts.losses(run) == {"base": {"loss": 1.0, "samples": 20}}
    run.store.write("train/base/metrics.jsonl", b'{"samples"\n{"samples": 1, "loss": 1}\n')
    with pytest.raises(CjdError, match="line 1"):
        facts.curves(run)
