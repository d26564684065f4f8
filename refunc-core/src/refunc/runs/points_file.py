"""The points of many runs as one long table in a file, one row per point."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from tempfile import TemporaryFile
from typing import IO, Any, Final

from refunc.journal.codec import encodable
from refunc.runs.entries_file import whole_file
from refunc.runs.packages import needed
from refunc.runs.run import Run
from refunc.runs.selection import Selection
from refunc.runs.series import Series
from refunc.runs.table_file import Part, check_format, write_parquet, write_texts

#: Columns of the table; times are in seconds since 1970. The points of all ranks, or of all attempts, have one more.
COLUMNS: Final = ("run_id", "run_name", "experiment_name", "metric", "step", "epoch", "time", "value")
#: The most points, and metrics, that are read together.
_HANDFUL: Final = 1 << 18
_MOST_NAMES: Final = 1_000

Curves = Iterable[tuple[Run, Series]]


def curves(
    runs: Iterable[Run],
    metrics: Collection[str] | None = None,
    *,
    max_points: int | None = None,
    selection: Selection | None = None,
) -> Iterator[tuple[Run, Series]]:
    """
    Yield the series of *runs*, one after the other, so that no more than one run's are in memory.

    Args:
        metrics: Only these metrics; a run need not have them.
        max_points: See `Series.downsample`.
        selection: Which ranks' and attempts' points; by default, those of the usual curve.
    """
    for run in runs:
        content = run.content()
        known = content.summary.metrics
        most = 1 if selection is None else max(1, len(content.writers))  # writers may have as many points each
        counts = {name: most * known[name].count for name in known if metrics is None or name in metrics}
        for names in handfuls(counts):
            for series in run.series_of(names, max_points=max_points, selection=selection).values():
                yield run, series


def more_columns(selection: Selection) -> tuple[str, ...]:
    """Return the columns that the points of *selection* have besides COLUMNS."""
    return ("rank",) * (selection.rank == "all") + ("attempt",) * (selection.attempts == "all")


def handfuls(counts: Mapping[str, int]) -> Iterator[list[str]]:
    """Yield the names of *counts* in parts: for each the index is opened once, and its points are held in memory."""
    names: list[str] = []
    room = _HANDFUL
    for name, count in counts.items():
        if names and (room < count or len(names) >= _MOST_NAMES):
            yield names
            names, room = [], _HANDFUL
        names.append(name)
        room -= count
    if names:
        yield names


def export_points(
    found: Callable[[], Curves], path: str | os.PathLike[str] | int, format: str, more: Sequence[str] = ()
) -> int:
    """
    Write the points of *found* to *path*, completely or not at all, and return their number.

    See `whole_file` for *path*.

    Args:
        found: Called once, and a second time if a step or an epoch with a fraction is found while a parquet file is
        being written.
        more: The columns besides COLUMNS, as returned by `more_columns`.

    Raises:
        ValueError: *format* is not parquet, csv, jsonl or json.
        PackageNeededError: parquet needs pyarrow.
        OSError: The file cannot be written; an existing file is unchanged.
    """
    check_format(format)
    with whole_file(path, binary=format == "parquet") as file:
        if format == "parquet":
            return _export_parquet(found, file, more)
        return write_texts(_parts(found(), more), (*COLUMNS, *more), file, format)


class _Fraction(Exception):
    """A step or an epoch has a fraction, but the file's column is int64."""


def _export_parquet(found: Callable[[], Curves], file: IO[bytes], more: Sequence[str]) -> int:
    """Write a parquet file, whose steps and epochs are float64 only if one of them has a fraction."""
    # Only a draft can be restarted: stdout may be a pipe, or a file with contents.
    is_draft = isinstance(file.name, str) and file.seekable()
    with nullcontext(file) if is_draft else TemporaryFile() as target:
        try:
            count = _write_parquet(found(), target, more, whole=True)
        except _Fraction:
            target.seek(0)
            target.truncate()
            count = _write_parquet(found(), target, more, whole=False)
        if target is not file:
            target.seek(0)
            shutil.copyfileobj(target, file)
    return count


def _write_parquet(found: Curves, file: IO[bytes], more: Sequence[str], *, whole: bool) -> int:
    pyarrow = needed("pyarrow", "export to parquet")
    texts = [(name, pyarrow.string()) for name in COLUMNS[:4]]
    axis = pyarrow.int64() if whole else pyarrow.float64()
    numbers = [("step", axis), ("epoch", axis), ("time", pyarrow.float64())]
    schema = pyarrow.schema(
        [*texts, *numbers, ("value", pyarrow.float64()), *((name, pyarrow.int64()) for name in more)]
    )

    def tables() -> Iterator[Any]:
        for run, series in found:
            if whole and series.has_fractions:
                raise _Fraction
            table = series.to_arrow()
            columns = [
                pyarrow.repeat(pyarrow.scalar(text, pyarrow.string()), len(series)) for text in _texts(run, series)
            ]
            columns += [
                table[name].cast(schema.field(name).type, safe=False)  # whole numbers beyond 2**53 are rounded
                if name in table.column_names
                else pyarrow.nulls(len(series), schema.field(name).type)
                for name in (*COLUMNS[4:], *more)
            ]
            yield pyarrow.table(columns, schema=schema)

    return write_parquet(tables(), schema, file)


def _parts(found: Curves, more: Sequence[str]) -> Iterator[Part]:
    for run, series in found:
        epochs = series.epochs if len(series.epochs) else [None] * len(series)
        others = [getattr(series, f"{name}s") for name in more]
        yield Part(_texts(run, series), [series.steps, epochs, series.times, series.values, *others])


def _texts(run: Run, series: Series) -> tuple[str, ...]:
    return tuple(map(encodable, (run.run_id, run.run_name, run.experiment_name, series.name)))
