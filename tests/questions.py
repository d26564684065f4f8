"""Random runs, and random questions about them, each with the plainest answer, for tests of all that answers."""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Callable
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from refunc.annotations import annotate

Row = dict[str, Any]
Holds = Callable[[Row], bool]
Question = tuple[str, Holds]

_NUMBERS = st.sampled_from([0, 1, 2.5, -3, 0.001, math.inf, math.nan])
#: Texts that other trackers write for numbers, with their values; `007` is none.
_WRITTEN = {"1e-3": 0.001, ".5": 0.5, "2": 2, "-inf": -math.inf, "+1.50E1": 15.0}
_TEXTS = ("adam", "sgd", "", "007", "False", "a*b", *_WRITTEN)
_VALUES = st.one_of(_NUMBERS, st.sampled_from(_TEXTS), st.booleans(), st.none(), st.just([1, "adam", ".5"]))
_TAGS = st.sampled_from(["vision", "text", "", "2"])
RUNS = st.lists(
    st.fixed_dictionaries(
        {"start_time": st.sampled_from([1_000.0, 1e9, 1.7e9]), "duration": st.sampled_from([0.0, 59.5, 3_600.0, 2e5])},
        optional={
            "lr": _VALUES,
            "amp": st.one_of(st.booleans(), st.sampled_from(["True", "False", 1, 0])),
            "model": st.one_of(_VALUES, st.fixed_dictionaries({"name": _VALUES}), st.just({})),
            "model.name": _VALUES,
            "loss": st.lists(_NUMBERS, min_size=1, max_size=3),
            "val/loss": st.lists(_NUMBERS, min_size=1, max_size=3),
            "accuracy": st.sampled_from([0.5, 1, "high"]),
            "team": _TAGS,
            "experiment_name": st.sampled_from(["digits", "Digits of today"]),
            "parent_id": st.just("00000000"),
            #: Tags and a name that it is given later.
            "later": st.fixed_dictionaries({}, optional={"team": st.one_of(_TAGS, st.none()), "name": st.just("new")}),
        },
    ),
    max_size=4,
)
#: How a name is written in an expression, and the column of the exported rows that has its value.
NAMES = {
    "params.lr": "params.lr",
    "params['lr']": "params.lr",
    "params.amp": "params.amp",
    "metrics.loss": "metrics.loss.last",
    "metrics.loss.min": "metrics.loss.min",
    "metrics.loss.best": "metrics.loss.best",
    "metrics['val/loss'].max": "metrics.val/loss.max",
    "results.accuracy": "results.accuracy",
    "tags.team": "tags.team",
    "tags['team']": "tags.team",
    "status": "status",
    "duration": "duration",
    "start_time": "start_time",
    "run_name": "run_name",
    "experiment_name": "experiment_name",
    "parent_id": "parent_id",
}
_TIMES = ("start_time", "duration")
_GIVEN = (0, 1, 0.001, 0.5, -3, math.inf, True, False, None, "adam", "vision", "completed", "zzz", "1e-3", "2", "007")
_ORDERS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
#: Spans and moments as texts, with their seconds; an age is counted from now on.
_SPANS = {"0s": 0, "59.5s": 59.5, "1h": 3_600, "1h 30m": 5_400, "2d": 172_800, "4w": 2_419_200}
_MOMENTS = ("1970-01-02", "2001-09-09 12:00", "2001-09-09T01:46:40+00:00", "2023-11-14T22:13:20Z", *_SPANS)


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        return _WRITTEN.get(value)
    return value if isinstance(value, (int, float)) else None


def _is_there(row: Row, column: str) -> bool:
    """Whether the run has the value: a table has None for one that is missing, but a param may be None itself."""
    return column in row and (row[column] is not None or column.startswith("params."))


def _compared(row: Row, column: str, op: str, given: Any) -> bool:
    """Compare as the language's page says it, in the plainest way."""
    return _is_there(row, column) and _holds(row[column], op, given)


def _holds(value: Any, op: str, given: Any) -> bool:
    if isinstance(value, str) is not isinstance(given, str):
        value, given = _number(value), _number(given)
        if value is None or given is None:
            return op == "!="
    if op in ("==", "!="):
        return bool(value == given) is (op == "==")
    try:
        return bool(_ORDERS[op](value, given))
    except TypeError:  # they have no order
        return False


def _literal(value: Any) -> str:
    return "inf" if value == math.inf else repr(value)


def _simple(name: str, op: str, value: Any, turned: bool) -> Question:
    column = NAMES[name]
    if name in _TIMES and isinstance(value, str):  # a text beside a time is a time
        value = 1
    if turned:
        mirrored = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(op, op)
        return f"{_literal(value)} {mirrored} {name}", lambda row: _compared(row, column, op, value)
    return f"{name} {op} {_literal(value)}", lambda row: _compared(row, column, op, value)


def _chained(name: str, low: Any, op: str, high: Any) -> Question:
    column = NAMES[name]
    holds = lambda row: _compared(row, column, ">", low) and _compared(row, column, op, high)  # noqa: E731
    return f"{low!r} < {name} {op} {high!r}", holds


def _listed(name: str, negated: bool, values: list[Any], brackets: str) -> Question:
    column = NAMES[name]
    if name in _TIMES:
        values = [value for value in values if not isinstance(value, str)]
    listed = ", ".join(map(_literal, values))

    def holds(row: Row) -> bool:
        return _is_there(row, column) and any(_holds(row[column], "==", value) for value in values) is not negated

    return f"{name} {'not ' * negated}in {brackets[0]}{listed}{brackets[1]}", holds


def _searched(name: str, negated: bool, value: Any) -> Question:
    """Ask whether a text is in that of a run, or a value in its list."""
    column = NAMES[name]

    def holds(row: Row) -> bool:
        many = row[column] if _is_there(row, column) else None
        if isinstance(many, str) and isinstance(value, str):
            return (value in many) is not negated
        return isinstance(many, list) and any(_holds(each, "==", value) for each in many) is not negated

    return f"{_literal(value)} {'not ' * negated}in {name}", holds


def _fits(name: str, negated: bool, pattern: str) -> Question:
    def holds(row: Row) -> bool:
        value = row.get(NAMES[name])
        return isinstance(value, str) and fnmatchcase(value, pattern) is not negated

    return f"{name} {'!' * negated}~ {pattern!r}", holds


def _calculated(name: str, factor: float, op: str, given: float) -> Question:
    def holds(row: Row) -> bool:
        number = _number(row.get(NAMES[name]))
        return number is not None and bool(_ORDERS[op](-number * factor + 1, given))

    return f"-{name} * {factor!r} + 1 {op} {given!r}", holds


def _timed(name: str, op: str, text: str, turned: bool) -> Question:
    def holds(row: Row) -> bool:
        if name == "duration":
            given: float = _SPANS[text]
        elif text in _SPANS:
            given = time.time() - _SPANS[text]
        else:
            given = datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
        return _compared(row, name, op, given)

    mirrored = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}[op]
    return (f"{text!r} {mirrored} {name}" if turned else f"{name} {op} {text!r}"), holds


def _is_missing(name: str, negated: bool) -> Question:
    return f"{name} is {'not ' * negated}missing", lambda row: _is_there(row, NAMES[name]) is negated


def _alone(name: str) -> Question:
    """Ask with a name alone: a tag holds if it is there, and others if they are True, or a number other than 0."""
    column = NAMES[name]
    if column.startswith("tags."):
        return name, lambda row: _is_there(row, column)
    return name, lambda row: bool(_number(row.get(column)))


def _joined(one: Question, word: str, other: Question) -> Question:
    if word == "and":
        return f"({one[0]}) and ({other[0]})", lambda row: one[1](row) and other[1](row)
    return f"({one[0]}) or not ({other[0]})", lambda row: one[1](row) or not other[1](row)


_names, _orders = st.sampled_from(sorted(NAMES)), st.sampled_from(sorted(_ORDERS))
_texts = st.sampled_from(sorted({*NAMES}.difference(_TIMES)))
_numbers = st.sampled_from([0, 1, 0.5, 60.0, 1e9])
_SIMPLE = st.one_of(
    st.builds(_simple, _names, st.sampled_from([*_ORDERS, "==", "!="]), st.sampled_from(_GIVEN), st.booleans()),
    st.builds(_chained, _names, _numbers, _orders, _numbers),
    st.builds(
        _listed, _names, st.booleans(), st.lists(st.sampled_from(_GIVEN), max_size=3), st.sampled_from(["[]", "()"])
    ),
    st.builds(_searched, _texts, st.booleans(), st.sampled_from(["", "a", "ada", "is", "ig", "_0", "2", 1, 0.5, None])),
    st.builds(
        _fits, _texts, st.booleans(), st.sampled_from(["*", "", "a*", "?????", "[tv]*", "run_*1", "*d*", "a[*]b"])
    ),
    st.builds(_calculated, _names, st.sampled_from([2, 0.5, -1]), _orders, _numbers),
    st.builds(_timed, st.just("duration"), _orders, st.sampled_from(sorted(_SPANS)), st.booleans()),
    st.builds(_timed, st.just("start_time"), _orders, st.sampled_from(_MOMENTS), st.booleans()),
    st.builds(_is_missing, _names, st.booleans()),
    st.builds(_alone, st.sampled_from(sorted(name for name in NAMES if "." in name or "[" in name))),
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
    if isinstance(value, list):
        return "list", repr(value)
    return ("none", None) if value is None else ("text", value)


def birth_of(run: Row) -> Row:
    """Return the members of a run's `run.json` that are random."""
    return {name: run[name] for name in ("start_time", "experiment_name", "parent_id") if name in run}


def lines_of(run: Row) -> list[Row]:
    """Return the records of a run: its params, then the points of its metrics, then its tag, its result and its end."""
    params = {name: run[name] for name in ("lr", "amp", "model", "model.name") if name in run}
    lines: list[Row] = [{"kind": "params", "params": params}] if params else []
    for name in ("loss", "val/loss"):
        lines += [
            {"kind": "metrics", "metrics": {name: value}, "step": at} for at, value in enumerate(run.get(name, []))
        ]
    lines += [{"kind": "tags", "tags": {"team": run["team"]}}] if "team" in run else []
    if "accuracy" in run:
        part = "other" if isinstance(run["accuracy"], str) else "metrics"
        lines.append({"kind": "log", "level": "RESULT", "message": "test", part: {"accuracy": run["accuracy"]}})
    return [*lines, {"kind": "end", "status": "completed", "duration": run.get("duration", 1.0), "metrics": {}}]


def annotate_later(folder: Path, run: Row) -> None:
    """Give the run in *folder* the tags and the name that it has later."""
    later = run.get("later", {})
    tags = {name: later[name] for name in ("team",) if name in later}
    if later:
        annotate(folder, tags=tags, name=later.get("name"))
