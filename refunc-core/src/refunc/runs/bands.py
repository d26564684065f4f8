"""
Curves of several runs as one, with a band around it.

Runs of one configuration seldom have the same steps: they logged at other intervals, were stopped early, or went on.
So each curve is read at the steps of a common axis, between its own first and last step and never beyond them, by the
straight line between its neighbours. How many runs reach a step is a column of the band.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from operator import lt
from typing import Any, Final, Literal

import attrs

from refunc.runs.curve import Curve
from refunc.runs.errors import UnknownMetricError
from refunc.runs.run import Run
from refunc.runs.sample import between, mean_of, median_of, quantile_of, spread_of
from refunc.runs.series import Series
from refunc.values.spelled import spelled

Center = Literal["mean", "median"]
Spread = Literal["std", "quartiles", "minmax"]
#: Values that are joined to an axis; of more, each curve's are thinned out first.
_MOST_JOINED: Final = 100_000


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

    @property
    def label(self) -> str:
        """The values of its key, as charts name it."""
        return ", ".join("none" if value is None else spelled(value) for value in self.key)

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
    _chosen("center", center, _CENTERS)
    _chosen("spread", spread, _SPREADS)
    for x_name, curves in by_axis(_series_of(name, runs)).items():
        found = band_of(key, name, x_name, curves, center=center, spread=spread, max_points=max_points)
        if len(found):
            yield found


def by_axis(many: Iterable[Series]) -> dict[str, list[Curve]]:
    """Return the curves of one metric of several runs by the name of their x axis, without those that have no x."""
    found: dict[str, list[Curve]] = {}
    for series in many:
        curve = Curve.of(series)
        if curve.x_name == series.x_name:  # else no point has a value on it
            found.setdefault(series.x_name, []).append(curve)
    return found


def _series_of(name: str, runs: Iterable[Run]) -> Iterator[Series]:
    for run in runs:
        try:
            yield run.metrics(name)
        except UnknownMetricError:
            continue


def band_of(
    key: tuple[Any, ...],
    name: str,
    x_name: str,
    curves: Iterable[Curve],
    *,
    center: Center,
    spread: Spread,
    max_points: int,
    start: float = -math.inf,
    end: float = math.inf,
) -> Band:
    """
    Return *curves* as one with a band, from *start* to *end* on their axis.

    Raises:
        ValueError: A word that is not known.
    """
    middle, ends = _chosen("center", center, _CENTERS), _chosen("spread", spread, _SPREADS)
    axis, samples = aligned(curves, max_points, start, end)
    centers, lows, highs, counts = array("d"), array("d"), array("d"), array("q")
    for known in samples:
        at = middle(known) if known else math.nan
        low, high = ends(known, at) if len(known) > 1 else (at, at)
        centers.append(at)
        lows.append(low)
        highs.append(high)
        counts.append(len(known))
    return Band(key, name, x_name, axis, centers, lows, highs, counts)


def aligned(
    curves: Iterable[Curve], most: int | None, start: float = -math.inf, end: float = math.inf
) -> tuple[Sequence[float], Iterator[list[float]]]:
    """
    Return the common axis of *curves*, and for each of its values those of the curves that reach it, in order.

    Args:
        most: The most values of the axis; by default it has all x of all curves, or 100,000 evenly chosen ones if the
            curves, which do not share them, have more.
    """
    plain = [each for each in map(_plain, curves) if len(each[0])]
    axis = _axis([_within(x, start, end) for x, _ in plain], most)
    read = [_read(x, y, axis) for x, y in plain]
    return axis, (sorted(value for value in values if value == value) for values in zip(*read, strict=True))


def _within(x: Sequence[float], start: float, end: float) -> Sequence[float]:
    """Return the axis values from *start* to *end*, with one to either side."""
    if start == -math.inf and end == math.inf:
        return x
    return x[max(0, bisect_left(x, start) - 1) : bisect_right(x, end) + 1]


def _plain(curve: Curve) -> tuple[Sequence[float], Sequence[float]]:
    """Return the x that have a value, with it; of several at one x, the last."""
    x, y = curve.x, curve.y
    if all(map(lt, x, islice(x, 1, None))) and not (curve.has_odd and any(map(math.isnan, y))):
        return x, y  # nearly always
    points = {at: value for at, value in zip(x, y, strict=True) if value == value}
    return list(points), list(points.values())


def _axis(columns: list[Sequence[float]], most: int | None) -> Sequence[float]:
    """Return all axis values; if there are more than *most*, that many of them, evenly chosen, and both ends."""
    if not columns:
        return []
    first = columns[0]
    if all(other == first for other in columns[1:]):
        return _even(first, most)
    if sum(map(len, columns)) > _MOST_JOINED:  # times, which no two runs share
        columns = [_even(each, max(most or 2, _MOST_JOINED // len(columns))) for each in columns]
    return _even(sorted(set().union(*columns)), most)


def _even(x: Sequence[float], most: int | None) -> Sequence[float]:
    if most is None or len(x) <= most:
        return list(x)
    return [x[round(at * (len(x) - 1) / (most - 1))] for at in range(most)]


def _read(x: Sequence[float], y: Sequence[float], axis: Sequence[float]) -> Sequence[float]:
    """Return the value of a curve at each value of *axis*; NaN beyond its ends."""
    found = array("d")
    at = 0
    for value in axis:
        at = bisect_left(x, value, at)
        if at < len(x) and x[at] == value:
            found.append(y[at])
        elif 0 < at < len(x):
            share = (value - x[at - 1]) / (x[at] - x[at - 1])
            found.append(between(y[at - 1], y[at], share))
        else:
            found.append(math.nan)
    return found


def _around_std(known: Sequence[float], center: float) -> tuple[float, float]:
    spread = spread_of(known)
    return (center, center) if spread is None else (center - spread, center + spread)


def _quartiles(known: Sequence[float], center: float) -> tuple[float, float]:
    return quantile_of(known, 0.25), quantile_of(known, 0.75)


_CENTERS: Final[dict[str, Callable[[Sequence[float]], float]]] = {"mean": mean_of, "median": median_of}
_SPREADS: Final[dict[str, Callable[[Sequence[float], float], tuple[float, float]]]] = {
    "std": _around_std,
    "quartiles": _quartiles,
    "minmax": lambda known, center: (known[0], known[-1]),
}


def _chosen(option: str, word: str, known: dict[str, Any]) -> Any:
    if word not in known:
        raise ValueError(f"{option}: {word!r} is not known. Allowed: {', '.join(known)}.")
    return known[word]
