"""Curves thinned out while they are read: the extremes of all points, in memory that does not grow with them."""

from __future__ import annotations

import math
import tracemalloc
from array import array
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refunc.journal.codec import encode_line
from refunc.runs import Run, read_on
from refunc.runs.points import Points
from refunc.runs.thinning import thinned_parts

pytestmark = pytest.mark.once


def points(values: list[float], first: int) -> Points:
    steps = array("q", range(first, first + len(values)))
    return Points(steps, array("d", values), array("d", map(float, steps)), array("q"), array("q"), stepless=False)


@given(
    st.lists(
        st.lists(st.floats(-100, 100) | st.just(math.nan) | st.just(math.inf), max_size=60), min_size=1, max_size=9
    ),
    st.integers(5, 60),
)
@settings(max_examples=200)
def test_parts_keep_ends_extremes_and_order_and_no_more_points_than_asked_for(
    parts: list[list[float]], most: int
) -> None:
    every = [value for part in parts for value in part]
    if not every:
        return
    begins = [sum(map(len, parts[:number])) for number in range(len(parts))]

    found, odd = thinned_parts(map(points, parts, begins), len(every), most)

    kept = list(found.values)
    assert len(kept) <= max(most, 5)
    assert list(found.steps) == sorted(set(found.steps))
    assert all(same(every[step], value) for step, value in zip(found.steps, kept, strict=True))
    assert odd == sum(not math.isfinite(value) for value in every)
    assert (found.steps[0], found.steps[-1]) == (0, len(every) - 1)
    numbers = [value for value in every if value == value]
    if numbers:
        assert {min(numbers), max(numbers)} <= set(kept)


def same(one: float, other: float) -> bool:
    return one == other or (one != one and other != other)


def written(folder: Path, count: int) -> Run:
    (folder / "journal").mkdir(parents=True)
    (folder / "run.json").write_text('{"format": 1, "run_id": "long", "start_time": 1.0}')
    with open(folder / "journal" / "main.000000.jsonl", "wb") as file:
        for step in range(count):
            value = 1_000.0 if step == count // 3 else -1_000.0 if step == count // 2 else step % 97 / 97
            line = {"seq": step, "time": 1.0 + step, "kind": "metrics", "step": step, "metrics": {"loss": value}}
            file.write(encode_line(line))
    return Run.open(folder)


def test_a_run_in_the_index_is_thinned_as_one_in_memory(tmp_path: Path) -> None:
    run = written(tmp_path / "store" / "run", 60_000)
    assert run.summary.metrics["loss"].count == 60_000  # now it is in the index

    [found] = Run.open(run.folder).thinned(["loss"], 500)

    whole = run.metrics("loss")
    assert (found.of, found.odd, len(found.series) <= 500) == (60_000, 0, True)
    assert (found.series.min, found.series.max) == (whole.min, whole.max) == (-1_000.0, 1_000.0)
    assert [found.series.steps[0], found.series.steps[-1]] == [0, 59_999]
    assert all(whole.values[step] == value for step, value in found.series)  # type: ignore[index]
    assert list(run.metrics("loss", max_points=500)) == list(found.series)


def test_memory_does_not_grow_with_the_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run lies in the index in parts; twice as many points are more parts, and not more memory."""
    monkeypatch.setattr(read_on, "_FULL", 17_000)
    peaks = []
    for count in (51_000, 102_000):
        run = written(tmp_path / f"store {count}" / "run", count)
        assert run.summary.metrics["loss"].count == count
        again = Run.open(run.folder)
        assert again.summary.metrics["loss"].count == count
        tracemalloc.start()
        [found] = again.thinned(["loss"], 1_000)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert found.of == count
    assert peaks[1] < 1.3 * peaks[0]
