"""Prompts that people bring: text, CSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from cjd.errors import UsageError
from cjd.prompts.normalise import normalise

COLUMNS = ("prompt", "text", "caption")


def read_prompts(path: str | Path) -> list[str]:
    """The normalised prompts of a .txt (one a line), .csv, .jsonl or .parquet file; blank ones are skipped.

    A table's prompts are in its column `prompt`, `text` or `caption`, or in its only column.
    Raises UsageError, naming file and line, for whatever cannot be used.
    """
    path = Path(path)
    readers = {".txt": _from_text, ".csv": _from_csv, ".jsonl": _from_jsonl, ".parquet": _from_parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UsageError(f"{path}: cannot read prompts from this kind of file; use {', '.join(readers)}")
    if not path.is_file():
        raise UsageError(f"{path}: no such file; give the path of a file with prompts")
    prompts = []
    for line, text in reader(path):
        try:
            prompt = normalise(text)
        except UsageError as error:
            raise UsageError(f"{path}, line {line}: {error}") from None
        if prompt:
            prompts.append(prompt)
    if not prompts:
        raise UsageError(f"{path}: no prompts in it; write one prompt a line")
    return prompts


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            try:
                yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                raise UsageError(f"{path}, line {number}: not UTF-8; save the file as UTF-8") from None


def _from_text(path: Path) -> Iterator[tuple[int, str]]:
    return _lines(path)


def _from_csv(path: Path) -> Iterator[tuple[int, str]]:
    # A line break is kept as it is found: a quoted prompt may go over several lines.
    reader = csv.reader(text for _, text in _lines(path))
    try:
        header = next(reader, None)
        if header is None:
            return
        column = header.index(prompt_column(header, f"{path}, line 1"))
        for row in reader:
            if not row:
                continue
            if len(row) <= column:
                raise UsageError(
                    f"{path}, line {reader.line_num}: no column {header[column]!r} in this line; add it or "
                    "remove the line"
                )
            yield reader.line_num, row[column]
    except csv.Error as error:
        raise UsageError(f"{path}, line {reader.line_num}: not CSV ({error}); correct the line") from None


def _from_jsonl(path: Path) -> Iterator[tuple[int, str]]:
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise UsageError(f"{path}, line {number}: not JSON ({error.msg}); correct the line") from None
        if isinstance(row, dict):
            row = row[prompt_column(row, f"{path}, line {number}")]
        if not isinstance(row, str):
            raise UsageError(f"{path}, line {number}: the prompt is not a string; put it in quotes")
        yield number, row


def _from_parquet(path: Path) -> Iterator[tuple[int, str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise UsageError(f"{path}: not a Parquet file ({str(error).splitlines()[0]})") from None
    with file:
        column = prompt_column(file.schema_arrow.names, str(path))
        number = 0
        for batch in file.iter_batches(columns=[column]):
            for value in batch.column(0).to_pylist():
                number += 1
                if value is not None and not isinstance(value, str):
                    raise UsageError(f"{path}, row {number}: column {column!r} does not hold strings")
                yield number, value or ""


def prompt_column(names: Iterable[str], where: str) -> str:
    """Which of a table's columns holds the prompts: one of COLUMNS, or the only one. `where` begins the UsageError
    that is raised otherwise.
    """
    seen = list(names)
    for wanted in COLUMNS:
        if wanted in seen:
            return wanted
    if len(seen) == 1:
        return seen[0]
    raise UsageError(f"{where}: no prompt column; call one of these {', '.join(COLUMNS)}: {', '.join(seen)}")
