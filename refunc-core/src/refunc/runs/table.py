"""Runs as a table, a row a run, and what an expression may ask of one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from refunc.journal.codec import encodable
from refunc.journal.kinds import UNREADABLE
from refunc.journal.values import INT64_MAX, INT64_MIN, spell_nonfinite
from refunc.runs.expression import MISSING, Descending, Facts
from refunc.runs.packages import needed
from refunc.runs.run import Run
from refunc.runs.summary import STATISTICS, MetricSummary, Summary

Row = dict[str, Any]


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield nested values one by one, named as `optimizer.lr`; lists and empty mappings in one piece."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def row_of(run: Run) -> Row:
    """
    Return one run as a row.

    Its columns: who it is, `status`, `start_time` and `duration` in seconds, `params.…`, `tags.…`, `results.…`, and of
    each metric `metrics.NAME.last`, `.min` and `.max`, with `.best` where it has a goal.
    """
    summary = run.summary
    row = run.facts(summary)
    row.update(flat(summary.params, "params."))
    row.update(flat(summary.tags, "tags."))
    row.update(flat(summary.results, "results."))
    for name, metric in summary.metrics.items():
        row |= {f"metrics.{name}.{part}": getattr(metric, part) for part in ("last", "min", "max")}
        if metric.goal:
            row[f"metrics.{name}.best"] = metric.best
    return row


def row_of_closed(run: Run) -> Row:
    """Return the row of a run whose journal cannot be read."""
    return {**run.facts(Summary()), "status": UNREADABLE, "duration": None}


def facts_of(run: Run) -> Facts:
    """Return what an expression may ask of *run*."""
    summary = run.summary
    params = {**summary.params, **dict(flat(summary.params))}
    results = {**summary.results, **dict(flat(summary.results))}
    return {
        **run.facts(summary),
        "params": lambda names: params.get(".".join(names), MISSING),
        "results": lambda names: results.get(".".join(names), MISSING),
        "tags": lambda names: summary.tags.get(".".join(names), MISSING),
        "metrics": lambda names: _asked(summary.metrics, names),
    }


def _asked(metrics: Mapping[str, MetricSummary], names: tuple[str, ...]) -> Any:
    """Return what `metrics.NAME` or `metrics.NAME.min` is; a metric's name may have dots itself."""
    found: Any = None
    if (whole := ".".join(names)) in metrics:
        found = metrics[whole].last
    elif names[-1] in STATISTICS and (name := ".".join(names[:-1])) in metrics:
        found = getattr(metrics[name], names[-1])
    return MISSING if found is None else found


def sorting_key(value: Any) -> tuple[int, Any]:
    """Return what sorts the values of an expression: numbers, then texts, then all that has no order."""
    if isinstance(value, (int, float)) and value == value:
        return 0, value
    return (1, value) if isinstance(value, (str, Descending)) else (2, 0)


# -- tables of other libraries ----------------------------------------------------------------------------------------


def columns_of(rows: Iterable[Row]) -> dict[str, list[Any]]:
    """Return *rows* as columns, None where a row has no such value; a column of mixed values becomes one of texts."""
    rows = list(rows)
    names = dict.fromkeys(name for row in rows for name in row)
    return {encodable(name): _uniform([row.get(name) for row in rows]) for name in names}


def to_pandas(rows: Iterable[Row]) -> Any:
    """Return *rows* as a pandas DataFrame."""
    return needed("pandas", "to_pandas()").DataFrame(columns_of(rows))


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
    return [None if value is None else _text(value) for value in values]


def _text(value: Any) -> str:
    given = value if isinstance(value, str) else json.dumps(spell_nonfinite(value), ensure_ascii=False, allow_nan=False)
    return encodable(given)
