"""When a loop that has no terminal writes its next line."""

from __future__ import annotations

import math


class Pace:
    """
    When the next line is due without a terminal.

    At each tenth of the total, and after 30 s without a line, then 60 s, up to 10 minutes; two lines are a second
    apart, so a short loop has its last line only. It is asked again when the count reaches the number that it returned
    last: an update compares two numbers, and does not read the clock.
    """

    CLOSEST, FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0, 600.0

    def __init__(self, total: float | None, initial: float, now: float) -> None:
        self._total = total or math.inf
        self._initial = initial
        self._next_share = self._share_after(initial)
        self._wait = self.FIRST_WAIT
        self._said = now
        self._looked = (initial, now)

    def look(self, completed: float, now: float) -> tuple[bool, float]:
        """Return whether a line is due now, and the count at which to ask again."""
        quiet = now - self._said
        by_share = self._next_share <= completed < self._total and quiet >= self.CLOSEST
        by_time = quiet >= self._wait
        if by_share or by_time:
            self._said = now
            self._next_share = self._share_after(completed)
        if by_time and not by_share:
            self._wait = min(2 * self._wait, self.LONGEST_WAIT)
        return by_share or by_time, self._next_look(completed, now)

    def _next_look(self, completed: float, now: float) -> float:
        """About a second ahead at the present rate, but at most twice as far as now: the first steps may mislead."""
        count, moment = self._looked
        self._looked = (completed, now)
        ahead = completed - self._initial
        if now > moment:
            ahead = min(ahead, (completed - count) / (now - moment) * self.CLOSEST)
        look = completed + max(ahead, 0)
        return min(look, self._next_share) if self._next_share > completed else look

    def _share_after(self, completed: float) -> float:
        """The next tenth after *completed*; the last one belongs to the line at the end."""
        number = math.floor(10 * completed / self._total) + 1
        return number * self._total / 10 if number < 10 else math.inf
