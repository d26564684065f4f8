"""The records of an outlet that are only in memory, and the choice of those that are dropped if there are too many."""

from __future__ import annotations

from collections import deque
from typing import Any

from refunc.outlets.count import Count

#: Records in memory before the calling thread drains a batch itself.
HIGH_WATER = 32_768


class BoundedQueue:
    """
    A deque, and its bound for the time in which its target takes nothing.

    It is not a `deque(maxlen=…)`: the bound is for callers to check, and rare records stay beyond it.
    """

    # The hot path reads these two: a slot is found at once, in a class with any number of other attributes.
    __slots__ = ("__dict__", "__weakref__", "high_water", "queue")

    def __init__(self, bound: int) -> None:
        self.queue: deque[Any] = deque()
        self.high_water = 0
        self._bound = bound
        self._reset()

    def _reset(self) -> None:
        """Start empty, in the constructor and in a forked child, where the queued records belong to the parent."""
        self.queue = deque()
        self.high_water = 0
        self._dropped = Count()
        self._has_dropped = False

    @property
    def waiting(self) -> int:
        """The number of records that are only in memory."""
        return len(self.queue)

    @property
    def dropped(self) -> int:
        """The number of records dropped so far."""
        return self._dropped.value

    def _shed(self) -> None:
        """Drop the newest record that may be dropped: the disk takes none, and memory is bounded."""
        try:
            item = self.queue.pop()
        except IndexError:  # another thread drained it
            return
        if self._is_kept(item) and len(self.queue) < 2 * self._bound:
            self.queue.append(item)
        else:
            self._drop(item)

    def _drop(self, item: Any) -> None:
        """Count *item*, which does not fit into memory."""
        self._has_dropped = True
        self._dropped.add()

    def _is_kept(self, item: Any) -> bool:
        """Whether *item* is worth more than the bound: rare records, such as params and a run's end."""
        return False
