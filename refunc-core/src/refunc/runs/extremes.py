"""
The points of a curve that a plot of it needs: of each part the lowest and the highest, and the first that has none.

There is one way of taking them, and two of making parts. A series may have no axis, and be read piece by piece, so its
parts have equally many points. A chart has an axis, on which its parts are equally wide; see `Curve.window`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

#: Says of a value whether a plot can show it: whether it is finite, or is not NaN.
IsShown = Callable[[float], bool]


def is_number(value: float) -> bool:
    """Whether *value* is not NaN."""
    return value == value


def extremes(values: Sequence[float], count: int) -> list[int]:
    """
    Return at most *count* indices: of the first and last of *values*, and of the extremes of equal parts.

    Each part is searched by `min`, `max` and `index`: ten million values take a second.
    """
    has_nan = math.isnan(sum(values)) and not all(map(is_number, values))
    parts = (count - 2) // (3 if has_nan else 2)
    bounds = [len(values) * part // parts for part in range(parts + 1)]
    kept = extremes_of(values, pairwise(bounds), is_number if has_nan else None)
    return sorted({0, len(values) - 1, *kept})


def extremes_of(values: Sequence[float], parts: Iterable[tuple[int, int]], is_shown: IsShown | None) -> Iterator[int]:
    """
    Yield the indices that stay of each of *parts*, given by begin and end, in their order.

    Args:
        is_shown: None if each value can be shown.
    """
    for begin, end in parts:
        piece = list(values[begin:end])
        is_whole = is_shown is None or is_shown(sum(piece))
        numbers = piece if is_shown is None or is_whole else list(filter(is_shown, piece))
        kept = {piece.index(min(numbers)), piece.index(max(numbers))} if numbers else set[int]()
        if is_shown is not None and len(numbers) < len(piece):
            kept.add(next(at for at, value in enumerate(piece) if not is_shown(value)))
        for at in sorted(kept):
            yield begin + at
