"""
A window: up to 1,000 records of a run as the hook calls that they come to, and what becomes of each call.

A call that failed is made again, and so are those behind it; those before it are not, unless the process dies. A call
of several records that a backend will not take is halved until the record that is meant stands alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from refunc.journal.record import Artifact, Gap, LogLine, Metrics, Params, Record, RunEnd, Tags

#: How often a call is made that fails with an error of which nobody says what it means.
TRIES = 5


@attrs.define
class Call:
    """One hook with what it gets: several records, or one."""

    hook: str
    records: list[Any]
    #: How often it failed for a reason that nobody knows.
    failures: int = 0
    #: The line of a dead letter that is tried again.
    letter: bytes | None = None

    @property
    def is_single(self) -> bool:
        """Whether there is nothing to halve."""
        return len(self.records) <= 1

    def halves(self) -> tuple[Call, Call]:
        """Return the same in two calls; what failed so often together is not tried as often apart."""
        middle = len(self.records) // 2
        failures = TRIES - 1 if self.failures else 0
        return Call(self.hook, self.records[:middle], failures), Call(self.hook, self.records[middle:], failures)


class Window:
    """Calls that are to be settled before the cursor moves on, the first one first."""

    def __init__(self, calls: Iterable[Call] = (), records: Sequence[Record] = ()) -> None:
        """
        Args:
            records: What the calls were made of; none for an end or for dead letters.
        """
        self.calls = deque(calls)
        self.has_records = bool(records)
        #: The few of its records that mean something to the cursor, or may.
        self.others = [record for record in records if type(record) is not Metrics]
        ends = [record for record in self.others if isinstance(record, RunEnd)]
        #: The run's end, if it is among the records; its turn comes when all else is delivered.
        self.end = ends[-1] if ends else None
        #: How many records are delivered with it, and how many were dropped before they got into the journal.
        self.delivered = len(records) - len(ends)
        self.dropped = sum(record.dropped for record in self.others if isinstance(record, Gap))
        #: What was refused for good, and why.
        self.refused: list[tuple[Call, str | None]] = []
        #: Nothing of it was called yet.
        self.is_fresh = True
        #: Nothing of it is settled.
        self.is_whole = True
        #: The cursor was moved before it.
        self.is_claimed = False


def calls_of(records: Iterable[Record]) -> list[Call]:
    """Return the calls that *records* come to: params and tags first, each hook's records in their order."""
    params: list[Any] = []
    tags: list[Any] = []
    artifacts: list[Any] = []
    metrics: list[Any] = []
    lines: list[Any] = []
    for record in records:
        if type(record) is Metrics:  # nearly all; a pattern costs three times as much
            metrics.append(record if record.step is not None or record.epoch is None else _at_epoch(record))
            continue
        match record:
            case LogLine():
                lines.append(record)
                if record.points:
                    metrics.append(_points(record))
            case Params():
                params.append(record)
            case Tags():
                tags.append(record)
            case Artifact():
                artifacts.append(record)
            case _:
                pass
    calls = [Call("on_hyperparams", [record]) for record in params] + [Call("on_tags", [record]) for record in tags]
    calls += [Call("on_metrics", metrics)] * bool(metrics) + [Call("on_log", lines)] * bool(lines)
    return calls + [Call("on_artifact", [record]) for record in artifacts]


def _at_epoch(record: Metrics) -> Metrics:
    return attrs.evolve(record, step=record.epoch)


def _points(line: LogLine) -> Metrics:
    return Metrics(
        seq=line.seq,
        time=line.time,
        writer=line.writer,
        logger=line.logger,
        metrics=line.points,
        step=line.step if line.step is not None else line.epoch,
        epoch=line.epoch,
    )
