"""
Curves of several runs as one, with a band around it.

Runs of one configuration seldom have the same steps: they logged at other intervals, were stopped early, or went on.
So each curve is read at the steps of a common axis, between its own first and last step and never beyond them, by the
straight line between its neighbours. How many runs reach a step is a column of the band.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import lt
from statistics import fmean, median
from typing import Any, Final, Literal

import attrs

from refunc.runs.errors import UnknownMetricError
from refunc.runs.run import Run
from refunc.runs.series import Series

Center = Literal["mean", "median"]
Spread = Literal["std", "quartiles", "minmax"]


@attrs.frozen(eq=False)
class Band:
    """
    One metric over the runs of a group. All columns have the same length.

    `n` is the number of runs with a value there; `low` and `high` are the band's ends, equal to `center` where only one
    run has a value.
    """

    key: tuple[Any, ...]
    name: str
    x_name: str
    x: Sequence[float]
    center: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    n: Sequence[int]

    def __len__(self) -> int:
        return len(self.x)

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the columns `x_name`, `center`, `low`, `high` and `n` as lists."""
        columns = {self.x_name: self.x, "center": self.center, "low": self.low, "high": self.high, "n": self.n}
        return {name: list(column) for name, column in columns.items()}


def bands(
    key: tuple[Any, ...], name: str, runs: Iterable[Run], *, center: Center, spread: Spread, max_points: int
) -> Iterator[Band]:
    """
    Yield a band for each x axis that the runs have for the metric; runs without it are left out.

    Raises:
        ValueError: A word that is not known.
    """
    middle, ends = _chosen("center", center, _CENTERS), _chosen("spread", spread, _SPREADS)
    by_axis: dict[str, list[_Curve]] = {}
    for run in runs:
        try:
            series = run.metrics(name)
        except UnknownMetricError:
            continue
        if isinstance(series, Series) and (curve := _curve(series)).x:
            by_axis.setdefault(series.x_name, []).append(curve)
    for x_name, curves in by_axis.items():
        axis = _axis([curve.x for curve in curves], max_points)
        read = [_read(curve, axis) for curve in curves]
        centers, lows, highs, counts = array("d"), array("d"), array("d"), array("q")
        for values in zip(*read, strict=True):
            known = sorted(value for value in values if value == value)
            at = middle(known) if known else math.nan
            low, high = ends(known, at) if len(known) > 1 else (at, at)
            centers.append(at)
            lows.append(low)
            highs.append(high)
            counts.append(len(known))
        yield Band(key, name, x_name, axis, centers, lows, highs, counts)


@attrs.frozen
class _Curve:
    x: Sequence[float]
    y: Sequence[float]


def _curve(series: Series) -> _Curve:
    """Return the points with a place and a value, by their places; of several at one place, the last."""
    places: Any = series.x
    values = series.values
    if isinstance(places, memoryview) and all(map(lt, places, places[1:])) and sum(values) == sum(values):
        return _Curve(places, values)  # nearly always
    points = {x: y for x, y in zip(places, values, strict=True) if x is not None and x == x and y == y}
    order = sorted(points)
    return _Curve(order, [points[x] for x in order])


def _axis(places: list[Sequence[float]], most: int) -> Sequence[float]:
    """Return all places that occur; if there are more than *most*, that many of them, evenly chosen, with both ends."""
    first = places[0]
    every = first if all(other == first for other in places[1:]) else sorted(set().union(*places))
    if len(every) <= most:
        return list(every)
    return [every[round(at * (len(every) - 1) / (most - 1))] for at in range(most)]


def _read(curve: _Curve, axis: Sequence[float]) -> Sequence[float]:
    """Return the curve's value at each place of *axis*; NaN beyond its ends."""
    x, y = curve.x, curve.y
    found = array("d")
    at = 0
    for place in axis:
        at = bisect_left(x, place, at)
        if at < len(x) and x[at] == place:
            found.append(y[at])
        elif 0 < at < len(x):
            share = (place - x[at - 1]) / (x[at] - x[at - 1])
            found.append(y[at - 1] + share * (y[at] - y[at - 1]))
        else:
            found.append(math.nan)
    return found


def quantile_of(ordered: Sequence[float], share: float) -> float:
    """Return a quantile of values that are in order, interpolated between its neighbours."""
    place = (len(ordered) - 1) * share
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _around_std(known: Sequence[float], center: float) -> tuple[float, float]:
    if not all(map(math.isfinite, known)):
        return center, center
    # Not `stdev`, which calculates with fractions: ten times as long.
    mean = fmean(known)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in known) / (len(known) - 1))
    return center - spread, center + spread


def _quartiles(known: Sequence[float], center: float) -> tuple[float, float]:
    return quantile_of(known, 0.25), quantile_of(known, 0.75)


_CENTERS: Final[dict[str, Callable[[Sequence[float]], float]]] = {"mean": fmean, "median": median}
_SPREADS: Final[dict[str, Callable[[Sequence[float], float], tuple[float, float]]]] = {
    "std": _around_std,
    "quartiles": _quartiles,
    "minmax": lambda known, center: (known[0], known[-1]),
}


def _chosen(option: str, word: str, known: dict[str, Any]) -> Any:
    if word not in known:
        raise ValueError(f"{option}: {word!r} is not known. Allowed: {', '.join(known)}.")
    return known[word]
