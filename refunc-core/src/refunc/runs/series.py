"""One metric's points as columns, and conversions to arrays and tables of other libraries."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import attrs

from refunc.runs.column import AxisValue
from refunc.runs.extremes import extremes
from refunc.runs.packages import needed

#: The fewest points of a thinned-out curve: both ends, the lowest, the highest, and a NaN.
FEWEST = 5
#: The columns of whole numbers, by their names in tables.
_WHOLE: Final = {"step": "steps", "epoch": "epochs", "rank": "ranks", "attempt": "attempts"}


def floats(values: Iterable[float]) -> Sequence[float]:
    """Return *values* as a read-only buffer of float64."""
    if isinstance(values, memoryview):
        return values
    return memoryview(values if isinstance(values, array) else array("d", values)).toreadonly()


def axis_values(values: Iterable[AxisValue]) -> Sequence[AxisValue]:
    """Return *values* as a read-only buffer of int64, of float64 if one has a fraction; as a list if one is None."""
    if isinstance(values, memoryview):
        return values
    if isinstance(values, array):
        return memoryview(values).toreadonly()
    given = list(values)
    known: list[Any] = [number for number in given if number is not None]
    if len(known) < len(given):
        return given
    try:
        return memoryview(array("q", known)).toreadonly()
    except TypeError:
        return memoryview(array("d", known)).toreadonly()


@attrs.frozen(eq=False)
class Series:
    """
    The points of one metric, in the order in which they were logged; several may have the same step.

    The columns have the same length, and are read-only buffers (`memoryview`) of int64 and float64, which numpy uses
    without a copy. `steps` are whole numbers, or floats if one of them has a fraction; if a point has no step, they are
    a list with None for it. The same holds for `epochs`, which are empty if no point has an epoch. `times` are in
    seconds since 1970.

    `ranks` and `attempts` are those of the points; they are empty unless those of all ranks, or of all attempts, were
    asked for.

    `x` is the axis for drawing the values: the steps, or the values of the metric `x_name` that `define_metric` chose;
    NaN if that had no value yet.
    """

    name: str
    steps: Sequence[AxisValue] = attrs.field(converter=axis_values)
    values: Sequence[float] = attrs.field(converter=floats)
    times: Sequence[float] = attrs.field(converter=floats)
    epochs: Sequence[AxisValue] = attrs.field(converter=axis_values, default=())
    x_name: str = "step"
    _x: Sequence[float | None] | None = attrs.field(default=None, alias="x")
    ranks: Sequence[AxisValue] = attrs.field(converter=axis_values, default=(), kw_only=True)
    attempts: Sequence[AxisValue] = attrs.field(converter=axis_values, default=(), kw_only=True)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy columns without buffers, which cannot be pickled."""
        columns = (self.steps, self.values, self.times, self.epochs, self._x, self.ranks, self.attempts)
        return _series_of, (self.name, self.x_name, *map(_without_buffer, columns))

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[tuple[AxisValue, float]]:
        """Yield (step, value)."""
        return zip(self.steps, self.values, strict=True)

    def __repr__(self) -> str:
        if not len(self):
            return f"Series({self.name!r}, no points)"
        return (
            f"Series({self.name!r}, {len(self):,} points, step {self.steps[0]} to {self.steps[-1]}, last {self.last:g})"
        )

    @property
    def x(self) -> Sequence[float | None]:
        """The axis for drawing the values, of the same length; see the class."""
        return self.steps if self._x is None else self._x

    @property
    def first(self) -> float | None:
        """The first value; None without points."""
        return self.values[0] if len(self) else None

    @property
    def last(self) -> float | None:
        """The last value, which may be NaN; None without points."""
        return self.values[-1] if len(self) else None

    @property
    def min(self) -> float | None:
        """The lowest value, ignoring NaN; None without values."""
        return min(self._numbers(), default=None)

    @property
    def max(self) -> float | None:
        """The highest value, ignoring NaN; None without values."""
        return max(self._numbers(), default=None)

    @property
    def mean(self) -> float | None:
        """The mean of the values, ignoring NaN; None without values."""
        numbers = self._numbers()
        return sum(numbers) / len(numbers) if len(numbers) else None

    def _numbers(self) -> Sequence[float]:
        total = sum(self.values)
        return self.values if total == total else [value for value in self.values if value == value]

    def take(self, indices: Sequence[int]) -> Series:
        """Return the points at *indices*."""

        def taken(column: Sequence[Any] | None) -> Any:
            return [column[index] for index in indices] if column else column

        return Series(
            self.name,
            taken(self.steps),
            taken(self.values),
            taken(self.times),
            taken(self.epochs),
            x_name=self.x_name,
            x=taken(self._x),
            ranks=taken(self.ranks),
            attempts=taken(self.attempts),
        )

    def numbered(self) -> Series:
        """Return the series itself; if no point has an x, a series with the points' numbers as x, called `point`."""
        if any(value is not None and value == value for value in self.x):
            return self
        return attrs.evolve(self, x=range(len(self)), x_name="point")

    def downsample(self, max_points: int) -> Series:
        """
        Return at most *max_points* of the points, in their order, so that a plot of them looks the same.

        The first and the last point are kept. The rest is split into as many equal parts as fit, and of each the
        lowest, the highest, and the first NaN are kept. A series that is short enough is returned unchanged.

        Raises:
            ValueError: *max_points* is less than five.
        """
        if max_points < FEWEST:
            raise ValueError(f"max_points: {max_points!r} is too small. Expected: at least {FEWEST}.")
        return self if len(self) <= max_points else self.take(extremes(self.values, max_points))

    def against(self, other: Series) -> Series:
        """Return this series with the values of *other* as its `x`: for each point, the latest value until then."""
        order = sorted(range(len(other)), key=other.times.__getitem__)
        times = [other.times[index] for index in order]
        found = (bisect_right(times, time) - 1 for time in self.times)
        return attrs.evolve(
            self, x=floats(other.values[order[at]] if at >= 0 else math.nan for at in found), x_name=other.name
        )

    # -- for other libraries -----------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, list[Any]]:
        """
        Return the columns `step`, `value`, `time`, those of `epoch`, `rank` and `attempt` that there are, and that of
        `x_name`, as lists.
        """
        return {name: list(column) for name, column in self._columns().items()}

    def to_numpy(self) -> tuple[Any, Any]:
        """
        Return steps and values as arrays, without a copy.

        Values are float64, steps int64, or float64 if one has a fraction or is missing (NaN; then it is a copy).
        """
        numpy = needed("numpy", "to_numpy()")
        if isinstance(self.steps, memoryview):
            steps = numpy.frombuffer(self.steps, dtype=_dtype(self.steps))
        else:
            steps = numpy.array([math.nan if step is None else step for step in self.steps], dtype="float64")
        return steps, numpy.frombuffer(self.values, dtype="float64")

    def to_pandas(self) -> Any:
        """
        Return a pandas DataFrame with the columns of `to_dict`.

        Columns of steps or epochs with missing values are `Int64`, or `Float64` if one has a fraction.
        """
        pandas = needed("pandas", "to_pandas()")
        numpy = needed("numpy", "to_pandas()")
        kinds = {name: "Float64" if self._has_fractions(name) else "Int64" for name in _WHOLE}
        return pandas.DataFrame(
            {
                name: numpy.frombuffer(column, dtype=_dtype(column))
                if isinstance(column, memoryview)
                else pandas.array(column, dtype=kinds.get(name, "float64"))
                for name, column in self._columns().items()
            }
        )

    def to_polars(self) -> Any:
        """Return a polars DataFrame with the columns of `to_dict`."""
        polars = needed("polars", "to_polars()")
        kinds = {name: polars.Float64 if self._has_fractions(name) else polars.Int64 for name in _WHOLE}
        return polars.DataFrame(
            {
                name: polars.Series(name, _as_numpy(column), dtype=kinds.get(name, polars.Float64))
                for name, column in self._columns().items()
            }
        )

    def to_arrow(self) -> Any:
        """Return a pyarrow Table with the columns of `to_dict`."""
        pyarrow = needed("pyarrow", "to_arrow()")
        kinds = {name: pyarrow.float64() if self._has_fractions(name) else pyarrow.int64() for name in _WHOLE}
        columns = {}
        for name, column in self._columns().items():
            kind = kinds.get(name, pyarrow.float64())
            if isinstance(column, memoryview):
                columns[name] = pyarrow.Array.from_buffers(kind, len(column), [None, pyarrow.py_buffer(column)])
            else:
                if kind == pyarrow.float64():  # it takes no whole numbers beyond 2**53
                    column = [None if number is None else float(number) for number in column]
                columns[name] = pyarrow.array(column, kind)
        return pyarrow.table(columns)

    @property
    def has_fractions(self) -> bool:
        """Whether a step or an epoch is not a whole number."""
        return self._has_fractions("step") or self._has_fractions("epoch")

    def _has_fractions(self, name: str) -> bool:
        column: Any = getattr(self, _WHOLE[name])
        if isinstance(column, memoryview):
            return column.format == "d"
        return any(isinstance(number, float) for number in column)

    def _columns(self) -> dict[str, Any]:
        columns: dict[str, Any] = {"step": self.steps, "value": self.values, "time": self.times}
        columns |= {name: column for name in _WHOLE if name != "step" and len(column := getattr(self, _WHOLE[name]))}
        if self._x is not None:
            columns.setdefault(self.x_name, self._x)
        return columns


def _dtype(column: Any) -> str:
    return "float64" if column.format == "d" else "int64"


def _as_numpy(column: Any) -> Any:
    """Return *column* as an array without a copy, if numpy is installed."""
    try:
        import numpy
    except ImportError:
        return list(column)
    if isinstance(column, memoryview):
        return numpy.frombuffer(column, dtype=_dtype(column))
    return column


def _without_buffer(column: Sequence[Any] | None) -> Sequence[Any] | None:
    return array(column.format, column.tolist()) if isinstance(column, memoryview) else column


def _series_of(
    name: str, x_name: str, steps: Any, values: Any, times: Any, epochs: Any, x: Any, ranks: Any, attempts: Any
) -> Series:
    x = memoryview(x).toreadonly() if isinstance(x, array) else x
    return Series(name, steps, values, times, epochs, x_name=x_name, x=x, ranks=ranks, attempts=attempts)
