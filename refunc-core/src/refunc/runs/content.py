"""All that a run's journal comes to, of each writer by itself: what is known of it, and how a reading goes on."""

from __future__ import annotations

import heapq
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Protocol

import attrs

from refunc.journal import record as records
from refunc.journal.folder import JOURNAL, RUN_JSON
from refunc.journal.reader import Account
from refunc.journal.scan import Note, Place, scan
from refunc.runs.columns import NOTHING, Columns, Group, Points, appended, joined, merged
from refunc.runs.series import Series
from refunc.runs.summary import Statistics, Summary, summed_up

#: Kinds of record that a summary is made of; of lines of text only results.
_NOTED = (records.Params, records.Tags, records.Define, records.Artifact, records.RunEnd)
#: By file: name, size in bytes, time of its last change in nanoseconds, and number in its file system.
Signature = tuple[tuple[str, int, int, int], ...]


@attrs.define
class WriterContent:
    """What one writer wrote, up to a place."""

    place: Place = attrs.Factory(Place)
    notes: list[Note] = attrs.Factory(list)
    statistics: dict[str, Statistics] = attrs.Factory(dict)
    columns: Columns = attrs.Factory(Columns)
    points: int = 0
    lines: int = 0
    last_time: float | None = None

    def read_on(self, writer: str, paths: list[Path]) -> Iterator[None]:
        """Read what *writer* has written since, a megabyte a step."""
        for block in scan(writer, paths, self.place):
            for item in block:
                if isinstance(item, Note):
                    self._take(item)
                    self.last_time = item.record.time
                else:
                    self.points += len(item)
                    self.columns.add_all(item)
                    self.last_time = item[-1].time
            yield

    def _take(self, note: Note) -> None:
        record = note.record
        match record:
            case records.LogLine():
                self.lines += 1
                if record.points:
                    self.columns.add(record.time, record.step, record.epoch, record.points)
                if record.level == "RESULT":
                    self.notes.append(note)
            case records.Metrics():
                self.points += 1
                self.columns.add(record.time, record.step, record.epoch, record.metrics)
            case _ if isinstance(record, _NOTED):
                self.notes.append(note)


class Stale(Exception):
    """The index no longer has what it said to have: another process has made it anew."""


class Source(Protocol):
    """Where the part of a run's points is that the index has; open while it is read."""

    def points(self, writer: str, group: Group, name: str, *, rows: bool) -> Points:
        """Return the points of the metric *name* in the first `stored` rows of *group*. Raises Stale."""
        ...


class Stored(Protocol):
    """A run in the index."""

    def opened(self) -> AbstractContextManager[Source]:
        """Open the index for reading points. Raises Stale where that cannot be."""
        ...


@attrs.define
class Content:
    """
    What a run's journal comes to. *signature* is what its files were before they were read.

    What `stored` says is in the index, the other points are in memory.
    """

    folder: Path
    signature: Signature
    writers: dict[str, WriterContent] = attrs.Factory(dict)
    stored: Stored | None = None
    #: Whether the reading came to the end of the files.
    is_whole: bool = False

    @cached_property
    def summary(self) -> Summary:
        """What it comes to; see Summary."""
        account, statistics = Account(), dict[str, Statistics]()
        for writer in self.writers.values():
            account = account + writer.place.account
            for name, found in writer.statistics.items():
                statistics[name] = statistics[name].joined(found) if name in statistics else found
        times = [writer.last_time for writer in self.writers.values() if writer.last_time is not None]
        streams = [[note.record for note in writer.notes] for writer in self.writers.values()]
        return summed_up(
            heapq.merge(*streams, key=lambda record: record.time),
            statistics,
            points=sum(writer.points for writer in self.writers.values()),
            lines=sum(writer.lines for writer in self.writers.values()),
            last_time=max(times, default=None),
            account=account,
        )

    def series(self, names: Iterable[str]) -> dict[str, Series]:
        """
        Return the points of the metrics *names*, which are known to the summary.

        Raises:
            Stale: The index has not kept what it said to have.
        """
        with self.stored.opened() if self.stored is not None else nullcontext() as source:
            return {name: self._against_axis(source, name) for name in names}

    def _against_axis(self, source: Source | None, name: str) -> Series:
        series, axis = self._series(source, name), self.summary.metrics[name].step_metric
        if axis == "epoch" and axis not in self.summary.metrics:
            return attrs.evolve(series, x=series.epochs or [None] * len(series), x_name=axis)
        if axis is None or axis == name or axis not in self.summary.metrics:
            return series
        return series.against(self._series(source, axis))

    def _series(self, source: Source | None, name: str) -> Series:
        found = [
            joined([_points(source, writer, group, name, alone=len(groups) == 1) for group in groups])
            for writer, content in self.writers.items()
            if (groups := content.columns.of(name))
        ]
        return _series_of(name, merged(found)) if found else Series(name, (), (), ())


def _points(source: Source | None, writer: str, group: Group, name: str, *, alone: bool) -> Points:
    parts = []
    if group.stored:
        if source is None:
            raise Stale
        parts.append(source.points(writer, group, name, rows=not alone))
    if group.rows:
        parts.append(group.points(group.names.index(name)))
    return appended(parts)


def signature_of(folder: Path) -> Signature:
    """Return what tells whether the run in *folder* has changed since: its files' sizes, times and numbers."""
    found = []
    try:
        status = os.stat(os.path.join(folder, RUN_JSON))
        found.append((RUN_JSON, status.st_size, status.st_mtime_ns, status.st_ino))
        with os.scandir(os.path.join(folder, JOURNAL)) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    found.append((entry.name, status.st_size, status.st_mtime_ns, status.st_ino))
    except OSError:  # gone since, or not to be looked at
        pass
    return tuple(sorted(found))


def _series_of(name: str, points: Points) -> Series:
    steps = _with_none(points.steps) if points.stepless else points.steps
    epochs = _with_none(points.epochs) if NOTHING in points.epochs else points.epochs
    return Series(name, steps, points.values, points.times, epochs)


def _with_none(column: Iterable[int]) -> list[int | None]:
    return [None if number == NOTHING else number for number in column]
