"""Metrics and records of a run beyond a bound are left out, counted and told, however the reading is cut up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.codec import encode_line
from refunc.runs import columns, room
from refunc.runs import points_file as points
from refunc.runs.ending import ending_of
from refunc.runs.flat import flat
from refunc.runs.read_on import read_content
from refunc.runs.room import LeftOut
from refunc.runs.run import Run

pytestmark = pytest.mark.once

WriteRun = Callable[..., Path]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten metrics and a hundred values a run."""
    monkeypatch.setattr(room, "MAX_METRICS", 10)
    monkeypatch.setattr("refunc.runs.summary.MAX_METRICS", 10)
    monkeypatch.setattr(room, "MAX_NOTED", 100)


def metrics(*names: str) -> dict[str, Any]:
    return {"kind": "metrics", "metrics": dict.fromkeys(names, 1.0)}


def names(first: int, count: int) -> list[str]:
    return [f"m{number}" for number in range(first, first + count)]


@pytest.mark.usefixtures("small")
def test_further_metrics_are_left_out_and_told(write_run: WriteRun, cache: Path) -> None:
    end = {"kind": "end", "status": "completed", "duration": 1.0, "metrics": {"m3": 5.0, "late": 6.0}}
    lines = [metrics(*names(0, 8)), metrics(*names(4, 8)), metrics("m9", "m11"), *[metrics("m0")] * 3, end]

    run = Run.open(write_run("wide", lines, {"child": [metrics(*names(20, 30))]}))

    # The writers are read by their names' order: the child's come first.
    assert list(run.summary.metrics) == names(20, 10)
    assert run.summary.left_out == LeftOut(values=20 + 8 + 8 + 2 + 3 + 2)
    assert list(run.summary.left_out.told()) == [
        "43 values of further metrics are left out: 10 metrics of a run are read"
    ]
    assert sum(len(series) for series in run.metrics().values()) == run.summary.points == 10
    assert run.to_dict()["left_out"] == {"definitions": 0, "values": 43, "records": 0}


@pytest.mark.usefixtures("small")
def test_a_metric_that_is_known_goes_on_beside_those_that_are_left_out(write_run: WriteRun) -> None:
    lines = [metrics(*names(0, 10)), *[metrics("m0", "new", "m1")] * 3, metrics("new"), metrics("m0")]

    run = Run.open(write_run("wide", lines))

    assert [len(run.metrics(name)) for name in ("m0", "m1", "m2")] == [5, 4, 1]
    assert run.summary.left_out == LeftOut(values=4)


@pytest.mark.usefixtures("small")
def test_records_are_left_out_in_the_order_of_the_journal_and_an_end_never_is(write_run: WriteRun) -> None:
    small = {"kind": "tags", "tags": {"last": "x"}}
    large = {"kind": "params", "params": {"list": [0] * 60}}
    end = {"kind": "end", "status": "failed", "duration": 2.0, "metrics": dict.fromkeys(names(0, 60), 1.0)}

    run = Run.open(write_run("noted", [large, {**large, "params": {"other": [0] * 60}}, small, end, end]))

    assert (list(run.params), run.tags, run.status) == (["list"], {}, "failed")
    assert run.summary.left_out == LeftOut(records=2, values=50)
    assert run.outcome(run.summary) == ("failed", 2.0)


@pytest.mark.usefixtures("small")
def test_what_is_left_out_does_not_depend_on_how_often_the_run_was_read_before(
    write_run: WriteRun, cache: Path
) -> None:
    lines = [metrics(*names(at, 4)) for at in range(0, 20, 3)]
    lines += [{"kind": "params", "params": {f"p{at}": [0] * 30}} for at in range(6)]
    lines += [{"kind": "tags", "tags": {"last": "x"}}, metrics("m0", "m50")]
    whole = read_content(write_run("whole", lines), cached=False)

    folder = write_run("grows", [])
    (segment,) = (folder / "journal").iterdir()
    for seq, line in enumerate(lines):
        with open(segment, "ab") as file:
            file.write(encode_line({"seq": seq, "time": 1_001.0 + seq, **line}))
        found = read_content(folder)

    assert found.stored is not None
    assert repr(found.summary) == repr(whole.summary)
    assert found.summary.left_out.records == 5


def test_writers_and_companies_of_metrics_do_not_multiply_columns(
    write_run: WriteRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_MAX_COLUMNS", 20)
    monkeypatch.setattr(room, "_MAX_ALONE", 6)
    others = {f"writer{number}": [metrics(*names(0, 4))] * 2 for number in range(10)}

    content = read_content(write_run("many", [], others), cached=False)

    groups = [group for writer in content.writers.values() for group in writer.columns.groups]
    # Five writers have room for all four, together; the next two for six, alone.
    assert sorted(map(len, groups)) == [*[1] * 6, *[4] * 5]
    assert content.summary.left_out.values == 2 * (4 * 10 - 4 * 5 - 6)
    assert content.summary.metrics["m0"].count == 2 * 7


def test_the_points_of_many_metrics_are_looked_up_once_a_handful(
    write_run: WriteRun, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It took an opening of the index and a look through all names for each: hours for 500,000."""
    folder = write_run("wide", [metrics(*names(at, 500)) for at in range(0, 2_500, 500)])
    Run.open(folder).content()
    looks = opened = 0
    of, series_of = columns.Columns.of, Run.series_of

    def counted(self: Any, name: str) -> Any:
        nonlocal looks
        looks += 1
        return of(self, name)

    def counted_openings(*arguments: Any, **options: Any) -> Any:
        nonlocal opened
        opened += 1
        return series_of(*arguments, **options)

    monkeypatch.setattr(columns.Columns, "of", counted)
    monkeypatch.setattr(Run, "series_of", counted_openings)
    found = [series.name for _, series in points.curves([Run.open(folder)])]

    assert found == names(0, 2_500)
    assert (looks, opened) == (2_500, 3)


def test_a_glance_remembers_a_bounded_number_of_metrics(write_run: WriteRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refunc.runs.ending._MOST_METRICS", 10)
    lines = [metrics(*names(at, 3)) for at in range(0, 90, 3)]
    result = {"kind": "log", "level": "RESULT", "message": "", "metrics": {"best": 1.0}}

    found = ending_of(write_run("wide", [result, *lines]))

    assert list(found.metrics) == ["best", *names(87, 3), *names(84, 3), *names(81, 3)]


def test_nested_names_are_cut_where_one_of_them_is_long() -> None:
    long = "x" * 1_000_000
    rows = dict(flat({long: {str(number): {"deep": number} for number in range(1_000)}}))

    assert sorted(rows.values()) == list(range(1_000))
    assert max(map(len, rows)) <= 310
