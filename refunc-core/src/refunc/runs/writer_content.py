"""The contents of one writer of a run's journal: its facts and its points, and reading on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs

from refunc.journal import record as records
from refunc.journal.pieces import Segment
from refunc.journal.scan import Block, Note, ReadPosition, scan
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

    def read_on(
        self,
        writer: str,
        pieces: list[Segment],
        room: Room,
        ahead: Callable[[Segment], WriterContent | None] = lambda _: None,
    ) -> Iterator[None]:
        """
        Read the new records of *writer*, a megabyte or a segment per step.

        Args:
            room: The room that all writers of the run share.
            ahead: Returns the content of a segment if that was read already, from its beginning and as if it was the
                writer's first.
        """
        self.columns.room = room
        new = {piece.name for piece in self.position.not_begun(pieces)}
        for piece in pieces:
            later = ahead(piece) if piece.name in new else None
            if later is not None and self._goes_on_with(later):
                yield
                continue
            for block in scan(writer, [piece], self.position):
                self._take_block(block)
                yield

    def _take_block(self, block: Block) -> None:
        for item in block:
            if isinstance(item, Note):
                self._take(item)
                self.last_time = item.record.time
            else:
                self.points += len(item)
                self.columns.add_all(item)
                self.last_time = item[-1].time

    def _goes_on_with(self, later: WriterContent) -> bool:
        """
        Append the content of the next segment, and stand where that ends; False if its lines must be read one by one.

        That is so if a line is damaged, missing or there twice, or if there is no room for all.
        """
        if later.left_out or not self.position.can_go_on_to(later.position) or not self.columns.admit(later.columns):
            return False
        self.position.go_on_to(later.position)
        self.columns.append(later.columns)
        self.points += later.points
        self.lines += later.lines
        self.last_time = self.last_time if later.last_time is None else later.last_time
        for note in later.notes:
            self._keep(note)
        return True

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
