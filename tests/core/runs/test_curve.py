"""A series as it is drawn: every extreme of the visible part, and single points where there is room for all."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refunc.runs import Curve, Series

pytestmark = pytest.mark.once

values = st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, -math.inf])
axis_values = st.none() | st.integers(-50, 50) | st.floats(-50, 50)


def series(y: list[float], steps: list[Any] | None = None, **columns: Any) -> Series:
    steps = list(range(len(y))) if steps is None else steps
    times = [1000.0 + at for at in range(len(y))]
    return Series("loss", **{"steps": steps, "values": y, "times": times, **columns})


def pairs(curve: Curve) -> list[tuple[float, float]]:
    return list(zip(curve.x, curve.y, strict=True))


@given(st.lists(st.tuples(axis_values, values), max_size=80))
def test_a_curve_has_the_points_with_a_place_in_the_order_of_the_axis(points: list[tuple[Any, float]]) -> None:
    curve = Curve.of(series([y for _, y in points], [x for x, _ in points]), "step")

    placed = sorted(((x, y) for x, y in points if x is not None), key=lambda pair: pair[0])
    expected = placed if placed else [(at, y) for at, (_, y) in enumerate(points)]
    assert repr([(float(x), y) for x, y in pairs(curve)]) == repr([(float(x), y) for x, y in expected])
    assert curve.x_name == ("step" if placed or not points else "point")


@given(
    st.lists(values, max_size=300),
    st.floats(-10, 310),
    st.floats(-10, 310),
    st.integers(8, 60),
)
def test_a_window_keeps_both_ends_and_all_extremes_and_no_more_points_than_asked(
    y: list[float], one: float, other: float, most: int
) -> None:
    start, end = sorted((one, other))
    curve = Curve.of(series(y))
    window = curve.window(start, end, most)

    inside = [at for at in range(len(y)) if start <= at <= end]
    finite = [y[at] for at in inside if math.isfinite(y[at])]
    assert window.count == len(inside)
    assert window.low_high == ((min(finite), max(finite)) if finite else None)
    kept = list(window.indices)
    assert kept == sorted(set(kept))
    assert len([at for at in kept if start <= at <= end]) <= most
    # A line reaches the edges of the chart.
    if inside:
        assert {inside[0], inside[-1]} <= set(kept)
        assert (inside[0] - 1 in kept) == (inside[0] > 0)
        assert (inside[-1] + 1 in kept) == (inside[-1] + 1 < len(y))
    if len(inside) <= most:
        assert [at for at in kept if start <= at <= end] == inside
    nans, infinite, odd = window.odd()
    assert nans == sum(math.isnan(y[at]) for at in inside)
    assert infinite == sum(math.isinf(y[at]) for at in inside)
    assert len(odd) == min(50, nans + infinite)
    # A gap of the line stays a gap.
    if any(not math.isfinite(y[at]) for at in inside) and most >= 20:
        assert any(math.isnan(value) for value in window.y)


@given(st.lists(st.floats(-1, 1), min_size=30, max_size=200), st.integers(8, 20))
def test_the_lowest_and_highest_of_each_part_of_the_axis_stay(y: list[float], most: int) -> None:
    """Points lie close at one end, as times do where a training has paused; parts are of equal width all the same."""
    steps = [at**2 for at in range(len(y))]
    window = Curve.of(series(y, steps)).window(max_points=most)

    kept = dict(zip(window.x, window.y, strict=True))
    parts = (most - 2) // 2
    width = steps[-1] / parts
    if len(y) > most:
        for part in range(parts):
            inside = [
                (x, value)
                for x, value in zip(steps, y, strict=True)
                if part * width <= x < (part + 1) * width or (part == parts - 1 and x == steps[-1])
            ]
            of_part = [value for x, value in kept.items() if any(x == each for each, _ in inside)]
            if inside:
                assert min(of_part) == min(value for _, value in inside)
                assert max(of_part) == max(value for _, value in inside)


@given(st.lists(values, max_size=60), st.floats(0, 0.99))
def test_the_average_is_the_one_of_its_definition(y: list[float], weight: float) -> None:
    smooth = Curve.of(series(y)).smoothed(weight)

    expected, total, count = [], 0.0, 0
    for value in y:
        if math.isfinite(value):
            total, count = weight * total + (1 - weight) * value, count + 1
        expected.append(total / (1 - weight**count) if count else math.nan)
    if weight == 0:
        expected = y
    assert list(smooth) == pytest.approx(expected, nan_ok=True, rel=1e-9, abs=1e-9)


def test_the_axes() -> None:
    given = series([3.0, 1.0], [4, 9], epochs=[0, 1])

    assert list(Curve.of(given, "epoch").x) == [0, 1]
    assert list(Curve.of(given, "time").x) == [1000.0, 1001.0]
    assert list(Curve.of(given, "relative", start_time=999.0).x) == [1.0, 2.0]
    with pytest.raises(ValueError, match="axis: 'steps' is not known"):
        Curve.of(given, "steps")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_points: 7 is too small"):
        Curve.of(given).window(max_points=7)
    with pytest.raises(ValueError, match="weight: 1 is not allowed"):
        Curve.of(given).smoothed(1)
