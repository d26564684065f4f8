"""The contents of one writer of a run's journal: its facts and its points, and reading on."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from refunc.journal import record as records
from refunc.journal.pieces import Segment
from refunc.journal.scan import Note, ReadPosition, scan
from refunc.runs.columns import Columns
from refunc.runs.room import Room
from refunc.runs.summary import Statistics


@attrs.define
class WriterContent:
    """The contents of one writer, up to a position."""

    position: ReadPosition = attrs.Factory(ReadPosition)
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
        return attrs.evolve(
            self, position=self.position.copied(), notes=list(self.notes), columns=self.columns.copied()
        )

    def read_on(self, writer: str, pieces: list[Segment], room: Room) -> Iterator[None]:
        """
        Read the new records of *writer*, a megabyte per step.

        Args:
            room: The room that all writers of the run share.
        """
        self.columns.room = room
        for block in scan(writer, pieces, self.position):
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
