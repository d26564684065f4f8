"""
Which sequence numbers of a writer were met: a line that is there twice is read once, and holes are counted.

Numbers come one behind the other nearly always, so they are kept as ranges: one for a whole journal, one more for each
hole. Who can seal a line can give it any number; that is one more range, and hides no line that has another.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

#: Ranges that are kept. Of more, half are forgotten, the shortest first; if a line of such a range is there twice, it
#: is read twice, for to read no line twice and to miss none is more than a bounded memory can do.
MAX_RANGES = 1_000

_NEVER = 1 << 200


class Numbers:
    """The numbers met so far. Read backwards, they are given negated, so that they rise there too."""

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        """
        Args:
            ranges: What `ranges` of an earlier object was.
        """
        known = sorted(ranges) or [(0, 0)]
        self._begins = [begin for begin, _ in known]
        self._ends = [end for _, end in known]
        self._forgotten = self._top = 0
        #: The range that grew last, the number behind it, and where the next range begins.
        self._at = self._next = self._limit = 0
        self._stand(len(known) - 1)

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """The numbers met, lowest first, each range as its first number and the one behind its last."""
        return tuple(zip(self._begins, self._ends, strict=True))

    @property
    def missing(self) -> int:
        """How many numbers from 0 to the highest met were not met."""
        return max(self._top, self._ends[-1]) - self._forgotten - sum(self._ends) + sum(self._begins)

    def take(self, number: int) -> bool:
        """Whether *number* is met for the first time."""
        if number == self._next:
            self._ends[self._at] = self._next = number + 1
            if self._next == self._limit:
                self._stand(self._at)
            return True
        at = bisect_right(self._begins, number) - 1
        if at >= 0 and number < self._ends[at]:
            return False
        if at >= 0 and number == self._ends[at]:
            self._ends[at] += 1
        else:
            at += 1
            self._begins.insert(at, number)
            self._ends.insert(at, number + 1)
            if len(self._begins) > MAX_RANGES:
                at = self._forget(at)
        self._stand(at)
        return True

    def take_next(self, numbers: list[int]) -> bool:
        """Take *numbers* if they are those expected next, one behind the other; whether they were."""
        begin, end = self._next, self._next + len(numbers)
        if end > self._limit or numbers != list(range(begin, end)):
            return False
        self._ends[self._at] = self._next = end
        if end == self._limit:
            self._stand(self._at)
        return True

    def _stand(self, at: int) -> None:
        """Expect the number behind the range *at*, which takes in the next one where it has reached it."""
        if at + 1 < len(self._begins) and self._ends[at] == self._begins[at + 1]:
            del self._ends[at], self._begins[at + 1]
        self._at, self._next = at, self._ends[at]
        self._limit = self._begins[at + 1] if at + 1 < len(self._begins) else _NEVER

    def _forget(self, at: int) -> int:
        """Forget the shorter half, but for the range *at*, and return where that is then."""
        self._top = max(self._top, self._ends[-1])
        lengths = [end - begin for begin, end in self.ranges]
        by_length = sorted(range(len(lengths)), key=lambda index: (index == at, lengths[index], index))
        kept = sorted(by_length[len(by_length) // 2 :])
        self._forgotten += sum(lengths) - sum(lengths[index] for index in kept)
        self._begins = [self._begins[index] for index in kept]
        self._ends = [self._ends[index] for index in kept]
        return kept.index(at)
