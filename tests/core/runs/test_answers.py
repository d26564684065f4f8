"""
A question has one answer, whoever gives it: `find`, `refunc ls`, and a filter in plain Python over exported rows.

The answers come from the journals, from the catalogue of the index, and from both after a run has changed.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refunc.annotations.annotate import annotate
from refunc.logging import ExperimentTracker, MLLogger
from refunc.runs import ExpressionError, open_store

WriteRun = Callable[..., Path]
Row = dict[str, Any]
Holds = Callable[[Row], bool]

_NUMBERS = st.sampled_from([0, 1, 2.5, -3, 0.001, math.inf, math.nan])
_VALUES = st.one_of(_NUMBERS, st.sampled_from(["adam", "sgd", "1e-3", ".5", "2", ""]), st.booleans(), st.none())
_RUNS = st.lists(
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
_NAMES = {
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
    return f"{name} {op} {value!r}", lambda row: _compared(row, _NAMES[name], op, value)


def _is_missing(name: str, negated: bool) -> tuple[str, Holds]:
    column = _NAMES[name]

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
        st.sampled_from(sorted(_NAMES)),
        st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
        st.sampled_from(_GIVEN),
    ),
    st.builds(_is_missing, st.sampled_from(sorted(_NAMES)), st.booleans()),
)
_QUESTIONS = st.recursive(
    _SIMPLE, lambda inner: st.builds(_joined, inner, st.sampled_from(["and", "or"]), inner), max_leaves=4
)


def _lines(run: Row) -> list[Row]:
    """Return the records of a run: its params, then the points of its metrics, then its tag and its end."""
    params = {name: run[name] for name in ("lr", "model", "model.name") if name in run}
    lines: list[Row] = [{"kind": "params", "params": params}] if params else []
    for name in ("loss", "val/loss"):
        lines += [
            {"kind": "metrics", "metrics": {name: value}, "step": at} for at, value in enumerate(run.get(name, []))
        ]
    lines += [{"kind": "tags", "tags": {"team": run["team"]}}] if "team" in run else []
    return [*lines, {"kind": "end", "status": "completed", "duration": 1.0, "metrics": {}}]


@pytest.mark.once
@given(runs=_RUNS, questions=st.lists(_QUESTIONS, min_size=1, max_size=4), more=st.integers(0, 4))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_every_way_of_asking_gives_the_same_answer(
    runs: list[Row], questions: list[tuple[str, Holds]], more: int, write_run: WriteRun, tmp_path: Path
) -> None:
    place = tmp_path / "experiments" / os.urandom(6).hex()
    place.mkdir(parents=True)
    folders = [write_run(place / f"run_{number:08}", _lines(run)) for number, run in enumerate(runs)]
    for text, holds in questions:
        _check(place, text, holds)
    if len(folders) > more:  # one run has changed since: it is of the catalogue no longer
        shutil.rmtree(folders[more])
        write_run(folders[more], [{"kind": "params", "params": {"lr": 0}}, *_lines({})])
    for text, holds in questions:
        _check(place, text, holds)


def _check(place: Path, text: str, holds: Holds) -> None:
    store = open_store(place)
    expected = [row["run_id"] for row in store.to_rows() if holds(row)]
    for _ in range(2):  # from the journals, then from the index
        assert [run.run_id for run in store.find(text, allow_missing=True)] == expected, text


@pytest.mark.once
@given(runs=_RUNS)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_nested_names_are_told_apart_by_the_catalogue_as_by_the_runs(
    runs: list[Row], write_run: WriteRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "experiments" / os.urandom(6).hex()
    place.mkdir(parents=True)
    for number, run in enumerate(runs):
        write_run(place / f"run_{number:08}", _lines(run))
    store = open_store(place)
    for name in ("params.model.name", "params['model.name']", "params['model.name_2']", "params.model"):
        for text in (f"{name} is not missing", f"{name} == 'adam'", f"{name} == 1"):
            kept = [[run.run_id for run in store.find(text, allow_missing=True)] for _ in range(2)]
            with monkeypatch.context() as patched:
                patched.setenv("REFUNC_CACHE", "off")
                assert [[run.run_id for run in store.find(text, allow_missing=True)]] * 2 == kept, text


def test_a_single_name_to_sort_or_group_by_needs_no_brackets(tmp_path: Path) -> None:
    for number in (2, 1, 3):
        with ExperimentTracker("digits", f"run {number}", tmp_path, logger=MLLogger("quiet", "ERROR")) as run:
            run.log_params({"net/depth": number})
            run.log_metrics({"val/loss": 1 / number}, step=0)
    store = open_store(tmp_path)
    assert [run.run_name for run in store.find(order_by="metrics.val/loss.min")] == ["run 3", "run 2", "run 1"]
    assert [run.run_name for run in store.find(order_by="-metrics.val/loss")] == ["run 1", "run 2", "run 3"]
    assert [group.key for group in store.group_by("params.net/depth")] == [(2,), (1,), (3,)]
    with pytest.raises(ExpressionError, match=r"no run has a metric 'val/los'"):
        store.find(order_by="metrics.val/los.min")
    with pytest.raises(ExpressionError):
        store.find(order_by="metric.val/loss.min")


def test_what_was_annotated_since_is_part_of_the_answer(write_run: WriteRun, tmp_path: Path) -> None:
    folders = [write_run(f"run_{number:08}", _lines({"team": "vision", "lr": number})) for number in range(3)]
    store = open_store(tmp_path / "experiments")
    assert len(store.find("tags.team == 'vision'")) == 3  # now they are in the catalogue

    annotate(folders[1], tags={"team": "text", "best": "yes"}, name="renamed")

    assert [run.run_id for run in store.find("tags.team == 'vision'")] == ["00000000", "00000002"]
    assert [run.run_name for run in store.find("tags.best == 'yes' and run_name ~ 'ren*'")] == ["renamed"]
    annotate(folders[1], tags={"best": None})
    with pytest.raises(ExpressionError, match="no run has a tag 'best'"):
        store.find("tags.best == 'yes'")
