"""Records that are kept in memory only, within bounds: lines that wait for a run, and records that are in no run."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from refunc.journal.line import MESSAGE, QueuedLine
from refunc.outlets.count import Count
from refunc.values.texts import MAX_TEXT, text

#: How many records are kept, and about how many bytes of text in them.
MAX_RECORDS = 1_000
MAX_BYTES = 8 << 20
#: About how many bytes a record takes besides its texts.
_EACH = 200


class Kept(NamedTuple):
    """A record that is in no run's folder, with the run in memory that it belongs to."""

    item: Any
    run: Any


class Waiting:
    """The last records, as they were queued. `append` is atomic enough for threads, signal handlers and `__del__`."""

    def __init__(self) -> None:
        self.items: deque[Any] = deque(maxlen=MAX_RECORDS)
        self._weight = 0
        self._appended = Count()
        self._settled = 0

    def append(self, item: Any) -> None:
        """Keep *item*; the oldest ones are dropped if there is no room."""
        self._appended.add()
        if type(item) is tuple and len(item[MESSAGE]) > MAX_TEXT:
            item = tuple(QueuedLine._make(item)._replace(message=text(item[MESSAGE])))
        self.items.append(item)
        self._weight += weight_of(item)
        if self._weight > MAX_BYTES:
            self._shrink()

    def _shrink(self) -> None:
        weight = sum(map(weight_of, self.items.copy()))
        try:
            while weight > MAX_BYTES * 3 // 4 and len(self.items) > 1:
                weight -= weight_of(self.items.popleft())
        except IndexError:  # another thread took them
            weight = 0
        self._weight = weight

    def fallen_out(self) -> int:
        """Return how many were dropped since the last call; the caller takes the others."""
        appended = self._appended.value
        before, self._settled = self._settled, appended
        return max(0, appended - before - len(self.items))

    def clear(self) -> None:
        """Forget all."""
        self.items.clear()
        self.fallen_out()
        self._weight = 0


def weight_of(item: Any) -> int:
    """Return about how many bytes a queued record takes."""
    return _EACH + _length(item)


def _length(value: Any) -> int:
    kind = type(value)
    if kind is str:
        return len(value)
    if isinstance(value, Mapping):
        return 50 * len(value) + sum(map(_length, value)) + sum(map(_length, value.values()))
    if isinstance(value, (list, tuple)):
        return 10 * len(value) + sum(map(_length, value))
    return 0
