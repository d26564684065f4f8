"""What a reader of another tracker's files gives: runs, their records, and what of them could not be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import attrs

from refunc.journal import record as records


class SourceError(Exception):
    """A source that cannot be read at all; the text says why, and what would help."""


@attrs.define
class Problems:
    """What was damaged, torn or left out of one run: each kind with its count, in the order met."""

    counts: dict[str, int] = attrs.Factory(dict)

    def add(self, problem: str) -> None:
        """Count *problem*."""
        self.counts[problem] = self.counts.get(problem, 0) + 1

    def lines(self) -> list[str]:
        """Return one line a kind."""
        return [text if count == 1 else f"{text} ({count:,} times)" for text, count in self.counts.items()]


@attrs.frozen(kw_only=True)
class SourceRun:
    """
    One run of another tracker.

    `(tracker, id)` names it for good: by that a second import recognises it. Times are in seconds since 1970. A run
    without a `status` has no end in the source, and gets none here: it reads as crashed. `parent` is the id of another
    run of the same tracker. `records` yields params, tags, metrics, lines and artifacts, each artifact's `source` the
    place of a file; what it cannot read it adds to `problems`.
    """

    tracker: str
    id: str
    experiment: str
    name: str | None
    start_time: float
    end_time: float | None = None
    status: str | None = None
    error: str | None = None
    parent: str | None = None
    host: str | None = None
    python: str | None = None
    script: str | None = None
    place: Path
    records: Callable[[Problems], Iterable[records.Record]]


@attrs.define
class Counts:
    """How much a run, or several, are. A point is one value of one metric; a param one leaf of nested ones."""

    runs: int = 0
    params: int = 0
    tags: int = 0
    points: int = 0
    others: int = 0  # values logged as metrics that are no numbers
    lines: int = 0
    artifacts: int = 0

    def __add__(self, other: Counts) -> Counts:
        mine, theirs = attrs.astuple(self), attrs.astuple(other)
        return Counts(*(one + another for one, another in zip(mine, theirs, strict=True)))


class Counter:
    """Counts the records of one run as they pass."""

    def __init__(self) -> None:
        self._params: set[str] = set()
        self._tags: set[str] = set()
        self._counts = Counts(runs=1)

    def add(self, record: records.Record) -> None:
        """Count *record*."""
        match record:
            case records.Metrics():
                self._counts.points += len(record.metrics)
                self._counts.others += len(record.other)
            case records.LogLine():
                self._counts.lines += 1
                self._counts.points += len(record.metrics)
                self._counts.others += len(record.other)
            case records.Params():
                self._params.update(_leaves(record.params))
            case records.Tags():
                self._tags.update(record.tags)
            case records.Artifact():
                self._counts.artifacts += 1
            case _:
                pass

    @property
    def counts(self) -> Counts:
        """The counts so far."""
        return attrs.evolve(self._counts, params=len(self._params), tags=len(self._tags))


def _leaves(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{name}\0")
        else:
            yield prefix + name
