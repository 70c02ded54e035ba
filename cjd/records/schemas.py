"""Arrow schemas of the Parquet shards. Column order and types are part of the format."""

from __future__ import annotations

import pyarrow as pa

PROMPTS = pa.schema(
    [
        ("prompt_id", pa.string()),
        ("prompt", pa.string()),  # normalised
        ("origin", pa.string()),  # builtin | import | mine | generator | grammar
        ("attributes", pa.string()),  # JSON object: what the prompt asks for; {} when unknown
    ]
)

SAMPLES = pa.schema(
    [
        ("sample_id", pa.string()),
        ("prompt_id", pa.string()),
        ("index", pa.int32()),  # which picture of this prompt
        ("prompt", pa.string()),
        ("attributes", pa.string()),  # JSON object, copied from the prompt
        ("seed", pa.int64()),
        ("guidance_scale", pa.float64()),
        ("num_inference_steps", pa.int32()),
        ("scheduler", pa.string()),
        ("teacher", pa.string()),  # fingerprint of the model that painted it
        ("code_version", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("sha256", pa.string()),  # of the image bytes
        ("verdicts", pa.string()),  # JSON object: rule -> score or "pass"
        ("licence", pa.string()),  # SPDX-like id of the picture
        ("image", pa.binary()),  # PNG or lossless WebP
    ]
)

PICTURES = pa.schema(
    [  # the teacher's own training pictures, captioned
        ("picture_id", pa.string()),
        ("caption", pa.string()),
        ("attributes", pa.string()),  # JSON object; {} when unknown
        ("source", pa.string()),
        ("licence", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("sha256", pa.string()),
        ("image", pa.binary()),
    ]
)

REJECTS = pa.schema(
    [
        ("row", pa.string()),  # prompt_id or sample_id
        ("kind", pa.string()),  # prompt | sample
        ("prompt", pa.string()),
        ("rule", pa.string()),  # e.g. artist, term, blank
        ("list", pa.string()),  # the list and its version, or the model
        ("score", pa.float64()),
        ("detail", pa.string()),
    ]
)
