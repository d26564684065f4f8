"""
Curves that are thinned out while they are read.

Ten million points of a metric are 240 MB of steps, values and times. For a plot of them, the index gives one part after
another, and only the points that stay are kept.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from typing import Any

import attrs

from refunc.runs.column import form_of
from refunc.runs.extremes import extremes
from refunc.runs.points import COLUMNS, Points, appended
from refunc.runs.series import FEWEST, Series


@attrs.frozen
class Thinned:
    """At most so many points of a metric, as by `Series.downsample`; of how many, and how many are not finite."""

    series: Series
    of: int
    odd: int


def checked(max_points: int) -> int:
    """Return *max_points*. Raises ValueError if they are too few to show a curve."""
    if max_points < FEWEST:
        raise ValueError(f"max_points: {max_points!r} is too small. Expected: at least {FEWEST}.")
    return max_points


def thinned(series: Series, max_points: int) -> Thinned:
    """Return *series* thinned out. Raises ValueError; see `checked`."""
    return Thinned(series.downsample(checked(max_points)), len(series), _odd(series.values))


def thinned_parts(parts: Iterable[Points], count: int, max_points: int) -> tuple[Points, int]:
    """Return the points that stay of consecutive *parts* with *count* points in all, and how many are not finite."""
    kept: list[Points] = []
    odd = 0
    for part in parts:
        share = max(FEWEST, max_points * len(part.values) // count)
        odd += _odd(part.values)
        kept.append(part if len(part.values) <= share else _taken(part, extremes(part.values, share)))
    found = appended(kept)
    if len(found.values) > max_points:  # of many small parts
        found = _taken(found, extremes(found.values, max_points))
    return found, odd


def _odd(values: Iterable[float]) -> int:
    values = list(values)
    return 0 if math.isfinite(sum(values)) else len(values) - sum(map(math.isfinite, values))


def _taken(points: Points, indices: list[int]) -> Points:
    columns: dict[str, Any] = {name: getattr(points, name) for name in COLUMNS}
    taken: dict[str, Any] = {
        name: array(form_of(column), map(column.__getitem__, indices))
        for name, column in columns.items()
        if len(column)
    }
    return attrs.evolve(points, **taken)
