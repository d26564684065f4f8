"""One metric's points: complete, in order, and thinned out only where that was asked for."""

from __future__ import annotations

import math
import os
import shutil
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refunc.logging import ExperimentTracker
from refunc.runs import Run, Series
from refunc.runs.errors import UnknownMetricError

WriteRun = Callable[..., Path]


def series(values: list[float], **columns: Any) -> Series:
    count = range(len(values))
    return Series("loss", **{"steps": count, "values": values, "times": map(float, count), **columns})


def point(time: float = 1.0, step: int | None = 0, **metrics: Any) -> dict[str, Any]:
    fields = {"kind": "metrics", "time": time, "metrics": metrics}
    return fields if step is None else {**fields, "step": step}


def test_all_points_of_a_run_in_the_order_in_which_they_were_logged() -> None:
    with ExperimentTracker("images", "resnet") as tracker:
        for step in (0, 1, 1, 5, 2):
            tracker.log_metrics({"loss": step / 10, "accuracy": 1}, step=step, epoch=step // 2)
            tracker.log_metrics({"loss": 7}, step=step)
    assert tracker.folder is not None

    loss = Run.open(tracker.folder).metrics("loss")

    assert list(loss) == [(0, 0), (0, 7), (1, 0.1), (1, 7), (1, 0.1), (1, 7), (5, 0.5), (5, 7), (2, 0.2), (2, 7)]
    assert list(loss.epochs) == [0, None, 0, None, 0, None, 2, None, 1, None]
    assert list(loss.times) == sorted(loss.times)
    assert (len(loss), loss.first, loss.last, loss.min, loss.max, loss.mean) == (10, 0, 7, 0, 7, pytest.approx(3.59))


def test_the_same_from_many_companies_of_metrics_whose_rows_are_kept_apart(write_run: WriteRun) -> None:
    lines = [point(step=n, loss=n, **{f"other{n % 400}": 1}) for n in range(1_000)]

    run = Run.open(write_run("many", lines))

    assert list(run.metrics("loss")) == [(n, n) for n in range(1_000)]
    assert list(run.metrics("other399").steps) == [399, 799]
    assert len(run.metrics()) == 401


def test_points_of_several_writers_come_by_time_and_each_in_its_own_order(write_run: WriteRun) -> None:
    mine = [point(1.0, 0, loss=10), point(5.0, 1, loss=11), point(2.0, 2, loss=12), point(6.0, 3, loss=13)]
    childs = [point(3.0, 0, loss=20), point(5.5, 1, loss=21)]

    loss = Run.open(write_run("two", mine, others={"zchild": childs})).metrics("loss")

    assert list(loss.values) == [10, 20, 11, 12, 21, 13]  # 12 was logged behind 11, whatever the clock said


def test_a_step_or_an_epoch_that_no_column_holds_is_none_and_hides_no_point(write_run: WriteRun) -> None:
    """refunc writes 64 bits; another program may write any number that JSON can hold."""
    lines = [point(step=n, loss=n / 10) for n in range(5)]
    lines[1]["step"], lines[2]["epoch"], lines[3]["step"] = 2**63, -(2**70), -(2**63)
    for some in (lines, lines[1:2]):  # together with others, and by itself
        loss = Run.open(write_run(f"wide-{len(some)}", some)).metrics("loss")

        assert list(loss.values) == [line["metrics"]["loss"] for line in some]
        assert list(loss.steps) == [None if abs(line["step"]) >= 2**63 else line["step"] for line in some]
        assert not any(loss.epochs)


def test_lines_of_text_have_points_too_but_progress_repeats_them(write_run: WriteRun) -> None:
    def line(level: str, value: float) -> dict[str, Any]:
        return {"kind": "log", "level": level, "message": "m", "metrics": {"loss": value}}

    run = Run.open(write_run("lines", [line("INFO", 1), line("PROGRESS", 2), line("RESULT", 3)]))

    assert list(run.metrics("loss").values) == [1, 3]
    assert list(run.metrics("loss").steps) == [None, None]


def test_what_json_cannot_say_is_read_as_what_it_was(write_run: WriteRun) -> None:
    values = [math.nan, math.inf, -math.inf, 2**60, True]

    run = Run.open(write_run("odd", [point(loss=value) for value in values]))

    assert str(list(run.metrics("loss").values)) == "[nan, inf, -inf, 1.152921504606847e+18]"
    assert (run.summary.points, run.metrics("loss").min) == (4, -math.inf)


def test_an_unknown_metric_names_those_that_come_near(write_run: WriteRun) -> None:
    run = Run.open(write_run("near", [point(**{"val/accuracy": 1})]))

    with pytest.raises(
        KeyError, match=r"the run near has no metric 'val/acuracy'\. Did you mean val/accuracy\?"
    ) as error:
        run.metrics("val/acuracy")
    assert isinstance(error.value, UnknownMetricError)
    assert error.value.candidates == ["val/accuracy"]


@pytest.mark.parametrize(
    "points",
    [
        lambda run: run.metrics("loss"),
        lambda run: run.metrics("loss", max_points=5),
        lambda run: run.series_of(["loss"]),
        lambda run: list(run.thinned(["loss"], 5)),
        lambda run: run.around("loss", "min"),
    ],
)
def test_a_run_that_is_removed_after_it_was_looked_at_lacks_the_metric(write_run: WriteRun, points: Any) -> None:
    run = Run.open(write_run("run", [point(loss=1.0)]))
    assert list(run.summary.metrics) == ["loss"]

    shutil.rmtree(run.folder)

    with pytest.raises(UnknownMetricError, match="has no metric 'loss'"):
        points(run)


def test_a_metric_of_the_end_alone_has_no_points(write_run: WriteRun) -> None:
    run = Run.open(write_run("end", [{"kind": "end", "status": "completed", "metrics": {"accuracy": 0.9}}]))

    assert (len(run.metrics("accuracy")), run.metrics("accuracy").last) == (0, None)
    assert run.summary.metrics["accuracy"].last == 0.9


def test_a_live_run_is_read_on(training: Any) -> None:
    run = Run.open(training.folder)
    assert list(run.metrics("loss")) == [(1, 0.5)]

    training.tell("tracker.log_metrics({'loss': 0.25}, step=2); tracker.flush()")

    assert list(run.metrics("loss")) == [(1, 0.5), (2, 0.25)]
    assert run.summary.last == {"loss": 0.25}


def test_columns_cannot_be_changed() -> None:
    loss = series([0.5, 0.25])

    with pytest.raises(TypeError, match="read-only"):
        loss.values[0] = 1  # type: ignore[index]


# -- thinning out -----------------------------------------------------------------------------------------------------

numbers = st.floats(allow_nan=True, allow_infinity=True)


@given(values=st.lists(numbers, max_size=200), max_points=st.integers(5, 50))
def test_a_thinned_out_series_keeps_its_ends_its_extremes_and_a_nan(values: list[float], max_points: int) -> None:
    thin = series(values).downsample(max_points)

    assert len(thin) == len(values) if len(values) <= max_points else len(thin) <= max_points
    assert list(thin.steps) == sorted(set(thin.steps), key=int)  # type: ignore[arg-type]
    assert all(repr(value) == repr(values[step]) for step, value in thin if step is not None)
    if values:
        assert (thin.steps[0], thin.steps[-1]) == (0, len(values) - 1)
        assert (thin.min, thin.max) == (series(values).min, series(values).max)
        assert any(map(math.isnan, values)) == any(map(math.isnan, thin.values))


def test_nothing_is_left_out_unless_that_was_asked_for(write_run: WriteRun) -> None:
    run = Run.open(write_run("long", [point(step=n, loss=n % 7) for n in range(5_000)]))

    assert len(run.metrics("loss")) == len(run.metrics()["loss"]) == 5_000
    assert 90 < len(run.metrics("loss", max_points=100)) == len(run.metrics(max_points=100)["loss"]) <= 100
    with pytest.raises(ValueError, match="max_points: 4 is too small"):
        run.metrics("loss", max_points=4)


# -- other libraries --------------------------------------------------------------------------------------------------


def test_plain_columns() -> None:
    both = series([0.5, 1.5], epochs=[1, None], x=[10.0, 20.0], x_name="tokens")

    assert both.to_dict() == {
        "step": [0, 1],
        "value": [0.5, 1.5],
        "time": [0.0, 1.0],
        "epoch": [1, None],
        "tokens": [10.0, 20.0],
    }
    assert repr(both) == "Series('loss', 2 points, step 0 to 1, last 1.5)"
    assert repr(series([])) == "Series('loss', no points)"


@pytest.mark.once
@pytest.mark.extras
@pytest.mark.parametrize("library", ["pandas", "polars", "arrow"])
@pytest.mark.parametrize("steps", [[0, 1, 2], [None, 1, 2]])
def test_tables_of_other_libraries_hold_the_same(library: str, steps: list[int | None]) -> None:
    found = series([0.5, math.nan, math.inf], steps=steps, epochs=[1, None, 3])

    table = getattr(found, f"to_{library}")()

    columns = (
        table.to_dict("list")
        if library == "pandas"
        else table.to_pydict()
        if library == "arrow"
        else (table.to_dict(as_series=False))
    )
    missing = [[str(value).replace("<NA>", "None") for value in column] for column in columns.values()]
    assert list(columns) == ["step", "value", "time", "epoch"]
    assert missing == [[str(value) for value in column] for column in found.to_dict().values()]


@pytest.mark.extras
def test_numpy_takes_the_columns_without_a_copy() -> None:
    import numpy

    found = series([0.5, 1.5])

    steps, values = found.to_numpy()

    assert (steps.dtype, values.dtype, list(values)) == ("int64", "float64", [0.5, 1.5])
    assert numpy.shares_memory(values, numpy.asarray(found.values))
    assert numpy.isnan(series([1.0], steps=[None]).to_numpy()[0][0])


def test_a_library_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)

    with pytest.raises(ModuleNotFoundError, match=r"to_pandas\(\) needs pandas, which is not installed"):
        series([0.5]).to_pandas()


def test_reading_changes_nothing(write_run: WriteRun, contents: Callable[[Path], Any]) -> None:
    folder = write_run("same", [point(loss=1.0), b"rubbish\n", b'{"torn'])
    before = contents(folder)

    run = Run.open(folder)
    run.metrics()
    run.around("loss", "max")
    run.to_dict()

    assert contents(folder) == before
    assert (run.summary.account.torn, run.summary.account.damaged) == (1, 1)
    assert os.listdir(folder) == sorted(["journal", "run.json"])


def test_arrays_are_taken_as_they_are() -> None:
    values = array("d", [1.0, 2.0])

    assert Series("loss", [0, 1], values, [0.0, 1.0]).values == memoryview(values)
