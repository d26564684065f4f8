"""
A window: up to 1,000 records of a run as the hook calls that they come to, and what becomes of each call.

A call that failed is made again, and so are those behind it; those before it are not, unless the process dies. A call
of several records that a backend will not take is halved until the record that is meant stands alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from typing import Any

import attrs

from refunc.journal.record import Artifact, LogLine, Metrics, Params, Record, Tags

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


def calls_of(records: Iterable[Record], hooks: Collection[str]) -> deque[Call]:
    """Return the calls of *hooks* that *records* come to: params and tags first, each hook's records in their order."""
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
    calls += [Call("on_artifact", [record]) for record in artifacts]
    return deque(call for call in calls if call.hook in hooks)


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
