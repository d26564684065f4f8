"""
A table in a file: CSV, JSON, JSON lines, or parquet.

The rows come in parts, of which one, or a row group, is in memory. The rows of a part begin with the same values, as
the points of one metric of a run do.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any, Final

import attrs

from refunc.runs.entries_file import cell
from refunc.runs.packages import needed
from refunc.values.jsonable import spell_nonfinite

FORMATS: Final = ("parquet", "csv", "jsonl", "json")
#: Rows of a row group of parquet: the unit of reading the file, and of memory.
_GROUP: Final = 1 << 20


@attrs.frozen
class Part:
    """Rows that begin with the values *same* and go on with one of each of *columns*, which are equally long."""

    same: Sequence[Any]
    columns: Sequence[Sequence[Any]]

    def __len__(self) -> int:
        return len(self.columns[0])

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield the rest of each row."""
        return zip(*self.columns, strict=True)


def check_format(format: str) -> None:
    """Raise ValueError if *format* is not known, and PackageNeededError if its package is missing."""
    if format not in FORMATS:
        raise ValueError(f"format: {format!r} is not an export format. Allowed: {', '.join(FORMATS)}.")
    if format == "parquet":
        needed("pyarrow", "export to parquet", "The formats csv, jsonl and json work without it.")


def write_texts(parts: Iterable[Part], names: Sequence[str], file: IO[str], format: str) -> int:
    """Write a table with the columns *names* as csv, jsonl or json, and return the number of its rows."""
    if format == "csv":
        return _write_csv(parts, names, file)
    if format == "jsonl":
        return _write_json_rows(parts, names, file)
    count = _write_json_rows(parts, names, file, between=",\n", begin="[\n")
    file.write("]\n" if count else "[]\n")
    return count


def write_parquet(tables: Iterable[Any], schema: Any, file: IO[bytes]) -> int:
    """Write pyarrow tables of *schema* as one parquet file, and return the number of its rows."""
    pyarrow, parquet = needed("pyarrow", "export to parquet"), needed("pyarrow.parquet", "export to parquet")
    texts = [field.name for field in schema if pyarrow.types.is_string(field.type)]
    count = 0
    with parquet.ParquetWriter(file, schema, use_dictionary=texts) as writer:
        waiting, rows = [], 0
        for table in tables:
            waiting.append(table)
            rows += len(table)
            count += len(table)
            if rows >= _GROUP:
                writer.write_table(pyarrow.concat_tables(waiting), row_group_size=_GROUP)
                waiting, rows = [], 0
        if waiting:
            writer.write_table(pyarrow.concat_tables(waiting), row_group_size=_GROUP)
    return count


def _write_csv(parts: Iterable[Part], names: Sequence[str], file: IO[str]) -> int:
    writer = csv.writer(file)
    writer.writerow(map(cell, names))
    count = 0
    for part in parts:
        same = [cell(value) for value in part.same]
        writer.writerows((*same, *rest) for rest in part.rows())
        count += len(part)
    return count


def _write_json_rows(
    parts: Iterable[Part], names: Sequence[str], file: IO[str], between: str = "\n", begin: str = ""
) -> int:
    count = 0
    for part in parts:
        for rest in part.rows():
            row = dict(zip(names, (*part.same, *rest), strict=True))
            file.write((between if count else begin) + json.dumps(spell_nonfinite(row), allow_nan=False))
            count += 1
    file.write("\n" if count else "")
    return count
