"""Random runs, and random questions about them, each with the plainest answer, for tests of all that answers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Row = dict[str, Any]
Holds = Callable[[Row], bool]

_NUMBERS = st.sampled_from([0, 1, 2.5, -3, 0.001, math.inf, math.nan])
_VALUES = st.one_of(_NUMBERS, st.sampled_from(["adam", "sgd", "1e-3", ".5", "2", ""]), st.booleans(), st.none())
RUNS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "lr": _VALUES,
            "model": st.one_of(_VALUES, st.fixed_dictionaries({"name": _VALUES}), st.just({})),
            "model.name": _VALUES,
            "loss": st.lists(_NUMBERS, min_size=1, max_size=3),
            "val/loss": st.lists(_NUMBERS, min_size=1, max_size=3),
            "team": st.sampled_from(["vision", "text", ""]),
        },
    ),
    max_size=4,
)
#: How a name is written in an expression, and the column of the exported rows that has its value.
NAMES = {
    "params.lr": "params.lr",
    "params['lr']": "params.lr",
    "metrics.loss": "metrics.loss.last",
    "metrics.loss.min": "metrics.loss.min",
    "metrics['val/loss'].max": "metrics.val/loss.max",
    "tags.team": "tags.team",
    "status": "status",
}
_GIVEN = (0, 1, 0.001, 0.5, "adam", "vision", "completed", "zzz")


def _number(value: Any) -> float | None:
    if isinstance(value, str) and value in ("1e-3", ".5", "2"):
        return float(value)
    return value if isinstance(value, (int, float)) else None


def _compared(row: Row, column: str, op: str, given: Any) -> bool:
    """Compare as the language's page says it, in the plainest way."""
    if column not in row or (row[column] is None and not column.startswith("params.")):
        return False
    value = row[column]
    if isinstance(value, str) is not isinstance(given, str):
        value, given = _number(value), _number(given)
        if value is None or given is None:
            return op == "!="
    if op in ("==", "!="):
        return (value == given) is (op == "==")
    if value is None:
        return False
    return bool({"<": value < given, "<=": value <= given, ">": value > given, ">=": value >= given}[op])


def _simple(name: str, op: str, value: Any) -> tuple[str, Holds]:
    return f"{name} {op} {value!r}", lambda row: _compared(row, NAMES[name], op, value)


def _is_missing(name: str, negated: bool) -> tuple[str, Holds]:
    column = NAMES[name]

    def holds(row: Row) -> bool:
        there = column in row and (row[column] is not None or column.startswith("params."))
        return there is negated

    return f"{name} is {'not ' * negated}missing", holds


def _joined(one: tuple[str, Holds], word: str, other: tuple[str, Holds]) -> tuple[str, Holds]:
    if word == "and":
        return f"({one[0]}) and ({other[0]})", lambda row: one[1](row) and other[1](row)
    return f"({one[0]}) or not ({other[0]})", lambda row: one[1](row) or not other[1](row)


_SIMPLE = st.one_of(
    st.builds(
        _simple,
        st.sampled_from(sorted(NAMES)),
        st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
        st.sampled_from(_GIVEN),
    ),
    st.builds(_is_missing, st.sampled_from(sorted(NAMES)), st.booleans()),
)
QUESTIONS = st.recursive(
    _SIMPLE, lambda inner: st.builds(_joined, inner, st.sampled_from(["and", "or"]), inner), max_leaves=4
)


def kind_of(value: Any) -> tuple[str, Any]:
    """Return the kind of an exported value, and the value that it groups and sorts by, as the language's page says."""
    number = _number(value)
    if number is not None:
        if number != number:
            return "nan", None
        return ("bool", int(value)) if isinstance(value, bool) else ("number", number)
    return ("none", None) if value is None else ("text", value)


def lines_of(run: Row) -> list[Row]:
    """Return the records of a run: its params, then the points of its metrics, then its tag and its end."""
    params = {name: run[name] for name in ("lr", "model", "model.name") if name in run}
    lines: list[Row] = [{"kind": "params", "params": params}] if params else []
    for name in ("loss", "val/loss"):
        lines += [
            {"kind": "metrics", "metrics": {name: value}, "step": at} for at, value in enumerate(run.get(name, []))
        ]
    lines += [{"kind": "tags", "tags": {"team": run["team"]}}] if "team" in run else []
    return [*lines, {"kind": "end", "status": "completed", "duration": 1.0, "metrics": {}}]
