"""A number that threads and signal handlers increase without a lock."""

from __future__ import annotations

import itertools


class Count:
    """How many, so far."""

    __slots__ = ("_next", "add")

    def __init__(self) -> None:
        self._next = itertools.count()
        #: Counts one. Atomic, unlike `+= 1`, and fast, for calls that each drop a record.
        self.add = self._next.__next__

    @property
    def value(self) -> int:
        """The number."""
        # Its repr shows the number without advancing it; its `__reduce__` is gone from Python 3.14 on.
        return int(repr(self._next)[len("count(") : -1])
