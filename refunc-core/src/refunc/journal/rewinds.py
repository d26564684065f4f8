"""Where attempts went back to, and which points of earlier attempts no longer count."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

Number = int | float


class ResumePoint(NamedTuple):
    """Where an attempt goes on: a step, and its epoch, None if that is not known."""

    step: Number
    epoch: Number | None = None

    def is_before(self, step: Number, epoch: Number | None) -> bool:
        """
        Whether a point with that step and epoch lies behind this one.

        The epoch decides if both have one: in many trainings, steps begin again in each epoch.
        """
        if epoch is not None and self.epoch is not None and epoch != self.epoch:
            return epoch > self.epoch
        return step > self.step


class Rewinds:
    """The points that attempts went back to."""

    def __init__(self, found: Iterable[tuple[int, ResumePoint]] = ()) -> None:
        """
        Args:
            found: Attempts, each with a point that it went back to.
        """
        self._points: dict[int, list[ResumePoint]] = {}
        for attempt, point in found:
            self._points.setdefault(attempt, []).append(point)

    def step_of(self, attempt: int) -> Number | None:
        """Return the lowest step that *attempt* went back to; None if it did not."""
        return min((point.step for point in self._points.get(attempt, ())), default=None)

    def behind(self, attempt: int) -> list[ResumePoint]:
        """Return the points that attempts after *attempt* went back to."""
        return [point for later, points in self._points.items() if later > attempt for point in points]

    def hide(self, attempt: int, step: Number | None, epoch: Number | None) -> bool:
        """Whether a later attempt has taken the place of a point of *attempt*; False for one without a step."""
        return step is not None and any(point.is_before(step, epoch) for point in self.behind(attempt))
