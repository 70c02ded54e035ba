"""Work that is a list of shard numbers: list what is there, check it cheaply, do the rest on Ray Data."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from cjd.config.recipe import PoolConfig
from cjd.errors import CjdError
from cjd.pipelines.runtime import plain_errors
from cjd.storage import LocalStore, Store, shard_name

READERS = 16
# Shards that one Ray Data job works through, at least, and for each actor: the driver keeps some 50 kB for each of a
# job's inputs, and between two jobs the actors start anew.
WINDOW, WINDOW_PER_ACTOR = 256, 64


def shard_count(rows: int, shard_rows: int) -> int:
    return -(-rows // shard_rows)


def rows_of(number: int, rows: int, shard_rows: int) -> int:
    """How many of a set's rows shard `number` holds."""
    return min(rows, (number + 1) * shard_rows) - number * shard_rows


def limit_threads(threads: int) -> None:
    """Torch's threads in this process: Ray does not divide the cores among actors by itself. Torch is not loaded for
    it: actors that need none start in half the time.
    """
    os.environ["OMP_NUM_THREADS"] = str(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


class _Worker:
    """A stage in an actor. What its making raises is kept for the first call: Ray tells of an actor that could
    not be made by text alone, and tries again."""

    def __init__(self, stage: Callable[..., Any], arguments: dict[str, Any]) -> None:
        self.made: Any = None
        self.error: CjdError | None = None
        try:
            self.made = stage(**arguments)
        except CjdError as error:
            self.error = error

    def __call__(self, batch: pa.Table) -> pa.Table:
        if self.error is not None:
            raise self.error
        return self.made(batch)


def over_shards(
    numbers: Sequence[int], stages: Sequence[tuple[Callable[..., Any], dict[str, Any], PoolConfig]]
) -> Iterator[dict[str, Any]]:
    """Send each shard number, as a table of one row {"shard"}, through pools of actors, one after another.

    `stages`: (class, its arguments, pool). Each takes and returns Arrow tables of one row. Yields the last
    stage's rows as they come, in any order. An actor that dies is replaced and its shard done again.
    """
    window = max(WINDOW, WINDOW_PER_ACTOR * max(pool.actors for _, _, pool in stages))
    for start in range(0, len(numbers), window):
        yield from _window(numbers[start : start + window], stages)


def _window(
    numbers: Sequence[int], stages: Sequence[tuple[Callable[..., Any], dict[str, Any], PoolConfig]]
) -> Iterator[dict[str, Any]]:
    import ray.data

    tables = [pa.table({"shard": pa.array([number], pa.int64())}) for number in numbers]
    dataset = ray.data.from_arrow(tables)
    for stage, arguments, pool in stages:
        size = max(1, min(pool.actors, len(numbers)))
        dataset = dataset.map_batches(
            _Worker,
            fn_constructor_kwargs={"stage": stage, "arguments": arguments},
            batch_size=1,
            batch_format="pyarrow",
            zero_copy_batch=True,
            compute=ray.data.ActorPoolStrategy(min_size=size, max_size=size, max_tasks_in_flight_per_actor=2),
            num_cpus=pool.cpus,
            num_gpus=pool.gpus,
        )
    with plain_errors():
        batches: Iterator[Any] = iter(dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0))
        for table in batches:
            yield from table.to_pylist()


def shard_footer(store: Store, folder: str, number: int) -> pq.FileMetaData:
    """A shard's Parquet footer, without its rows. Raises CjdError where the file is not whole."""
    name = shard_name(folder, number)
    try:
        filesystem, path = store.arrow(name)
        if isinstance(filesystem, pafs.LocalFileSystem):
            return pq.read_metadata(path)  # three times as fast as through the filesystem
        with filesystem.open_input_file(path) as file:
            return pq.read_metadata(file)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise CjdError(
            f"{store.uri}/{name} is not a whole Parquet file ({reason}); delete it and run the same command again"
        ) from error


def check_shards(
    store: Store, folder: str, numbers: Sequence[int], schema: pa.Schema, constants: dict[str, str]
) -> dict[int, int]:
    """The number of rows of each shard that is there. Reads footers only, and changes nothing.

    Raises CjdError for one that is truncated, lacks a column of `schema`, or whose column has another
    value than `constants` says.
    """
    check = _FooterCheck(schema, constants)

    def rows(number: int) -> int:
        footer = shard_footer(store, folder, number)
        check(footer, f"{store.uri}/{shard_name(folder, number)}")
        return footer.num_rows

    if isinstance(store, LocalStore):  # nothing to wait for: threads would only stand in each other's way
        return {number: rows(number) for number in numbers}
    with ThreadPoolExecutor(READERS) as pool:
        return dict(zip(numbers, pool.map(rows, numbers), strict=True))


class _FooterCheck:
    """Raises CjdError for the footer of another run's shard. A run's shards have one schema, so it is read once."""

    def __init__(self, schema: pa.Schema, constants: dict[str, str]) -> None:
        self.schema = schema
        self.constants = constants
        self.known: tuple[pq.ParquetSchema, dict[int, str]] | None = None

    def __call__(self, footer: pq.FileMetaData, where: str) -> None:
        if self.known is None or not footer.schema.equals(self.known[0]):
            self.known = footer.schema, self._columns(footer, where)
        for group in range(footer.num_row_groups):
            for position, wanted in self.known[1].items():
                statistics = footer.row_group(group).column(position).statistics
                if statistics is None or not statistics.has_min_max:
                    continue
                if statistics.min != wanted or statistics.max != wanted:
                    raise CjdError(
                        f"{where} belongs to another run ({footer.schema.column(position).path} is {statistics.min}, not "
                        f"{wanted}); move it away and run the same command again"
                    )

    def _columns(self, footer: pq.FileMetaData, where: str) -> dict[int, str]:
        """{position of a column that is constant: its value}."""
        found = footer.schema.to_arrow_schema()
        for field in self.schema:
            if field.name not in found.names or found.field(field.name).type != field.type:
                raise CjdError(
                    f"{where} is not one of this run's shards (no column {field.name!r} of the right type); "
                    "move it away and run the same command again"
                )
        names = [footer.schema.column(position).path for position in range(footer.num_columns)]
        return {names.index(name): wanted for name, wanted in self.constants.items()}
