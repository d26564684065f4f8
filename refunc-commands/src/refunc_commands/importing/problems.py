"""The damaged and left-out parts of a source; all failures of readers are turned into such problems here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import attrs

from refunc.outlets.foreign import one_line

Read = TypeVar("Read")

#: The most kinds of problems of one run that are listed; further ones are only counted.
_MOST_KINDS = 1_000
_LONGEST_REASON = 300


class SourceError(Exception):
    """A source, or a part of it, that cannot be read; the text says why and how to fix it."""


@attrs.define
class Problems:
    """
    The damaged, torn and left-out parts of one run: each kind with its count, in the order found.

    `left_out` counts whole runs and files that are not in the store; it does not count damage inside them.
    """

    counts: dict[str, int] = attrs.Factory(dict)
    left_out: int = 0
    further: int = 0

    def add(self, problem: str) -> None:
        """Count *problem*."""
        if problem in self.counts or len(self.counts) < _MOST_KINDS:
            self.counts[problem] = self.counts.get(problem, 0) + 1
        else:
            self.further += 1

    def leave_out(self, name: object, reason: str) -> None:
        """Count a run or file *name* that was left out."""
        self.left_out += 1
        self.add(f"{name} was left out: {reason}")

    def take(self, other: Problems) -> None:
        """Add the counts of *other*."""
        for problem, count in other.counts.items():
            self.add(problem)
            if problem in self.counts:
                self.counts[problem] += count - 1
        self.left_out += other.left_out
        self.further += other.further

    def lines(self) -> list[str]:
        """Return one line per kind."""
        lines = [text if count == 1 else f"{text} ({count:,} times)" for text, count in self.counts.items()]
        return [*lines, f"{self.further:,} further problems"] if self.further else lines


def attempted(read: Callable[[], Read], leave_out: Callable[[str], None]) -> Read | None:
    """
    Return the result of *read* for one part of a source; if it fails, call *leave_out* with the reason.

    A source is untrusted input, so its readers may fail in unforeseen ways. So this catches any exception: only the
    part that cannot be read is lost, and never the rest.
    """
    try:
        return read()
    except Exception as error:
        leave_out(reason_of(error))
        return None


def reason_of(error: Exception) -> str:
    """Return in one line why something could not be read."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, MemoryError):
        return "it needs more memory than is available"
    if not isinstance(error, (SourceError, OSError, ValueError)) or isinstance(error, UnicodeError):
        return one_line(error)
    text = " ".join(str(error).split())
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}…"
