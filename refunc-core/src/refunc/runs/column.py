"""Columns of numbers: steps or epochs, as int64 or float64, each of which may be missing, and numbers of rows."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

#: The value for a missing step or epoch: a number beyond any count, and NaN among fractions.
NOTHING: Final = -(1 << 63)
#: A step or an epoch, None for a missing one.
AxisValue: TypeAlias = int | float | None
#: A column of steps or epochs: int64 while all are whole, else float64.
AxisColumn: TypeAlias = Any
#: Numbers of rows, ascending: a range while they follow each other, as they do if all metrics are logged together.
RowNumbers: TypeAlias = "range | array[int]"


def form_of(column: Any) -> str:
    """Return the type of a column: `q`, int64, or `d`, float64."""
    form: str = column.format if isinstance(column, memoryview) else column.typecode
    return form


def fractions(column: Iterable[float]) -> array[float]:
    """Return a column of int64 as one of float64, rounded where necessary."""
    return array("d", [math.nan if number == NOTHING else number for number in column])


def extended(column: AxisColumn, new: AxisColumn) -> AxisColumn:
    """Return *column*, changed in place, with *new* appended; float64 if one of them is."""
    if column.typecode != new.typecode:
        column, new = (each if each.typecode == "d" else fractions(each) for each in (column, new))
    column.extend(new)
    return column


def numbered(rows: RowNumbers, row: int, count: int) -> RowNumbers:
    """Return *rows*, an array changed in place, with *count* numbers from *row* on appended."""
    if not len(rows):
        return range(row, row + count)
    if isinstance(rows, range) and rows.stop == row:
        return range(rows.start, row + count)
    found = array("q", rows) if isinstance(rows, range) else rows
    found.extend(array("q", list(range(row, row + count))))  # a list takes a fourth of the time of a range
    return found


def axis_value(number: int | float) -> AxisValue:
    """Return a value of a column of steps or epochs, None for a missing one."""
    if isinstance(number, int):
        return None if number == NOTHING else number
    return None if number != number else int(number) if number.is_integer() else number


def column_of(numbers: list[Any]) -> AxisColumn:
    """Return steps or epochs as a column; too large ones become missing."""
    try:
        return array("q", numbers)
    except (TypeError, OverflowError):
        pass
    found = [_whole(number) for number in numbers]
    try:
        return array("q", found)
    except TypeError:  # fractions
        return fractions(found)


def _whole(number: AxisValue) -> int | float:
    """Return a step or epoch, as an int if it is whole; NOTHING if it is missing or does not fit in 64 bits."""
    if isinstance(number, float):
        number = int(number) if number.is_integer() else number
    return number if number is not None and abs(number) < -NOTHING else NOTHING


def float_of(value: float | None) -> float:
    """Return a value of a metric for a column of values: NaN if it is missing, infinity if it is too large."""
    try:
        return float(value) if value is not None else math.nan
    except OverflowError:
        return math.inf if value > 0 else -math.inf  # type: ignore[operator]  # None is handled above
