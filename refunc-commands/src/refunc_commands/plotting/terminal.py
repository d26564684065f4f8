"""Curves drawn with braille characters: two by four dots in each column of the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import attrs
from rich.text import Text

from refunc.values.quantities import figure

#: By row and column of a character's dots (Unicode, block U+2800).
_DOTS: Final = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
#: Larger values are drawn at this limit, so that the difference of two values is finite.
_FARTHEST: Final = 8e307
#: The digits that tell any two floats apart.
_MOST_DIGITS: Final = 17
COLORS: Final = ("cyan", "magenta", "yellow", "green", "blue", "red")


@attrs.frozen
class Curve:
    """
    Points to draw; x and y have the same length. Points that are not finite are left out.

    *color* is a number, the same for curves of one color; *is_joined* says whether lines join the points.
    """

    x: Sequence[float]
    y: Sequence[float]
    color: int = 0
    is_joined: bool = True


def chart(
    curves: Sequence[Curve], width: int, height: int, x_name: str, *, log: bool = False, log_x: bool = False
) -> list[Text]:
    """
    Return a chart of *width* columns and *height* lines, axes included.

    Args:
        log: A logarithmic y axis; values that are not above 0 are left out.
        log_x: A logarithmic x axis, likewise.
    """
    drawn = [_finite(curve, log, log_x) for curve in curves]
    points = [point for curve in drawn for point in curve]
    if not points:
        return [Text("no values to draw", "dim")]
    left, right = _span([x for x, _ in points])
    low, high = _span([y for _, y in points])
    labels = _labels([high, (high + low) / 2, low], log, 4)
    margin = max(map(len, labels))
    columns, rows = max(8, width - margin - 2), max(3, height - 2)
    canvas = [[0] * columns for _ in range(rows)]
    colors = [[""] * columns for _ in range(rows)]
    for curve, found in zip(curves, drawn, strict=True):
        spots = [
            (_cell(x, left, right, 2 * columns - 1), 4 * rows - 1 - _cell(y, low, high, 4 * rows - 1)) for x, y in found
        ]
        for column, row in _lines(spots) if curve.is_joined else spots:
            canvas[row // 4][column // 2] |= _DOTS[row % 4][column % 2]
            colors[row // 4][column // 2] = COLORS[curve.color % len(COLORS)]
    lines = []
    named = {0: labels[0], rows // 2: labels[1], rows - 1: labels[2]}
    for at, (cells, styles) in enumerate(zip(canvas, colors, strict=True)):
        line = Text(f"{named.get(at, ''):>{margin}} │", "dim")
        for dots, style in zip(cells, styles, strict=True):
            line.append(chr(0x2800 + dots) if dots else " ", style)
        lines.append(line)
    lines.append(Text(" " * margin + " └" + "─" * columns, "dim"))
    begin, end = _labels([left, right], log_x, 6)
    middle = x_name[: max(0, columns - len(begin) - len(end) - 2)].center(max(0, columns - len(begin) - len(end)))
    lines.append(Text(" " * (margin + 2) + begin + middle + end, "dim"))
    return lines


def _finite(curve: Curve, log: bool, log_x: bool) -> list[tuple[float, float]]:
    pairs = [(x, y) for x, y in zip(curve.x, curve.y, strict=True) if math.isfinite(x) and math.isfinite(y)]
    if log:
        pairs = [(x, math.log10(y)) for x, y in pairs if y > 0]
    return [(math.log10(x), y) for x, y in pairs if x > 0] if log_x else pairs


def _span(values: list[float]) -> tuple[float, float]:
    """Return the lowest and highest of *values*, made different, and with a finite difference."""
    low, high = min(values), max(values)
    if low == high:
        room = abs(low) / 2 or 0.5
        low, high = low - room, high + room
    return max(low, -_FARTHEST), min(high, _FARTHEST)


def _labels(values: list[float], log: bool, digits: int) -> list[str]:
    """Return *values* with at least so many significant digits, and as many more as tell them apart."""
    labels = [_label(value, log, digits) for value in values]
    if len(set(labels)) == len(set(values)) or digits == _MOST_DIGITS:
        return labels
    return _labels(values, log, digits + 1)


def _label(value: float, log: bool, digits: int) -> str:
    if log and abs(value) > 300:  # the power may not fit in a float
        return f"1e{value:.0f}"
    return figure(10**value if log else value, digits)


def _cell(value: float, low: float, high: float, size: int) -> int:
    return round((min(max(value, low), high) - low) / (high - low) * size)


def _lines(spots: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the dots of the lines between successive spots; a jump back in x begins a new line."""
    dots = spots[:1]
    for (x0, y0), (x1, y1) in pairwise(spots):
        steps = max(abs(x1 - x0), abs(y1 - y0)) if x1 >= x0 else 0
        dots += [(round(x0 + (x1 - x0) * n / steps), round(y0 + (y1 - y0) * n / steps)) for n in range(1, steps)]
        dots.append((x1, y1))
    return dots
