"""Curves that were drawn lately: zooming asks for the same points again and again."""

from __future__ import annotations

import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Final

import attrs

from refunc.runs.curve import Curve

#: The most bytes of points that are kept.
_MOST_BYTES: Final = 40 << 20


@attrs.define(eq=False)
class Part:
    """A curve of one rank and attempt, with what a header says of its points; `cursor` is the place behind them."""

    rank: int | None
    attempt: int | None
    curve: Curve
    count: int
    last: float | None
    cursor: str
    _smoothed: tuple[float, array[float]] | None = attrs.field(default=None, init=False)

    def smoothed(self, weight: float) -> array[float]:
        """Return the moving average, that of the last weight without work."""
        known = self._smoothed
        if known is None or known[0] != weight:
            known = self._smoothed = weight, self.curve.smoothed(weight)
        return known[1]

    @property
    def size(self) -> int:
        """The bytes of its points, with those of an average."""
        return 24 * len(self.curve) + 500


class KeptCurves:
    """The curves of runs, by what was asked for, as long as their runs are unchanged and there is room."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[object, Sequence[Part], int]] = OrderedDict()
        self._size = 0

    def get(self, key: Hashable, state: object, make: Callable[[], Sequence[Part]]) -> Sequence[Part]:
        """Return the curves of *key*, made again if the *state* of their run is another."""
        with self._lock:
            known = self._kept.get(key)
            if known is not None and known[0] == state:
                self._kept.move_to_end(key)
                return known[1]
        made = make()
        size = sum(part.size for part in made)
        with self._lock:
            self._drop(key)
            if size <= self._most_bytes:
                self._kept[key] = state, made, size
                self._size += size
            while self._size > self._most_bytes:
                self._drop(next(iter(self._kept)))
        return made

    def _drop(self, key: Hashable) -> None:
        known = self._kept.pop(key, None)
        if known is not None:
            self._size -= known[2]
