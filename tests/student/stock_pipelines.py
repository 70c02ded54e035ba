"""Run by a test in a process of its own: paint with stock diffusers alone. Arguments: job.json, out.npz, students."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline
from diffusers.utils import logging

job_file, out, *students = sys.argv[1:]
sys.modules["cjd"] = None  # type: ignore[assignment]  # the package does not import here, even where it is installed
try:
    importlib.import_module("cjd")
except ImportError:
    pass
else:
    raise AssertionError("this process must not see the package")
logging.disable_progress_bar()
torch.set_num_threads(1)
job = json.loads(Path(job_file).read_text())
done = {}
for student in map(Path, students):
    pictures = None
    for stage in json.loads((student / "cascade.json").read_text())["stages"]:
        pipeline: Any = DiffusionPipeline.from_pretrained(student / stage["name"])
        pipeline.set_progress_bar_config(disable=True)
        settings = {k: stage[k] for k in ("num_inference_steps", "guidance_scale")}
        if pictures is not None:
            settings |= {"image": pictures, "noise_level": stage["noise_level"]}
        generators = [torch.Generator().manual_seed(s) for s in job["seeds"][stage["name"]]]
        pictures = pipeline(job["prompts"], generator=generators, clean_caption=False, **settings).images
        done[f"{student.name}/{stage['name']}"] = np.stack([np.asarray(p) for p in pictures])
np.savez(out, **done)
