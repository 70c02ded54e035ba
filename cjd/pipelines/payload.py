"""A painted shard as one value: its rows and raw pictures in an Arrow stream, without a copy of the pixels on reading."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa


def pack(
    rows: Sequence[Mapping[str, Any]], pictures: Mapping[str, np.ndarray], lost: Sequence[Mapping[str, Any]] = ()
) -> pa.Array:
    """One large_binary value. `pictures`: name -> uint8 `[N, H, W, 3]`, a picture a row; `lost`: rows without one."""
    columns: dict[str, pa.Array] = {"row": pa.array([json.dumps(row, ensure_ascii=False) for row in rows], pa.string())}
    shapes = {}
    for name, array_NHWC in pictures.items():
        if array_NHWC.dtype != np.uint8 or len(array_NHWC) != len(rows):
            raise ValueError(f"a painter gave {array_NHWC.dtype} {array_NHWC.shape} for {len(rows)} rows, not uint8")
        shapes[name] = array_NHWC.shape[1:]
        raw = pa.py_buffer(np.ascontiguousarray(array_NHWC))
        width = int(np.prod(shapes[name]))
        columns[name] = pa.Array.from_buffers(pa.binary(width), len(rows), [None, raw])
    table = pa.table(columns).replace_schema_metadata({"shapes": json.dumps(shapes), "lost": json.dumps(list(lost))})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    data = sink.getvalue()
    offsets = pa.py_buffer(np.array([0, data.size], np.int64))
    return pa.Array.from_buffers(pa.large_binary(), 1, [None, offsets, data])


def unpack(data: pa.Buffer) -> tuple[list[dict[str, Any]], dict[str, np.ndarray], list[dict[str, Any]]]:
    """The rows, pictures (read-only arrays over the same memory) and lost rows of `pack`."""
    with pa.ipc.open_stream(data) as reader:
        table = reader.read_all()
    rows = [json.loads(row) for row in table.column("row").to_pylist()]
    pictures = {}
    for name, shape in json.loads(table.schema.metadata[b"shapes"]).items():
        (chunk,) = table.column(name).chunks
        raw = np.frombuffer(chunk.buffers()[1], np.uint8, chunk.type.byte_width * len(chunk))
        pictures[name] = raw.reshape(len(rows), *shape)
    return rows, pictures, json.loads(table.schema.metadata[b"lost"])
