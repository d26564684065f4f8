"""All that a run's journal comes to, of each writer by itself: read once, and continued where the journal grows."""

from __future__ import annotations

import heapq
import os
from functools import cached_property
from pathlib import Path

import attrs

from refunc.journal import record as records
from refunc.journal.folder import RUN_JSON
from refunc.journal.reader import Account, segments
from refunc.journal.scan import Note, Place, PointLine, scan
from refunc.runs.columns import NOTHING, Columns, Points, joined, merged
from refunc.runs.series import Series
from refunc.runs.summary import Statistics, Summary, summed_up

#: Kinds of record that a summary is made of; of lines of text only results.
_NOTED = (records.Params, records.Tags, records.Define, records.Artifact, records.RunEnd)

#: By file: name, size in bytes, time of its last change, and number in its file system.
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

    def read_on(self, writer: str, paths: list[Path]) -> None:
        """Read what *writer* has written since."""
        add = self.columns.add
        for items in scan(writer, paths, self.place):
            for item in items:
                if type(item) is PointLine:
                    self.points += 1
                    add(item.time, item.step, item.epoch, item.metrics)
                else:
                    self._take(item)  # type: ignore[arg-type]  # it is a Note
            item = items[-1]
            time = item.time if isinstance(item, PointLine) else item.record.time
            self.last_time = time if self.last_time is None else max(time, self.last_time)

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


@attrs.define
class Content:
    """What a run's journal comes to. *signature* is what the files were before they were read."""

    signature: Signature
    writers: dict[str, WriterContent]

    @cached_property
    def summary(self) -> Summary:
        """What it comes to; see Summary."""
        account, statistics = Account(), dict[str, Statistics]()
        for writer in self.writers.values():
            account = account + writer.place.account
            for name, found in writer.statistics.items():
                statistics[name] = statistics[name].joined(found) if name in statistics else found
        times = [writer.last_time for writer in self.writers.values() if writer.last_time is not None]
        return summed_up(
            self._notes(),
            statistics,
            points=sum(writer.points for writer in self.writers.values()),
            lines=sum(writer.lines for writer in self.writers.values()),
            last_time=max(times, default=None),
            account=account,
        )

    def series(self, name: str) -> Series | None:
        """Return the points of the metric *name*; None where there is no such metric."""
        metric = self.summary.metrics.get(name)
        if metric is None:
            return None
        series, axis = self._series(name), metric.step_metric
        if axis == "epoch" and axis not in self.summary.metrics:
            return attrs.evolve(series, x=series.epochs or [None] * len(series), x_name=axis)
        if axis is None or axis == name or axis not in self.summary.metrics:
            return series
        return series.against(self._series(axis))

    def _series(self, name: str) -> Series:
        found = [points for writer in self.writers.values() if (points := self._points(writer, name)) is not None]
        return _series(name, merged(found)) if found else Series(name, (), (), ())

    def _points(self, writer: WriterContent, name: str) -> Points | None:
        parts = [Points.of(group, name) for group in writer.columns.groups.values() if name in group.names]
        return joined(parts) if parts else None

    def _notes(self) -> list[records.Record]:
        streams = [[note.record for note in writer.notes] for writer in self.writers.values()]
        return list(heapq.merge(*streams, key=lambda record: record.time))


def signature_of(folder: Path) -> Signature:
    """Return what tells whether the run in *folder* has changed since: its files' sizes, times and numbers."""
    paths = [folder / RUN_JSON, *(path for paths in segments(folder).values() for path in paths)]
    found = []
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:  # gone since, or not to be looked at
            continue
        found.append((path.name, status.st_size, status.st_mtime_ns, status.st_ino))
    return tuple(found)


def read_content(folder: Path, signature: Signature | None = None) -> Content:
    """Read the journal in *folder*, all of it."""
    content = Content(signature_of(folder) if signature is None else signature, {})
    for name, paths in segments(folder).items():
        writer = WriterContent()
        writer.read_on(name, paths)
        writer.statistics = writer.columns.statistics({})
        content.writers[name] = writer
    return content


def _series(name: str, points: Points) -> Series:
    steps, epochs = (
        [None if number == NOTHING else number for number in column] if NOTHING in column else column
        for column in (points.steps, points.epochs)
    )
    return Series(name, steps, points.values, points.times, epochs)
