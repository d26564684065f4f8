"""The contents of a run's journal, gathered from those of its writers: its facts, and its points."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from refunc.journal import record as records
from refunc.journal.ends import end_of_all
from refunc.journal.ranks import rank_files
from refunc.journal.rewinds import ResumePoint, Rewinds
from refunc.journal.roles import Role, role_of
from refunc.journal.segments import Account
from refunc.runs.column import NOTHING, form_of
from refunc.runs.columns import RowGroup, statistics_of
from refunc.runs.points import Points, appended, joined, merged
from refunc.runs.room import LeftOut, Room
from refunc.runs.selected import lowest_rank, selected
from refunc.runs.selection import AGGREGATES, Selection
from refunc.runs.series import Series
from refunc.runs.signature import Signature
from refunc.runs.stale import Stale
from refunc.runs.summary import MetricSummary, Statistics, Summary, summed_up
from refunc.runs.thinning import Thinned, checked, thinned, thinned_parts
from refunc.runs.writer_content import WriterContent

if TYPE_CHECKING:
    from refunc.runs.index.contents import StoredRun
    from refunc.runs.index.points import Source

#: Rank 0's points, each step with the value of the newest attempt.
_USUAL = Selection()


@attrs.define
class Content:
    """
    The contents of a run's journal. *signature* is the state of its files before they were read.

    The points of `stored` are in the index, the others are in memory.
    """

    folder: Path
    signature: Signature
    writers: dict[str, WriterContent] = attrs.Factory(dict)
    stored: StoredRun | None = None
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
            account = account + writer.position.account
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

    def _only_group(self, name: str, selection: Selection) -> tuple[str, RowGroup, int] | None:
        """Return where the points of *name* lie, if that is one group, whose rows need no other order and no axis."""
        if self.is_shared or selection != _USUAL or self.summary.metrics[name].step_metric is not None:
            return None
        found = [(writer, *group) for writer, content in self.writers.items() for group in content.columns.of(name)]
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


def _points(source: Source | None, writer: str, group: RowGroup, column: int, *, alone: bool) -> Points:
    parts = []
    if group.stored:
        if source is None:
            raise Stale
        parts.append(source.points(writer, group, column, rows=not alone))
    if group.rows:
        in_memory = group.points(column)
        parts.append(attrs.evolve(in_memory, rows=range(0)) if alone else in_memory)
    return appended(parts)


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
