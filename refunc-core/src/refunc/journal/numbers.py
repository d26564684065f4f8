"""
The sequence numbers of a writer that were read: a line that appears twice is read once, and gaps are counted.

Numbers are nearly always consecutive, so they are kept as ranges: one for a whole journal, and one more for each gap. A
line made by other software may have any number; that adds one range, and does not hide lines with other numbers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from refunc.values.jsonable import INT64_MAX

#: Ranges that are kept. If there are more, half of them are forgotten, the shortest first. A duplicate of a line in
#: such a range is read twice: bounded memory cannot both read every line and exclude every duplicate.
MAX_RANGES = 1_000

_NEVER = 1 << 200


class Numbers:
    """The numbers read so far. When reading backwards, they are passed negated, so that they rise too."""

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        """
        Args:
            ranges: The `ranges` of an earlier object.
        """
        known = sorted(ranges) or [(0, 0)]
        self._begins = [begin for begin, _ in known]
        self._ends = [end for _, end in known]
        self._forgotten = self._top = 0
        #: The range that grew last, the number after it, and the start of the next range.
        self._at = self._next = self._limit = 0
        self._stand(len(known) - 1)

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """The numbers read, as ranges, lowest first; each range is its first number and the one after its last."""
        return tuple(zip(self._begins, self._ends, strict=True))

    @property
    def missing(self) -> int:
        """How many numbers from 0 to the highest were not read."""
        return max(self._top, self._ends[-1]) - self._forgotten - sum(self._ends) + sum(self._begins)

    def take(self, number: int) -> bool:
        """Add *number*; whether it is new."""
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

    def take_all(self, numbers: list[int]) -> bool:
        """Add *numbers*, one or more, if they follow each other and `take_range` takes them; whether it did."""
        begin, end = numbers[0], numbers[0] + len(numbers)
        return numbers == list(range(begin, end)) and self.take_range(begin, end)

    def are_new(self, begin: int, end: int) -> bool:
        """Whether the numbers from *begin* to before *end* are expected next, or are above all that were read."""
        is_next = begin == self._next and end <= self._limit
        return (is_next or begin > self._ends[-1]) and end <= INT64_MAX + 1

    def take_range(self, begin: int, end: int) -> bool:
        """Add the numbers from *begin* to before *end*, if they `are_new`; whether they are."""
        if not self.are_new(begin, end):
            return False
        if begin != self._next:
            self.take(begin)
        self._ends[self._at] = self._next = end
        if end == self._limit:
            self._stand(self._at)
        return True

    def _stand(self, at: int) -> None:
        """Expect the number after the range *at*, and join it with the next range if it has reached that."""
        if at + 1 < len(self._begins) and self._ends[at] == self._begins[at + 1]:
            del self._ends[at], self._begins[at + 1]
        self._at, self._next = at, self._ends[at]
        self._limit = self._begins[at + 1] if at + 1 < len(self._begins) else _NEVER

    def _forget(self, at: int) -> int:
        """Forget the shorter half, except the range *at*, and return that range's new index."""
        self._top = max(self._top, self._ends[-1])
        lengths = [end - begin for begin, end in self.ranges]
        by_length = sorted(range(len(lengths)), key=lambda index: (index == at, lengths[index], index))
        kept = sorted(by_length[len(by_length) // 2 :])
        self._forgotten += sum(lengths) - sum(lengths[index] for index in kept)
        self._begins = [self._begins[index] for index in kept]
        self._ends = [self._ends[index] for index in kept]
        return kept.index(at)
