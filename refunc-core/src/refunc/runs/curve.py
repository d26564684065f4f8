"""
A series as it is drawn: its points by their values on an axis, and the part of them that a chart shows.

Everything is columns of numbers, and the work on each part is done by slices, `min`, `max` and `bisect`, which run in
C: a million points are thinned out in a tenth of a second, without another library.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, compress, islice
from operator import le
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs

from refunc.runs.column import form_of
from refunc.runs.extremes import extremes_of

if TYPE_CHECKING:
    from refunc.runs.series import Series

#: The values along the x axis: the series' own axis (steps, unless `define_metric` chose a metric), or one of these.
Axis = Literal["own", "step", "epoch", "time", "relative"]
_AXES: Final = ("own", "step", "epoch", "time", "relative")
#: A buffer of float64, or of int64.
Column = Any
#: The fewest points of a window: those of two parts.
FEWEST: Final = 8
#: The most points of a window that are not finite and are listed one by one.
_MOST_ODD: Final = 50


@attrs.frozen(eq=False)
class Curve:
    """
    The points of one metric in the order of an axis; those without a value on it are left out.

    `x` and `y` are buffers of the same length, and `x` never falls. All points with one `x` are there, in the order
    in which they were logged.
    """

    x_name: str
    x: Column
    y: Column
    #: Whether a value is NaN or infinite.
    has_odd: bool

    @classmethod
    def of(cls, series: Series, axis: Axis = "own", *, start_time: float = 0.0) -> Curve:
        """
        Return *series* over *axis*; by the points' numbers, as `point`, if none has a value on it.

        Args:
            start_time: The moment that is 0 on the axis `relative`, in seconds since 1970.

        Raises:
            ValueError: *axis* is not known.
        """
        name, column = _axis_of(series, axis, start_time)
        x, y = _with_x(column, series.values)
        if not len(x) and len(series):
            name, x, y = "point", array("q", range(len(series))), series.values
        if not all(map(le, x, islice(x, 1, None))):
            order = sorted(range(len(x)), key=x.__getitem__)
            x, y = (array(form, map(column.__getitem__, order)) for form, column in ((form_of(x), x), ("d", y)))
        return cls(name, x, y, not math.isfinite(sum(y)) and not all(map(math.isfinite, y)))

    def __len__(self) -> int:
        return len(self.x)

    def smoothed(self, weight: float) -> array[float]:
        """
        Return the exponential moving average of `y`, in which each value keeps *weight* of the average before it.

        The average has no bias to 0 at the beginning. NaN and infinite values leave it unchanged.

        Raises:
            ValueError: *weight* is not from 0 to below 1.
        """
        if not 0 <= weight < 1:
            raise ValueError(f"weight: {weight!r} is not allowed. Expected: from 0 to below 1.")
        if weight == 0:
            return array("d", self.y)
        numbers: Any = list(filter(math.isfinite, self.y)) if self.has_odd else self.y
        rest = 1 - weight
        sums = array("d", accumulate(numbers, lambda before, value: weight * before + rest * value, initial=0.0))[1:]
        share = 1.0
        for at in range(len(sums)):
            share *= weight
            if share < 1e-17:  # from here on, the average has forgotten that it began at 0
                break
            sums[at] /= 1 - share
        return self._at_finite(sums) if self.has_odd else sums

    def _at_finite(self, found: array[float]) -> array[float]:
        """Return the values of *found*, one for each finite value, for all points; others get that before them."""
        last, left, column = math.nan, iter(found), array("d")
        for value in self.y:
            if math.isfinite(value):
                last = next(left)
            column.append(last)
        return column

    def window(self, start: float | None = None, end: float | None = None, max_points: int = 800) -> Window:
        """
        Return the part from *start* to *end*, with one point to either side so that a line reaches the edges.

        If it has more than *max_points* points, it is split into parts of equal width on the axis, and of each the
        lowest and the highest point stay, and the first that is not finite: a plot of it looks the same.

        Raises:
            ValueError: *max_points* is less than eight.
        """
        if max_points < FEWEST:
            raise ValueError(f"max_points: {max_points!r} is too small. Expected: at least {FEWEST}.")
        x = self.x
        first = bisect_left(x, start) if start is not None else 0
        behind = bisect_right(x, end) if end is not None else len(x)
        behind = max(first, behind)
        begin, stop = max(0, first - 1), min(len(x), behind + 1)
        if behind - first <= max_points:
            return Window(self, range(begin, stop), first, behind)
        kept = self._thinned(first, behind, max_points)
        outside = [[begin] if begin < first else [], [behind] if stop > behind else []]
        return Window(self, [*outside[0], *kept, *outside[1]], first, behind)

    def tail(self, begin: int) -> Window:
        """Return all points from the one with the number *begin* on."""
        return Window(self, range(min(begin, len(self)), len(self)), min(begin, len(self)), len(self))

    def _thinned(self, first: int, behind: int, most: int) -> list[int]:
        parts = (most - 2) // (3 if self.has_odd else 2)
        kept = extremes_of(self.y, self._parts(first, behind, parts), math.isfinite if self.has_odd else None)
        return list(dict.fromkeys([first, *kept, behind - 1]))

    def _parts(self, first: int, behind: int, count: int) -> Iterator[tuple[int, int]]:
        """Yield the begin and end of parts of equal width on the axis; of as many points each if it has no width."""
        low, width = self.x[first], self.x[behind - 1] - self.x[first]
        by_number = not 0 < width < math.inf
        begin = first
        for part in range(1, count + 1):
            if part == count:
                stop = behind
            elif by_number:
                stop = first + (behind - first) * part // count
            else:
                stop = bisect_left(self.x, low + width * (part / count), begin, behind)
            if stop > begin:
                yield begin, stop
            begin = stop


@attrs.frozen(eq=False)
class Window:
    """
    A part of a curve for a chart.

    `indices` are the points that stay, `first` and `behind` the bounds of those that are within the range; the points
    that stay may be one more to either side.
    """

    curve: Curve
    indices: Sequence[int]
    first: int
    behind: int

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def count(self) -> int:
        """The number of points within the range."""
        return self.behind - self.first

    def taken(self, column: Column) -> array[float]:
        """Return the values of *column*, which has one for each point of the curve, at the points that stay."""
        return array("d", map(column.__getitem__, self.indices))

    @property
    def x(self) -> array[float]:
        """The axis values of the points that stay."""
        return self.taken(self.curve.x)

    @property
    def y(self) -> array[float]:
        """The values of the points that stay; NaN for those that are not finite, which are a gap in the line."""
        found = self.taken(self.curve.y)
        if self.curve.has_odd:
            return array("d", [value if math.isfinite(value) else math.nan for value in found])
        return found

    @property
    def low_high(self) -> tuple[float, float] | None:
        """The lowest and the highest finite value within the range; None if there is none."""
        # Those of all points are among those that stay.
        kept = [self.curve.y[at] for at in self.indices if self.first <= at < self.behind]
        values = list(filter(math.isfinite, kept)) if self.curve.has_odd else kept
        return (min(values), max(values)) if values else None

    def odd(self) -> tuple[int, int, list[tuple[float, float]]]:
        """Return how many values within the range are NaN and how many infinite, and the first 50, as x and y."""
        if not self.curve.has_odd:
            return 0, 0, []
        values = self.curve.y[self.first : self.behind]
        flags = [not math.isfinite(value) for value in values]
        count, nans = sum(flags), sum(value != value for value in values)
        pairs = zip(self.curve.x[self.first : self.behind], values, strict=True)
        return nans, count - nans, list(islice(compress(pairs, flags), _MOST_ODD))


def _axis_of(series: Series, axis: Axis, start_time: float) -> tuple[str, Any]:
    match axis:
        case "own":
            return series.x_name, series.x
        case "step":
            return "step", series.steps
        case "epoch":
            return "epoch", series.epochs
        case "time":
            return "time", series.times
        case "relative":
            return "relative", array("d", [time - start_time for time in series.times])
    raise ValueError(f"axis: {axis!r} is not known. Allowed: {', '.join(_AXES)}.")


def _with_x(x: Any, values: Sequence[float]) -> tuple[Column, Column]:
    """Return x and y as buffers, without the points that have no x."""
    if isinstance(x, (memoryview, array)) and (form_of(x) == "q" or math.isfinite(sum(x))):
        return x, values
    mask = [value is not None and math.isfinite(value) for value in x]
    return array("d", compress(x, mask)), array("d", compress(values, mask))
