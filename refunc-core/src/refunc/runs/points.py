"""The points of many runs as one long table in a file: a row a point, all of them."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import IO, Any, Final

from refunc.journal.codec import encodable
from refunc.journal.values import spell_nonfinite
from refunc.runs.export import cell, whole_file
from refunc.runs.packages import needed
from refunc.runs.run import Run
from refunc.runs.series import Series

FORMATS: Final = ("parquet", "csv", "jsonl", "json")

#: Columns of the table; times are in seconds since 1970.
COLUMNS: Final = ("run_id", "run_name", "experiment_name", "metric", "step", "epoch", "time", "value")
#: Rows of a row group: what a reader of the file takes at once, and what is in memory beside one metric.
_GROUP: Final = 1 << 20

Curves = Iterable[tuple[Run, Series]]


def curves(
    runs: Iterable[Run], metrics: Collection[str] | None = None, *, max_points: int | None = None
) -> Iterator[tuple[Run, Series]]:
    """
    Yield the series of *runs*, one after the other, so that no more than one run's are in memory.

    Args:
        metrics: Only these; a run need not have them.
        max_points: See `Series.downsample`.
    """
    for run in runs:
        for name in run.content().summary.metrics:
            if metrics is None or name in metrics:
                yield run, run.metrics(name, max_points=max_points)


def export_points(found: Curves, path: str | os.PathLike[str] | int, format: str) -> int:
    """
    Write the points of *found* to *path*, complete or not at all, and return how many there were.

    See `whole_file` for what *path* may be.

    Raises:
        ValueError: *format* is none of parquet, csv, jsonl, json.
        PackageNeededError: parquet needs pyarrow.
        OSError: The file cannot be written; one that was there before is as it was.
    """
    if format not in _WRITERS:
        raise ValueError(f"format: {format!r} is not an export format. Allowed: {', '.join(FORMATS)}.")
    if format == "parquet":
        needed("pyarrow", "export to parquet", "csv, jsonl and json need no package.")
    with whole_file(path, binary=format == "parquet") as file:
        return _WRITERS[format](found, file)


def _write_parquet(found: Curves, file: IO[bytes]) -> int:
    pyarrow, parquet = needed("pyarrow", "export to parquet"), needed("pyarrow.parquet", "export to parquet")
    texts = [(name, pyarrow.string()) for name in COLUMNS[:4]]
    numbers = [("step", pyarrow.int64()), ("epoch", pyarrow.int64()), ("time", pyarrow.float64())]
    schema = pyarrow.schema([*texts, *numbers, ("value", pyarrow.float64())])
    count = 0
    with parquet.ParquetWriter(file, schema, use_dictionary=list(COLUMNS[:4])) as writer:
        waiting, rows = [], 0
        for run, series in found:
            table = series.to_arrow()
            columns = [
                pyarrow.repeat(pyarrow.scalar(text, pyarrow.string()), len(series)) for text in _texts(run, series)
            ]
            columns += [
                table[name] if name in table.column_names else pyarrow.nulls(len(series), schema.field(name).type)
                for name in COLUMNS[4:]
            ]
            waiting.append(pyarrow.table(columns, schema=schema))
            rows += len(series)
            count += len(series)
            if rows >= _GROUP:
                writer.write_table(pyarrow.concat_tables(waiting), row_group_size=_GROUP)
                waiting, rows = [], 0
        if waiting:
            writer.write_table(pyarrow.concat_tables(waiting), row_group_size=_GROUP)
    return count


def _write_csv(found: Curves, file: IO[str]) -> int:
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    count = 0
    for run, series in found:
        texts = [cell(text) for text in _texts(run, series)]
        writer.writerows((*texts, *numbers) for numbers in _numbers(series))
        count += len(series)
    return count


def _write_jsonl(found: Curves, file: IO[str], between: str = "\n", begin: str = "") -> int:
    count = 0
    for run, series in found:
        texts = _texts(run, series)
        for numbers in _numbers(series):
            row = dict(zip(COLUMNS, (*texts, *numbers), strict=True))
            file.write((between if count else begin) + json.dumps(spell_nonfinite(row), allow_nan=False))
            count += 1
    file.write("\n" if count else "")
    return count


def _write_json(found: Curves, file: IO[str]) -> int:
    count = _write_jsonl(found, file, between=",\n", begin="[\n")
    file.write("]\n" if count else "[]\n")
    return count


def _texts(run: Run, series: Series) -> tuple[str, ...]:
    return tuple(map(encodable, (run.run_id, run.run_name, run.experiment_name, series.name)))


def _numbers(series: Series) -> Iterator[tuple[Any, ...]]:
    epochs = series.epochs if len(series.epochs) else [None] * len(series)
    return zip(series.steps, epochs, series.times, series.values, strict=True)


_WRITERS: dict[str, Callable[[Curves, IO[Any]], int]] = {
    "parquet": _write_parquet,
    "csv": _write_csv,
    "jsonl": _write_jsonl,
    "json": _write_json,
}
