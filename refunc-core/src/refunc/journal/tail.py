"""
Reading a journal onwards from an earlier position, for delivery to an integration.

A `Tail` keeps one position a writer. Like every reader it does not change or lock anything, so it may follow a live
run. The bytes after the last newline of a segment are not written yet, unless a later segment exists.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from operator import attrgetter
from pathlib import Path

import attrs

from refunc.journal.codec_many import decode_metrics, runs_of
from refunc.journal.intake import Intake
from refunc.journal.numbers import Numbers
from refunc.journal.pieces import Segment, segments
from refunc.journal.record import Count, Record
from refunc.journal.segments import SegmentLines, count_lines, end_of_lines, logger_of

#: Bytes that are read at a time.
_BLOCK_BYTES = 1 << 17
#: Bytes of lines after which no further record is read: records are larger in memory, and a thousand may be gigabytes.
_MAX_READ_BYTES = 1 << 20

_seq_of = attrgetter("seq")


@attrs.frozen
class Position:
    """
    The position in one writer's records: after *offset* bytes of *segment*. `met` has the numbers read, as
    ranges.
    """

    segment: Count = 0
    offset: Count = 0
    met: tuple[tuple[Count, Count], ...] = ()
    logger: str = ""


class Tail:
    """Reads the records of one run, each once, in the order of each writer's numbers."""

    def __init__(self, folder: Path, positions: Mapping[str, Position] | None = None) -> None:
        """
        Args:
            positions: The `positions` of an earlier reader.
        """
        self.folder = folder
        #: The position in each writer's records: after those that `read` has returned so far.
        self.positions: dict[str, Position] = dict(positions or {})

    @classmethod
    def at_end(cls, folder: Path) -> Tail:
        """Return a tail positioned after the last whole line of each writer."""
        last = {writer: pieces[-1] for writer, pieces in segments(folder).items()}
        return cls(
            folder,
            {
                writer: Position(segment.number, _end_of_lines(segment), logger=logger_of(segment))
                for writer, segment in last.items()
            },
        )

    def read(self, limit: int) -> list[Record]:
        """
        Return up to *limit* further records, writers merged by time; none if no more are written yet.

        Fewer are returned if lines are long.
        """
        streams = []
        room = _Room(limit)
        for writer, pieces in segments(self.folder).items():
            found = self._read_writer(writer, pieces, room)
            if found:
                streams.append(found)
            if not room.is_left:
                break
        return streams[0] if len(streams) == 1 else list(heapq.merge(*streams, key=attrgetter("time")))

    def waiting(self) -> int:
        """Return how many records come after the positions, counted by whole lines."""
        count = 0
        for writer, pieces in segments(self.folder).items():
            position = self.positions.get(writer, Position())
            for segment in pieces:
                if segment.number >= position.segment:
                    offset = position.offset if segment.number == position.segment else 0
                    lines = _count_lines(segment, offset)
                    count += lines - (offset == 0 and lines > 0)  # a segment's first line is not a record
        return count

    def _read_writer(self, writer: str, pieces: list[Segment], room: _Room) -> list[Record]:
        position = self.positions.get(writer, Position())
        found: list[Record] = []
        for segment in pieces:
            if segment.number < position.segment:
                continue
            if segment.number > position.segment:  # it exists, so the earlier one is whole by now
                position = attrs.evolve(position, segment=segment.number, offset=0)
            records, position = _read_segment(segment, writer, position, room)
            found += records
            if not room.is_left:
                break
        self.positions[writer] = position
        return found


@attrs.define
class _Room:
    """How many more records and bytes one reading takes."""

    records: int
    bytes: int = _MAX_READ_BYTES

    @property
    def is_left(self) -> bool:
        return self.records > 0 and self.bytes > 0


def _read_segment(segment: Segment, writer: str, position: Position, room: _Room) -> tuple[list[Record], Position]:
    """Return the records after *position* in its segment, as many as there is room for, and the new position."""
    found: list[Record] = []
    intake = Intake(writer, position.logger, Numbers(position.met))
    lines = SegmentLines(segment, position.offset, intake.account, _BLOCK_BYTES)
    offset = position.offset
    try:
        for block in lines:
            offset = lines.begin
            while block and room.is_left:  # no more lines than there is room for, if all are records
                some, block = block[: room.records], block[room.records :]
                for is_plain, run in runs_of(some):
                    records, size = _take(run, is_plain, intake, room)
                    found += records
                    offset += size
            if not room.is_left:
                break
        else:
            offset = lines.offset
    except OSError:  # unreadable now, perhaps readable later
        offset = lines.offset
    return found, Position(position.segment, offset, intake.numbers.ranges, intake.logger)


def _take(lines: list[bytes], is_plain: bool, intake: Intake, room: _Room) -> tuple[Sequence[Record], int]:
    """Return the records in *lines*, as many as there is room for, and how many bytes were used."""
    size = sum(map(len, lines))
    if is_plain and size <= room.bytes:
        records = decode_metrics(lines, intake.writer, intake.logger)
        if records is not None and intake.numbers.take_all(list(map(_seq_of, records))):
            room.records -= len(records)
            room.bytes -= size
            return records, size + len(lines)
    found: list[Record] = []
    size = 0
    for line in lines:
        if not room.is_left:
            break
        size += len(line) + 1
        record = intake.record(line)
        if record is not None:
            found.append(record)
            room.records -= 1
            room.bytes -= len(line)
    return found, size


def _end_of_lines(segment: Segment) -> int:
    try:
        return end_of_lines(segment)
    except OSError:  # see `_read_segment`
        return 0


def _count_lines(segment: Segment, offset: int) -> int:
    try:
        return count_lines(segment, offset)
    except OSError:  # see `_read_segment`
        return 0
