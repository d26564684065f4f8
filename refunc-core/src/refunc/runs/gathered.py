"""The contents of a run's journal, gathered for each writer: its facts, and reading on."""

from __future__ import annotations

import heapq
import math
import os
import stat
from array import array
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import attrs

from refunc.journal import record as records
from refunc.journal.ends import end_of_all
from refunc.journal.folder import JOURNAL, RUN_JSON
from refunc.journal.pieces import Segment, is_folded_name, writer_of
from refunc.journal.ranks import rank_files
from refunc.journal.rewinds import ResumePoint, Rewinds
from refunc.journal.roles import Role, role_of
from refunc.journal.scan import Note, Place, scan
from refunc.journal.segments import Account
from refunc.runs.column import NOTHING, form_of
from refunc.runs.columns import Columns, Group, statistics_of
from refunc.runs.points import Points, appended, joined, merged
from refunc.runs.room import LeftOut, Room
from refunc.runs.selection import AGGREGATES, Selection, lowest_rank, selected
from refunc.runs.series import Series
from refunc.runs.summary import MetricSummary, Statistics, Summary, summed_up
from refunc.runs.thinning import Thinned, checked, thinned, thinned_parts

#: For each file: name, size in bytes, time of its last change in nanoseconds, and inode number.
Signature = tuple[tuple[str, int, int, int], ...]


@attrs.define
class WriterContent:
    """The contents of one writer, up to a position."""

    place: Place = attrs.Factory(Place)
    notes: list[Note] = attrs.Factory(list)
    #: Of the points in the index.
    statistics: dict[str, Statistics] = attrs.Factory(dict)
    columns: Columns = attrs.Factory(Columns)
    points: int = 0
    lines: int = 0
    last_time: float | None = None
    #: The number of records that were left out for lack of room.
    left_out: int = 0

    def copied(self) -> WriterContent:
        """Return the same as an object of its own, which can be read on."""
        return attrs.evolve(self, place=self.place.copied(), notes=list(self.notes), columns=self.columns.copied())

    def read_on(self, writer: str, pieces: list[Segment], room: Room) -> Iterator[None]:
        """
        Read the new records of *writer*, a megabyte per step.

        Args:
            room: The room that all writers of the run share.
        """
        self.columns.room = room
        for block in scan(writer, pieces, self.place):
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
                if record.level == "RESULT":  # of lines of text, the summary needs only results
                    self._keep(note)
            case records.Metrics():
                self.points += 1
                self.columns.add(record.time, record.step, record.epoch, record.metrics)
            case _ if records.is_noted(record):
                self._keep(note)

    def _keep(self, note: Note) -> None:
        if self.columns.room.admit_note(note.line):
            self.notes.append(note)
        elif not isinstance(note.record, records.RunEnd):
            self.left_out += 1
        elif self.notes and isinstance(self.notes[-1].record, records.RunEnd):
            self.notes[-1] = note
        else:  # without its end, the run would be shown as crashed
            self.notes.append(note)


#: Rank 0's points, each step with the value of the newest attempt.
_USUAL = Selection()


class Stale(Exception):
    """The index no longer has the expected contents: another process has rebuilt it."""


class Source(Protocol):
    """The part of a run's points in the index; open while it is read."""

    def points(self, writer: str, group: Group, column: int, *, rows: bool) -> Points:
        """Return the points of one of the metrics in the first `stored` rows of *group*. Raises Stale."""
        ...

    def parts(self, writer: str, group: Group, column: int) -> Iterator[Points]:
        """Yield these points part by part, without the rows' numbers, and keep none. Raises Stale."""
        ...


class Stored(Protocol):
    """A run in the index."""

    def opened(self) -> AbstractContextManager[Source]:
        """Open the index for reading points. Raises Stale if that is not possible."""
        ...


@attrs.define
class Content:
    """
    The contents of a run's journal. *signature* is the state of its files before they were read.

    The points of `stored` are in the index, the others are in memory.
    """

    folder: Path
    signature: Signature
    writers: dict[str, WriterContent] = attrs.Factory(dict)
    stored: Stored | None = None
    #: Whether the files were read to their end.
    is_whole: bool = False

    @cached_property
    def roles(self) -> dict[str, Role]:
        """The role of each writer."""
        return {name: role_of(name) for name in self.writers}

    @property
    def is_shared(self) -> bool:
        """Whether ranks or several attempts wrote it."""
        return any(role != Role() for role in self.roles.values())

    @cached_property
    def summary(self) -> Summary:
        """The summary of the contents; see Summary."""
        account, left_out = Account(), LeftOut()
        for writer in self.writers.values():
            account = account + writer.place.account
            left_out = left_out + LeftOut(values=writer.columns.left_out, records=writer.left_out)
        statistics = self._statistics()
        times = [writer.last_time for writer in self.writers.values() if writer.last_time is not None]
        notes = list(self._notes())
        if self.is_shared:
            notes = [*(note for note in notes if not isinstance(note, records.RunEnd)), *self._end(notes)]
        return summed_up(
            notes,
            statistics,
            points=sum(found.count for found in statistics.values()),
            lines=sum(writer.lines for writer in self.writers.values()),
            last_time=max(times, default=None),
            account=account,
            left_out=left_out,
        )

    def room(self) -> Room:
        """Return the room that the run's writers have used so far."""
        room = Room()
        for writer in self.writers.values():
            for names in writer.columns.groups:
                room.admit(names)
                room.admit_columns(len(names))
            for note in writer.notes:
                room.admit_note(note.line)
        if any(writer.left_out for writer in self.writers.values()):
            room.close()
        return room

    def tags(self) -> list[records.Tags]:
        """Return all records of tags, oldest first."""
        return [record for record in self._notes() if isinstance(record, records.Tags)]

    def _notes(self) -> Iterator[records.Record]:
        """Yield the notes, oldest first; those of rank 0 come last, so that its values count."""
        streams: dict[bool, list[list[records.Record]]] = {False: [], True: []}
        for name, writer in self.writers.items():
            streams[self.roles[name].is_main].append([note.record for note in writer.notes])
        for of_main in (False, True):
            yield from heapq.merge(*streams[of_main], key=lambda record: record.time)

    def _end(self, notes: Iterable[records.Record]) -> list[records.RunEnd]:
        found = end_of_all(rank_files(self.folder), (note for note in notes if isinstance(note, records.RunEnd)))
        return [] if found is None else [found]

    @cached_property
    def rewinds(self) -> Rewinds:
        """The points that attempts went back to."""
        return Rewinds(
            (self.roles[name].attempt, ResumePoint(note.record.step, note.record.epoch))
            for name, writer in self.writers.items()
            for note in writer.notes
            if isinstance(note.record, records.Rewind)
        )

    def _statistics(self) -> dict[str, Statistics]:
        """Return the statistics of the curve of each metric."""
        of_writers = {name: writer.columns.statistics(writer.statistics) for name, writer in self.writers.items()}
        names = {name: None for known in of_writers.values() for name in known}
        if len({role.attempt for role in self.roles.values()}) > 1:
            with self._opened() as source:
                return {name: statistics_of(self._points(source, name, Selection())) for name in names}
        found: dict[str, Statistics] = {}
        for name in names:
            writers = [writer for writer, known in of_writers.items() if name in known]
            rank = lowest_rank(self.roles[writer] for writer in writers)
            for writer in writers:
                if (self.roles[writer].rank or 0) == rank:
                    of_writer = of_writers[writer][name]
                    found[name] = found[name].joined(of_writer) if name in found else of_writer
        return found

    def _opened(self) -> AbstractContextManager[Source | None]:
        return self.stored.opened() if self.stored is not None else nullcontext()

    def series(self, names: Iterable[str], selection: Selection = _USUAL) -> dict[str, Series]:
        """
        Return the points of the metrics *names*, which the summary must have.

        Raises:
            Stale: The index no longer has the expected contents.
        """
        with self._opened() as source:
            return {name: self._against_axis(source, name, selection) for name in names}

    def thinned(self, name: str, max_points: int, selection: Selection = _USUAL, *, is_numbered: bool) -> Thinned:
        """
        Return at most *max_points* of the points of one of the metrics; see `Run.thinned`.

        Raises:
            Stale: The index no longer has the expected contents.
            ValueError: *max_points* is less than five.
        """
        checked(max_points)
        alone = self._only_group(name, selection)
        with self._opened() as source:
            if source is None or alone is None:
                series = self._against_axis(source, name, selection)
                return thinned(series.numbered() if is_numbered else series, max_points)
            writer, group, column = alone
            count = group.stored + len(group.rows)
            rest = [group.points(column)] if len(group.rows) else []
            parts = chain(source.parts(writer, group, column), rest)
            points, odd = thinned_parts(parts, count, max_points)
        return Thinned(_series_of(name, points), count, odd)

    def _only_group(self, name: str, selection: Selection) -> tuple[str, Group, int] | None:
        """Return where the points of *name* lie, if that is one group, whose rows need no other order and no axis."""
        if self.is_shared or selection != _USUAL or self.summary.metrics[name].step_metric is not None:
            return None
        found = [(writer, *place) for writer, content in self.writers.items() for place in content.columns.of(name)]
        # Without steps, a metric may have its epochs as its axis, which shows only in all of its points.
        return found[0] if len(found) == 1 and found[0][1].stored and not found[0][1].stepless else None

    def summaries(self, selection: Selection) -> dict[str, MetricSummary]:
        """
        Return the summary of each metric's points that *selection* asks for, if there are any.

        Raises:
            Stale: The index no longer has the expected contents.
        """
        found = {}
        with self._opened() as source:
            for name, usual in self.summary.metrics.items():
                points = self._points(source, name, selection)
                if points is not None and len(points.values):
                    found[name] = statistics_of(points).summary_like(usual)
        return found

    def _against_axis(self, source: Source | None, name: str, selection: Selection) -> Series:
        series, axis = self._series(source, name, selection), self.summary.metrics[name].step_metric
        if axis is None and series.epochs and not isinstance(series.steps, memoryview):
            axis = "epoch" if all(step is None for step in series.steps) else None
        if axis == "epoch" and axis not in self.summary.metrics:
            return attrs.evolve(series, x=series.epochs or [None] * len(series), x_name=axis)
        if axis is None or axis == name or axis not in self.summary.metrics:
            return series
        return series.against(self._series(source, axis, selection))

    def _series(self, source: Source | None, name: str, selection: Selection) -> Series:
        points = self._points(source, name, selection)
        return _series_of(name, points) if points is not None else Series(name, (), (), ())

    def _points(self, source: Source | None, name: str, selection: Selection) -> Points | None:
        found = {
            writer: joined([_points(source, writer, group, column, alone=len(groups) == 1) for group, column in groups])
            for writer, content in self.writers.items()
            if (groups := content.columns.of(name))
        }
        asks_for_columns = selection.rank == "all" or selection.attempts == "all" or selection.is_marked
        if not self.is_shared and not asks_for_columns and selection.rank in (None, 0, *AGGREGATES):
            return merged(list(found.values())) if found else None
        return selected({writer: (self.roles[writer], each) for writer, each in found.items()}, selection, self.rewinds)


def _points(source: Source | None, writer: str, group: Group, column: int, *, alone: bool) -> Points:
    parts = []
    if group.stored:
        if source is None:
            raise Stale
        parts.append(source.points(writer, group, column, rows=not alone))
    if group.rows:
        in_memory = group.points(column)
        parts.append(attrs.evolve(in_memory, rows=array("q")) if alone else in_memory)
    return appended(parts)


def signature_of(folder: Path) -> Signature:
    """Return the sizes, times and inodes of the files of the run in *folder*, which show whether it has changed."""
    found = []
    place = os.fspath(folder)  # once: a path of pathlib takes longer than the call to the system
    try:
        status = os.stat(f"{place}/{RUN_JSON}")
        found.append((RUN_JSON, status.st_size, status.st_mtime_ns, status.st_ino))
        with os.scandir(f"{place}/{JOURNAL}") as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                is_read = writer_of(entry.name) is not None or is_folded_name(entry.name)
                if is_read and stat.S_ISREG(status.st_mode):
                    found.append((entry.name, status.st_size, status.st_mtime_ns, status.st_ino))
    except OSError:  # gone meanwhile, or not accessible
        pass
    return tuple(sorted(found))


def _series_of(name: str, points: Points) -> Series:
    steps = _with_none(points.steps) if points.stepless else points.steps
    return Series(
        name,
        steps,
        points.values,
        points.times,
        _with_none(points.epochs),
        ranks=points.ranks,
        attempts=points.attempts,
    )


def _with_none(column: Any) -> Any:
    """Return steps or epochs unchanged; as a list with None if some are missing."""
    if form_of(column) == "q":
        return [None if number == NOTHING else number for number in column] if NOTHING in column else column
    return [None if number != number else number for number in column] if any(map(math.isnan, column)) else column
