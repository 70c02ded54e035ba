"""Shards: Parquet files that always hold the same rows under the same name."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.parquet as pq

from cjd.errors import CjdError
from cjd.storage.store import Store

_NAME = re.compile(r"shard-(\d{6,})\.parquet$")


def shard_name(folder: str, number: int) -> str:
    return f"{folder}/shard-{number:06d}.parquet"


def shard_numbers(store: Store, folder: str) -> list[int]:
    """The numbers of the shards that are there, rising."""
    matches = (_NAME.search(name) for name in store.list(folder))
    return sorted(int(match.group(1)) for match in matches if match)


def write_shard(store: Store, folder: str, number: int, rows: pa.Table) -> None:
    """Whole or not at all; equal rows give equal bytes."""
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd", row_group_size=max(1, rows.num_rows), store_schema=False)
    store.write(shard_name(folder, number), sink.getvalue().to_pybytes())


def read_shard(store: Store, folder: str, number: int, schema: pa.Schema, columns: list[str] | None = None) -> pa.Table:
    """Raises CjdError when the file is truncated or does not have `schema`'s columns."""
    name = shard_name(folder, number)
    where = f"{store.uri}/{name}"
    try:
        table = pq.read_table(pa.BufferReader(store.read(name)), columns=columns)
    except FileNotFoundError:
        raise CjdError(f"{where} is missing; run the stage that makes it again") from None
    except (pa.ArrowException, OSError) as error:
        raise CjdError(
            f"{where} is not a whole Parquet file ({str(error).splitlines()[0]}); delete it and run the same command again"
        ) from error
    wanted = [schema.field(c) for c in (columns or schema.names)]
    missing = [f.name for f in wanted if f.name not in table.schema.names or table.schema.field(f.name).type != f.type]
    if missing:
        raise CjdError(
            f"{where} is not one of this run's shards (no column {missing[0]!r} of the right type); move it away and run the same command again"
        )
    return table.select([f.name for f in wanted])
