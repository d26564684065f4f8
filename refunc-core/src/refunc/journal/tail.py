"""
Reading a journal onwards from where a reader stood before: what delivery to an integration is made of.

A `Tail` keeps one position a writer. Like every reader it changes nothing and locks nothing, so it may follow a live
run; what stands behind the last newline of a segment is not written yet, unless a later segment exists.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path

import attrs

from refunc.journal import kinds
from refunc.journal.codec import MAX_LINE_BYTES, decode_line
from refunc.journal.decoding import decode_metrics, runs_of
from refunc.journal.numbers import Numbers
from refunc.journal.reader import logger_of, record_in, segments
from refunc.journal.record import Record

#: Bytes that are read at a time.
_BLOCK_BYTES = 1 << 18
#: Bytes of lines after which no further record is read: records are larger in memory, and a thousand may be gigabytes.
_MAX_READ_BYTES = 1 << 20

_seq_of = attrgetter("seq")


@attrs.frozen
class Position:
    """Where one writer's reading stands: behind *offset* bytes of *segment*. `met` has the numbers read, as ranges."""

    segment: int = 0
    offset: int = 0
    met: tuple[tuple[int, int], ...] = ()
    logger: str = ""


class Tail:
    """Reads the records of one run, each once, in the order of each writer's numbers."""

    def __init__(self, folder: Path, positions: Mapping[str, Position] | None = None) -> None:
        """
        Args:
            positions: What an earlier reader's `positions` were.
        """
        self.folder = folder
        #: Where each writer's reading stands: behind the records that `read` returned so far.
        self.positions: dict[str, Position] = dict(positions or {})

    @classmethod
    def at_end(cls, folder: Path) -> Tail:
        """Return a tail that stands behind the last whole line of each writer."""
        last = {writer: paths[-1] for writer, paths in segments(folder).items()}
        return cls(
            folder,
            {
                writer: Position(_number(path), _end_of_lines(path), logger=logger_of(path))
                for writer, path in last.items()
            },
        )

    def read(self, limit: int) -> list[Record]:
        """
        Return up to *limit* further records, writers merged by time; none mean that no more is written yet.

        Fewer are returned of lines that are long.
        """
        streams = []
        room = _Room(limit)
        for writer, paths in segments(self.folder).items():
            found = self._read_writer(writer, paths, room)
            if found:
                streams.append(found)
            if not room.is_left:
                break
        return streams[0] if len(streams) == 1 else list(heapq.merge(*streams, key=attrgetter("time")))

    def waiting(self) -> int:
        """Return how many records stand behind the positions, by the whole lines there are."""
        count = 0
        for writer, paths in segments(self.folder).items():
            position = self.positions.get(writer, Position())
            for path in paths:
                number = _number(path)
                if number >= position.segment:
                    offset = position.offset if number == position.segment else 0
                    lines = _count_lines(path, offset)
                    count += lines - (offset == 0 and lines > 0)  # a segment's first line is no record
        return count

    def _read_writer(self, writer: str, paths: list[Path], room: _Room) -> list[Record]:
        position = self.positions.get(writer, Position())
        found: list[Record] = []
        for path in paths:
            number = _number(path)
            if number < position.segment:
                continue
            if number > position.segment:  # it exists, so the earlier one is whole by now
                position = attrs.evolve(position, segment=number, offset=0)
            position = _read_segment(path, writer, position, found, room)
            if not room.is_left:
                break
        self.positions[writer] = position
        return found


@attrs.define
class _Room:
    """How much more one reading takes."""

    records: int
    bytes: int = _MAX_READ_BYTES

    @property
    def is_left(self) -> bool:
        return self.records > 0 and self.bytes > 0


def _read_segment(path: Path, writer: str, position: Position, found: list[Record], room: _Room) -> Position:
    """Append the records behind *position* in its segment to *found*, while there is room; return where that ended."""
    offset, numbers, logger = position.offset, Numbers(position.met), position.logger
    size = _BLOCK_BYTES
    try:
        with open(path, "rb") as file:
            while room.is_left:
                file.seek(offset)
                block = file.read(size)
                end = block.rfind(b"\n") + 1
                if not end:
                    if len(block) > MAX_LINE_BYTES:  # no record of ours: what is still to come of it fails its checksum
                        offset += len(block)
                    elif len(block) < size:
                        break
                    else:
                        size *= 4  # a line longer than the block
                    continue
                # No more lines than there is room for; behind those that were no records, the next block begins.
                for is_plain, lines in runs_of(block[: end - 1].split(b"\n", room.records)[: room.records]):
                    run_bytes = sum(map(len, lines))
                    if is_plain and run_bytes <= room.bytes:
                        records = decode_metrics(lines, writer, logger)
                        if records is not None and numbers.take_next(list(map(_seq_of, records))):
                            found += records
                            offset += run_bytes + len(lines)
                            room.records -= len(records)
                            room.bytes -= run_bytes
                            continue
                    for line in lines:
                        if not room.is_left:
                            break
                        offset += len(line) + 1
                        fields = decode_line(line)
                        if fields is None:
                            continue
                        if fields.get("kind") == kinds.SEGMENT:
                            logger = str(fields.get("logger", ""))
                            continue
                        record = record_in(fields, writer, logger)
                        if record is not None and numbers.take(record.seq):  # twice there after a disk error, perhaps
                            found.append(record)
                            room.records -= 1
                            room.bytes -= len(line)
    except OSError:  # unreadable now, perhaps readable later
        pass
    return Position(position.segment, offset, numbers.ranges, logger)


def _number(path: Path) -> int:
    return int(path.name.rsplit(".", 2)[1])


def _end_of_lines(path: Path) -> int:
    """Return the offset behind the last whole line of *path*."""
    try:
        with open(path, "rb") as file:
            position = file.seek(0, 2)
            while position > 0:
                start = max(0, position - _BLOCK_BYTES)
                file.seek(start)
                end = file.read(position - start).rfind(b"\n") + 1
                if end:
                    return start + end
                position = start
    except OSError:  # see `_read_segment`
        pass
    return 0


def _count_lines(path: Path, offset: int) -> int:
    count = 0
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            while block := file.read(1 << 20):
                count += block.count(b"\n")
    except OSError:  # see `_read_segment`
        return count
    return count
