"""The time to wait before trying something again that has failed."""

from __future__ import annotations


class Backoff:
    """Seconds between tries: *first* after the first failure, twice as many after each further one, up to *last*."""

    __slots__ = ("_delay", "_first", "_last")

    def __init__(self, first: float, last: float) -> None:
        self._first, self._last = first, last
        self._delay = 0.0

    def failed(self, *, at_most: float | None = None) -> float:
        """Return how many seconds to wait after another failure."""
        self._delay = min(at_most or self._last, self._delay * 2 or self._first)
        return self._delay

    def reset(self) -> None:
        """Begin with *first* again after a success."""
        self._delay = 0.0


def delay_after(failures: int, first: float, last: float) -> float:
    """Return how many seconds to wait after this many failures in a row, for one that counts them elsewhere."""
    backoff, delay = Backoff(first, last), 0.0
    for _ in range(failures):
        delay = backoff.failed()
    return delay
