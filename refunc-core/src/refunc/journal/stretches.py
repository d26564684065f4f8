"""
Stretches of a segment: ranges of its bytes that have lines of metrics only.

A reader that has decoded a segment knows them. A search for other lines passes over them without reading them, so that
it costs as much as there are other lines, and not as much as there are points.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

import attrs

#: The start and the end of each stretch, in order; both are the beginning of a line.
Stretches = Sequence[tuple[int, int]]

#: A shorter stretch is read as quickly as it is passed over.
_LEAST: Final = 16 << 10


def _no_pairs() -> list[tuple[int, int]]:
    return []


@attrs.define
class Found:
    """The stretches of a segment that were found so far."""

    pairs: list[tuple[int, int]] = attrs.Factory(_no_pairs)

    def add(self, start: int, end: int) -> None:
        """Add a stretch behind all others, or the rest of the last one."""
        if self.pairs:
            first, last = self.pairs[-1]
            if last == start:
                self.pairs[-1] = first, end
                return
            if last - first < _LEAST:
                self.pairs[-1] = start, end
                return
        self.pairs.append((start, end))


def first_after(stretches: Stretches, offset: int) -> tuple[int, int] | None:
    """Return the stretch that holds the byte at *offset*, or else the next one; None if there is none."""
    at = bisect_right(stretches, offset, key=_end_of)
    return stretches[at] if at < len(stretches) else None


def last_before(stretches: Stretches, offset: int) -> tuple[int, int] | None:
    """Return the last stretch that begins before *offset*; None if there is none."""
    at = bisect_right(stretches, offset - 1, key=_start_of)
    return stretches[at - 1] if at else None


def _start_of(stretch: tuple[int, int]) -> int:
    return stretch[0]


def _end_of(stretch: tuple[int, int]) -> int:
    return stretch[1]
