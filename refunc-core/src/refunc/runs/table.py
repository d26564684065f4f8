"""Runs as a table, one row per run."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

from refunc.journal.codec import encodable
from refunc.journal.kinds import UNREADABLE
from refunc.runs.expression.values import number_in
from refunc.runs.flat import flat
from refunc.runs.packages import needed
from refunc.runs.run import Run
from refunc.runs.summary import Summary
from refunc.runs.unreadable import fault_of
from refunc.values.jsonable import INT64_MAX, INT64_MIN
from refunc.values.spelled import spelled

Row = dict[str, Any]


def row_of(run: Run) -> Row:
    """
    Return one run as a row.

    Its columns: names and ids, `status`, `start_time` and `duration` in seconds, `params.…`, `tags.…`, `results.…`,
    `notes` if there are some, and for each metric `metrics.NAME.last`, `.min` and `.max`, with `.best` if it has a
    goal, even a guessed one.
    """
    summary = run.summary
    row = run.facts(summary)
    row.update(flat(summary.params, "params."))
    row.update(flat(summary.tags, "tags."))
    row.update(flat(summary.results, "results."))
    if run.notes:
        row["notes"] = "\n".join(note.text for note in run.notes)
    for name, metric in summary.metrics.items():
        row |= {f"metrics.{name}.{part}": getattr(metric, part) for part in ("last", "min", "max")}
        if metric.goal or metric.guessed_goal:
            row[f"metrics.{name}.best"] = metric.best
    return row


def rows_of(runs: Iterable[Run]) -> list[Row]:
    """Return a row for each run; for one whose journal cannot be read its names, ids, and the status `unreadable`."""
    return list(map(_readable_row, runs))


def _readable_row(run: Run) -> Row:
    try:
        return row_of(run)
    except Exception as error:
        fault_of(run.folder, error)
        return {**run.facts(Summary()), "status": UNREADABLE, "duration": None}


# -- tables of other libraries ----------------------------------------------------------------------------------------


#: Columns whose texts are numbers if all of them read as numbers: another tracker may have made texts of them.
_NUMBERED: Final = ("params.", "results.")


def columns_of(rows: Iterable[Row]) -> dict[str, list[Any]]:
    """Return *rows* as columns, with None for missing values; a column of mixed values becomes one of texts."""
    given: dict[str, dict[int, Any]] = {}
    count = 0
    for at, row in enumerate(rows):
        count += 1
        for name, value in row.items():
            given.setdefault(name, {})[at] = value
    columns = {}
    for name, known in given.items():
        values = [known.get(at) for at in range(count)]
        columns[encodable(name)] = _uniform(_as_numbers(values) if name.startswith(_NUMBERED) else values)
    return columns


def _as_numbers(values: list[Any]) -> list[Any]:
    """Return *values* with numbers for texts, if all texts read as numbers; words such as `nan` alone are texts."""
    if not {type(value) for value in values} <= {str, int, float, type(None)}:
        return values
    numbers = {value: number_in(value) for value in values if isinstance(value, str)}
    if None in numbers.values() or not any(number is not None and math.isfinite(number) for number in numbers.values()):
        return values
    return [numbers[value] if isinstance(value, str) else value for value in values]


def to_pandas(rows: Iterable[Row]) -> Any:
    """Return *rows* as a pandas DataFrame; whole numbers of which some are missing stay whole, as `Int64`."""
    pandas = needed("pandas", "to_pandas()")
    columns: dict[str, Any] = columns_of(rows)
    for name, values in columns.items():
        if None in values and {type(value) for value in values} == {int, type(None)}:
            columns[name] = pandas.array(values, dtype="Int64")
    return pandas.DataFrame(columns)


def to_polars(rows: Iterable[Row]) -> Any:
    """Return *rows* as a polars DataFrame."""
    return needed("polars", "to_polars()").DataFrame(columns_of(rows), strict=False)


def to_arrow(rows: Iterable[Row]) -> Any:
    """Return *rows* as a pyarrow Table."""
    return needed("pyarrow", "to_arrow()").table(columns_of(rows))


def _uniform(values: list[Any]) -> list[Any]:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {bool}:
        return values
    if kinds == {int} and all(value is None or INT64_MIN <= value <= INT64_MAX for value in values):
        return values
    if float in kinds and kinds <= {int, float}:
        return [None if value is None else float(value) for value in values]
    return [None if value is None else encodable(spelled(value)) for value in values]
