"""Runs as a table, one row per run, and the facts of a run for expressions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from refunc.journal.codec import encodable
from refunc.journal.kinds import UNREADABLE
from refunc.runs.expression import MISSING, Descending, Facts
from refunc.runs.packages import needed
from refunc.runs.run import Run
from refunc.runs.summary import STATISTICS, MetricSummary, Summary
from refunc.values.jsonable import INT64_MAX, INT64_MIN, spell_nonfinite
from refunc.values.twins import Twins

Row = dict[str, Any]
#: The most characters of a flattened name.
_LONGEST_NAME: Final = 300


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """
    Yield nested values one by one, named as `optimizer.lr`; lists and empty mappings in one piece.

    A name of more than 300 characters is cut in its middle. If two get the same name, as in
    `{"a.b": 1, "a": {"b": 2}}`, the more deeply nested one is `a.b_2`.
    """
    leaves = list(_leaves(values, "", 0))
    names = [name for name, _, _ in leaves]
    if len(set(names)) < len(names):
        taken: set[str] = set()
        twins = Twins()
        for at in sorted(range(len(leaves)), key=lambda at: leaves[at][1]):
            names[at] = twins.apart(names[at], taken.__contains__)
            taken.add(names[at])
    for name, (_, _, value) in zip(names, leaves, strict=True):
        yield f"{prefix}{name}", value


def _leaves(values: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, int, Any]]:
    """Yield the name of each value, its depth, and the value."""
    for name, value in values.items():
        whole = prefix + name
        if (
            len(whole) > _LONGEST_NAME
        ):  # each value's name has the names of its parents, so a long one would be repeated for each
            whole = f"{whole[: _LONGEST_NAME // 2]}…{whole[-_LONGEST_NAME // 2 :]}"
        if isinstance(value, dict) and value:
            yield from _leaves(value, whole + ".", depth + 1)
        else:
            yield whole, depth, value


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


def row_of_closed(run: Run) -> Row:
    """Return the row of a run whose journal cannot be read."""
    return {**run.facts(Summary()), "status": UNREADABLE, "duration": None}


def facts_of(run: Run) -> Facts:
    """Return the facts of *run* for expressions."""
    summary = run.summary
    params, results = dict(flat(summary.params)), dict(flat(summary.results))
    return {
        **run.facts(summary),
        "params": lambda names: _found(summary.params, params, names),
        "results": lambda names: _found(summary.results, results, names),
        "tags": lambda names: summary.tags.get(".".join(names), MISSING),
        "metrics": lambda names: _asked(summary.metrics, names),
    }


def _found(values: Mapping[str, Any], flat_values: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """Return the value at the nested *names*; else the one with the joined name."""
    place: Any = values
    for name in names:
        if not isinstance(place, Mapping) or name not in place:
            return flat_values.get(".".join(names), MISSING)
        place = place[name]
    return place


def _asked(metrics: Mapping[str, MetricSummary], names: tuple[str, ...]) -> Any:
    """Return the value of `metrics.NAME` or `metrics.NAME.min`; a metric's name may have dots itself."""
    found: Any = None
    if (whole := ".".join(names)) in metrics:
        found = metrics[whole].last
    elif names[-1] in STATISTICS and (name := ".".join(names[:-1])) in metrics:
        found = getattr(metrics[name], names[-1])
    return MISSING if found is None else found


def sorting_key(value: Any) -> tuple[int, Any]:
    """Return a sorting key for values of an expression: numbers, then texts, then values without an order."""
    if isinstance(value, (int, float)) and value == value:
        return 0, value
    return (1, value) if isinstance(value, (str, Descending)) else (2, 0)


# -- tables of other libraries ----------------------------------------------------------------------------------------


def columns_of(rows: Iterable[Row]) -> dict[str, list[Any]]:
    """Return *rows* as columns, with None for missing values; a column of mixed values becomes one of texts."""
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
