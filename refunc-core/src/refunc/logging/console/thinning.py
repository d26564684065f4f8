"""How often points of one set of metrics are shown if not all are: the first ones, then by the clock."""

from __future__ import annotations

from typing import Any

#: Points of a set that are always shown: metrics that are logged once an epoch are never thinned.
FREE = 20
#: Seconds between two points in a text log file, after those.
INTERVAL = 10.0


class Thinned:
    """Which points of one set of metrics a text log file has, by the time at which they were logged."""

    __slots__ = ("due", "last", "left_out", "shown")

    def __init__(self) -> None:
        self.shown = 0
        self.due = 0.0
        #: How many points were left out since one was shown, and the last of them.
        self.left_out = 0
        self.last: Any = None

    def leaves_out(self, moment: float) -> bool:
        """Whether a point at *moment*, in seconds since 1970, is left out; none is by a clock that was set back."""
        return self.shown >= FREE and self.due - INTERVAL <= moment < self.due

    def leave_out(self, rows: list[Any]) -> None:
        """Leave *rows* out, oldest first."""
        self.left_out += len(rows)
        self.last = rows[-1]

    def show(self, moment: float) -> int:
        """Count a point at *moment* as shown; return how many were left out before it."""
        left_out, self.left_out, self.last = self.left_out, 0, None
        self.shown += 1
        self.due = moment + INTERVAL
        return left_out
