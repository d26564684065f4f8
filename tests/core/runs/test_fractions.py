"""Steps and epochs with a fraction, as transformers logs them: kept as given, from the call to tables and files."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refunc.delivery.window import calls_of
from refunc.journal.record import Metrics
from refunc.journal.scan import PointLine
from refunc.logging import MLLogger, epoch_context, experiment_context
from refunc.runs import Run, open_store
from refunc.runs.columns import Columns
from refunc.runs.gathered import Content
from refunc.runs.points_file import curves, export_points
from refunc.runs.series import Series
from refunc.runs.writer_content import WriterContent

WriteRun = Callable[..., Path]

_PLACES = st.none() | st.integers(-3, 9) | st.sampled_from([0.25, 1.5, -0.75, 2.0, 1e15 + 0.5])
_POINTS = st.lists(st.tuples(_PLACES, _PLACES, st.sampled_from([("a",), ("a", "b"), ("b",)])), min_size=1, max_size=12)


@given(_POINTS, st.booleans(), st.integers(1, 6))
def test_columns_say_what_was_given(points: list[Any], one_by_one: bool, at_once: int) -> None:
    columns = Columns()
    lines = [
        PointLine(seq=n, time=float(n), kind="metrics", step=step, epoch=epoch, metrics=dict.fromkeys(names, float(n)))
        for n, (step, epoch, names) in enumerate(points)
    ]
    for at in range(0, len(lines), at_once):
        if one_by_one:
            for line in lines[at : at + at_once]:
                columns.add(line.time, line.step, line.epoch, line.metrics)
        else:
            columns.add_all(lines[at : at + at_once])
    content = Content(Path(), (), {"w": WriterContent(columns=columns, statistics=columns.statistics({}))})

    for name in content.summary.metrics:
        expected = [(step, epoch) for step, epoch, names in points if name in names]
        series = content.series([name])[name]
        assert list(series.steps) == [step for step, _ in expected]
        if any(epoch is not None for _, epoch in expected):
            assert list(series.epochs) == [epoch for _, epoch in expected]
        steps = [step for step, _ in expected]
        if steps and None not in steps:
            assert isinstance(series.steps, memoryview)
            assert series.steps.format == ("q" if all(float(step).is_integer() for step in steps) else "d") or (
                len({names for _, _, names in points if name in names}) > 1
            )
    summary = content.summary.metrics
    assert summary[points[0][2][0]].first_step == points[0][0]


def _training() -> Run:
    with experiment_context("hf", "epochs") as run:
        for step in (5, 10, 15):
            run.log_metrics({"loss": 1 / step, "epoch": step / 16}, step=step)
        for epoch in (0.5, 1.5):
            run.log_metrics({"eval": epoch}, step=epoch)
        run.log_metrics({"late": 1.0}, epoch=2.25)
        run.log_result("final", 1.0, step=2.5)
    return open_store()["epochs"]


def test_the_journal_has_them_as_given() -> None:
    run = _training()

    found = [(entry.step, entry.epoch) for entry in run.entries() if entry.metrics]
    lines = [line for path in run.folder.glob("journal/*.jsonl") for line in path.read_text().splitlines()]
    written = list(map(json.loads, lines))
    assert found == [(5, 0.3125), (10, 0.625), (15, 0.9375), (0.5, None), (1.5, None), (None, 2.25), (2.5, None)]
    assert [line.get("epoch") for line in written if line["kind"] == "metrics"][:3] == [0.3125, 0.625, 0.9375]


@pytest.mark.usefixtures("cache")
def test_a_run_says_them_the_same_with_the_index_and_without() -> None:
    _training()

    for _ in range(2):  # the second time from the index
        run = open_store()["epochs"]
        assert list(run.metrics("loss").epochs) == [0.3125, 0.625, 0.9375]
        assert list(run.metrics("eval")) == [(0.5, 0.5), (1.5, 1.5)]
        assert (run.summary.metrics["eval"].last_step, run.summary.metrics["loss"].last_step) == (1.5, 15)
        assert [entry.step for entry in run.around("eval", 1.5, steps=0) if entry.metrics] == [1.5]
        assert open_store().find("metrics.eval.last_step == 1.5")


def test_a_logger_stands_where_it_was_told_to() -> None:
    logger = MLLogger("stands", "CRITICAL")
    with experiment_context("e", "r"):
        assert (logger.set_step(1.5), logger.set_epoch(0.25), logger.set_step(2.0)) == (1.5, 0.25, 2)
        logger.set_step(1.5)
        logger.critical("line")
        logger.log_metrics({"loss": 1.0})
        logger.critical("other", step=0.5, epoch=3.0)
        found = [(entry.step, entry.epoch) for entry in logger.get_log_entries() if entry.metrics or entry.step]

    assert found == [(1.5, 0.25), (1.5, 0.25), (0.5, 3)]


def test_an_epoch_tracker_counts_on_from_a_fraction() -> None:
    logger = MLLogger("fractions", "CRITICAL")
    with experiment_context("e", "tracked"), epoch_context(logger=logger) as epochs:
        epochs.start_epoch(0.5)
        epochs.end_epoch({"loss": 1.0})
        epochs.start_epoch()
        epochs.end_epoch({"loss": 0.5})

    assert list(open_store()["tracked"].metrics("loss").epochs) == [0.5, 1.5]


@pytest.mark.parametrize(
    "format", ["csv", "jsonl", pytest.param("parquet", marks=[pytest.mark.once, pytest.mark.extras])]
)
@pytest.mark.parametrize("first", ["whole", "fractions"])
def test_an_export_has_them(format: str, first: str, write_run: WriteRun, tmp_path: Path) -> None:
    def point(step: float) -> dict[str, Any]:
        return {"kind": "metrics", "step": step, "metrics": {"loss": 1.0}}

    write_run("whole", [point(1), point(2)], start_time=1.0 if first == "whole" else 3.0)
    write_run("fractions", [point(0.5), point(3)], start_time=2.0)
    path = tmp_path / f"points.{format}"

    count = export_points(lambda: curves(open_store()), path, format)

    if format == "parquet":
        import pyarrow.parquet

        steps = pyarrow.parquet.read_table(path).column("step").to_pylist()
    else:
        text = path.read_text().splitlines()
        steps = [json.loads(line)["step"] if format == "jsonl" else line.split(",")[4] for line in text][
            format == "csv" :
        ]
    assert count == 4
    assert sorted(map(float, steps)) == [0.5, 1, 2, 3]


@pytest.mark.once
@pytest.mark.extras
@pytest.mark.parametrize("missing", [False, True])
def test_a_large_step_beside_fractions_is_rounded(missing: bool, write_run: WriteRun, tmp_path: Path) -> None:
    """Float64 lacks most whole numbers beyond 2**53, and pyarrow refuses those unless it is told to round."""
    parquet = pytest.importorskip("pyarrow.parquet")
    large = 2**60 + 1
    steps: list[dict[str, Any]] = [{"step": large}, *([{}] if missing else [])]
    write_run("whole", [{"kind": "metrics", "metrics": {"loss": 1.0}, **step} for step in steps])
    write_run("fraction", [{"kind": "metrics", "metrics": {"loss": 1.0}, "step": 0.5}])

    export_points(lambda: curves(open_store()), tmp_path / "points.parquet", "parquet")

    found = parquet.read_table(tmp_path / "points.parquet").column("step").to_pylist()
    assert set(found) == {float(large), 0.5, *([None] if missing else [])}


@pytest.mark.once
@pytest.mark.extras
def test_other_libraries_get_floats_where_there_is_a_fraction() -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("polars")
    run = _training()

    steps, _ = run.metrics("eval").to_numpy()
    assert (steps.dtype, list(steps)) == ("float64", [0.5, 1.5])
    assert list(run.metrics("loss").to_pandas()["epoch"]) == [0.3125, 0.625, 0.9375]
    assert run.metrics("loss").to_pandas()["step"].dtype == "int64"
    assert run.metrics("loss").to_polars()["epoch"].to_list() == [0.3125, 0.625, 0.9375]
    assert run.metrics("late").to_arrow()["epoch"].to_pylist() == [2.25]
    assert run.metrics("late").to_arrow()["step"].to_pylist() == [None]


@pytest.mark.once
@pytest.mark.extras
def test_other_libraries_round_a_large_step_beside_a_fraction_and_a_missing_one() -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("polars")
    pytest.importorskip("pyarrow")
    series = Series("loss", [2**60 + 1, 0.5, None], [0.0] * 3, [0.0] * 3)

    expected = [float(2**60), 0.5, None]
    assert series.to_arrow()["step"].to_pylist() == expected
    assert series.to_polars()["step"].to_list() == expected
    assert series.to_pandas()["step"].tolist()[:2] == expected[:2]


def test_an_integration_gets_them_as_given_and_an_epoch_as_the_step() -> None:
    records = [Metrics(metrics={"a": 1.0}, step=0.5), Metrics(metrics={"a": 1.0}, epoch=1.25)]

    (call,) = calls_of(records)

    assert [(record.step, record.epoch) for record in call.records] == [(0.5, None), (1.25, 1.25)]


@settings(max_examples=50)
@given(st.lists(st.integers(-(2**53), 2**53) | st.floats(-1e6, 1e6) | st.none(), max_size=6))
def test_a_series_takes_any_steps(steps: list[Any]) -> None:
    series = Series("loss", steps, [0.0] * len(steps), [0.0] * len(steps))

    assert list(series.steps) == steps
    assert all(math.isfinite(step) for step in series.steps if step is not None)
    assert series.take(range(len(steps))).steps == series.steps or len(steps) == 0
    assert list(Series("loss", array("d", [0.5]), [1.0], [1.0]).steps) == [0.5]
