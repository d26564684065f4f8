"""The row of one writer in the index: its content without the points, in both directions."""

from __future__ import annotations

import attrs

from refunc.journal.codec import decode_line
from refunc.journal.intake import record_in
from refunc.journal.numbers import Numbers
from refunc.journal.scan import Note, ReadPosition
from refunc.journal.segments import Account
from refunc.runs.columns import Columns, RowGroup
from refunc.runs.index.database import Damaged
from refunc.runs.summary import Statistics
from refunc.runs.writer_content import WriterContent


@attrs.frozen(kw_only=True)
class WriterRow:
    """One writer's content without its points, as stored in the index."""

    writer: str
    segment: str
    offset: int
    logger: str
    met: list[tuple[int, int]]
    counted: Account
    unfinished: str
    notes: list[tuple[str, bytes]]  # the logger, and the line
    statistics: dict[str, Statistics]
    count: int
    groups: list[tuple[list[str], int]]  # the names, and the number of rows
    points: int
    lines: int
    last_time: float | None
    left_out: tuple[int, int]  # values of metrics, and records

    @classmethod
    def of(cls, name: str, writer: WriterContent, statistics: dict[str, Statistics]) -> WriterRow:
        """Return the row of the *writer* called *name*, whose points have the *statistics*."""
        position, columns = writer.position, writer.columns
        return cls(
            writer=name,
            segment=position.segment,
            offset=position.offset,
            logger=position.logger,
            met=list(position.numbers.ranges),
            counted=position.counted,
            unfinished=position.unfinished,
            notes=[(note.record.logger, note.line) for note in writer.notes],
            statistics=statistics,
            count=columns.count,
            groups=[(list(names), group.stored + len(group.rows)) for names, group in columns.groups.items()],
            points=writer.points,
            lines=writer.lines,
            last_time=writer.last_time,
            left_out=(columns.left_out, writer.left_out),
        )

    def content(self) -> WriterContent:
        """Return the writer's content, all of whose points are in the index. Raises Damaged."""
        numbers = Numbers(self.met)
        groups = {tuple(names): RowGroup(tuple(names), count) for names, count in self.groups}
        return WriterContent(
            position=ReadPosition(self.segment, self.offset, self.logger, numbers, self.counted, self.unfinished),
            notes=[self._note(logger, line) for logger, line in self.notes],
            statistics=self.statistics,
            columns=Columns(self.count, groups, left_out=self.left_out[0]),
            points=self.points,
            lines=self.lines,
            last_time=self.last_time,
            left_out=self.left_out[1],
        )

    def _note(self, logger: str, line: bytes) -> Note:
        fields = decode_line(line)
        record = record_in(fields, self.writer, logger) if fields is not None else None
        if record is None:
            raise Damaged
        return Note(record, line)
