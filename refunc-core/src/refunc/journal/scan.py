"""
Reading one writer's segments block by block, and going on later from there.

For reading millions of points: a line of metrics, the most frequent kind, is decoded into a `PointLine` instead of a
record, at a tenth of the cost. Checksums, numbers and the account are those of `reader`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from copy import deepcopy
from operator import attrgetter
from typing import Final, Literal

import attrs
import msgspec

from refunc.journal.codec import CRC_LENGTH, CRC_MARK, MAX_VALUES, NONFINITE
from refunc.journal.codec_many import runs_of, sealed_text
from refunc.journal.intake import Intake
from refunc.journal.numbers import Numbers
from refunc.journal.pieces import Segment
from refunc.journal.reader import HEAD_BYTES, METRICS_MARK
from refunc.journal.record import Record
from refunc.journal.segments import Account, SegmentLines
from refunc.journal.stretches import Found
from refunc.values.jsonable import INT64_MAX

_BLOCK_BYTES: Final = 1 << 20


class PointLine(msgspec.Struct, gc=False, kw_only=True, forbid_unknown_fields=True):
    """
    A line of kind `metrics` without its checksum: its members, as in the file, and no others.

    Values are float64; None is a null without a meaning.
    """

    seq: int
    time: float
    kind: Literal["metrics"]
    step: int | float | None = None
    auto: bool = False
    epoch: int | float | None = None
    metrics: dict[str, float | None]
    logger: str = ""
    nonfinite: dict[str, str] | None = None


#: The content of a block of a segment, in order: points in a row, and notes.
Block = list["list[PointLine] | Note"]


_nonfinite_of = attrgetter("nonfinite")
_decode_point = msgspec.json.Decoder(PointLine).decode
_decode_points = msgspec.json.Decoder(PointLine).decode_lines


@attrs.define
class ReadPosition:
    """
    The position in one writer's records, with everything needed to go on: after *offset* bytes of *segment*.

    `unfinished` describes the bytes after that, which are not a line yet.
    """

    segment: str = ""
    offset: int = 0
    logger: str = ""
    numbers: Numbers = attrs.Factory(Numbers)
    counted: Account = attrs.Factory(Account)
    unfinished: str = ""
    #: Whether every file could be read; if one could not, the next reading starts over.
    is_whole: bool = True
    #: The stretches of each segment, by its name.
    stretches: dict[str, Found] = attrs.Factory(dict)

    def copied(self) -> ReadPosition:
        """Return the same position as an object of its own."""
        return attrs.evolve(self, numbers=deepcopy(self.numbers), counted=attrs.evolve(self.counted))

    def not_begun(self, pieces: list[Segment]) -> list[Segment]:
        """Return the segments among *pieces* that come after the one that is being read."""
        return [piece for piece in pieces if piece.name > self.segment]

    def can_go_on_to(self, later: ReadPosition) -> bool:
        """
        Whether *later* is the end of a next segment that was read as if it was the writer's first.

        That is not so if that reading found more to count than records, or was not whole.
        """
        *before, (begin, end) = later.numbers.ranges
        is_plain = later.is_whole and later.counted == Account() and all(first == last for first, last in before)
        return is_plain and self.numbers.are_new(begin, end)

    def go_on_to(self, later: ReadPosition) -> None:
        """Stand where *later* does."""
        self.numbers.take_range(*later.numbers.ranges[-1])
        self.leave()
        self.segment, self.offset, self.logger = later.segment, later.offset, later.logger
        self.unfinished = later.unfinished
        self.stretches |= later.stretches

    def leave(self) -> None:
        """Account for the end of a segment after which the writer began another one."""
        self.counted = attrs.evolve(self.account, missing=0)
        self.unfinished = ""

    @property
    def account(self) -> Account:
        """The account of everything besides records so far."""
        return attrs.evolve(
            self.counted,
            torn=self.counted.torn + (self.unfinished == "torn"),
            damaged=self.counted.damaged + (self.unfinished == "long"),
            missing=self.numbers.missing,
        )


@attrs.frozen
class Note:
    """A record that is not a line of metrics, with its line."""

    record: Record
    line: bytes


def scan(writer: str, pieces: list[Segment], position: ReadPosition) -> Iterator[Block]:
    """
    Yield the records of *writer* after *position*, in order, block by block; *position* moves along.

    Args:
        pieces: The writer's segments, oldest first.
    """
    for segment in pieces:
        if segment.name < position.segment:
            continue
        if segment.name != position.segment:
            position.leave()
            position.segment, position.offset, position.logger = segment.name, 0, ""
        position.unfinished = ""
        intake = Intake(writer, position.logger, position.numbers, position.counted)
        lines = SegmentLines(segment, position.offset, position.counted, _BLOCK_BYTES)
        try:
            for block in lines:
                stretches = position.stretches.setdefault(segment.name, Found())
                found = _decode(block, intake, stretches, lines.begin, lines.offset)
                position.offset, position.logger = lines.offset, intake.logger
                if found:
                    yield found
        except OSError:  # one file that cannot be read must not hide the others
            position.counted.damaged += 1
            position.is_whole = False
        position.offset, position.unfinished = lines.offset, lines.unfinished


def _decode(lines: list[bytes], intake: Intake, stretches: Found, begin: int, end: int) -> Block:
    """Return the content of *lines*, which lie between *begin* and *end* of their segment, and find its stretches."""
    found: Block = []
    at = begin
    for is_metrics, some in runs_of(lines):
        points = _points_in(some) if is_metrics else None
        before, at = at, end if len(some) == len(lines) else at + sum(map(len, some)) + len(some)
        if points is not None:
            stretches.add(before, at)
        if points is not None and intake.numbers.take_all([point.seq for point in points]):
            found.append(points)
        else:
            found += _decode_alone(some, intake)
    return found


def _points_in(lines: list[bytes]) -> list[PointLine] | None:
    """Return the metrics in *lines*; None if one of them has to be decoded alone."""
    text = sealed_text(lines)
    try:
        points = _decode_points(text) if text is not None else []
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return None
    if len(points) != len(lines):
        return None
    if any(map(_nonfinite_of, points)):
        for point in points:
            _restore(point.metrics, point.nonfinite or {})
    return points


def _decode_alone(lines: list[bytes], intake: Intake) -> Block:
    found: Block = []
    take = intake.numbers.take
    for line in lines:
        if line.find(METRICS_MARK, 0, HEAD_BYTES) > 0:
            point = _point_in(line)
            if point is not None:
                if not take(point.seq):
                    intake.account.duplicates += 1
                elif found and isinstance(found[-1], list):
                    found[-1].append(point)
                else:
                    found.append([point])
                continue
        record = intake.record(line)
        if record is not None:
            found.append(Note(record, line))
    return found


def _point_in(line: bytes) -> PointLine | None:
    """Return the metrics in *line*; None if it needs the full decoder, or is damaged."""
    body = line[:-CRC_LENGTH] + b"}"
    if line[-CRC_LENGTH:] != b'%b%08x"}' % (CRC_MARK, zlib.crc32(body)) or len(line) > MAX_VALUES:
        return None
    try:
        point = _decode_point(body)
    except (ValueError, RecursionError, msgspec.DecodeError):
        return None
    if not 0 <= point.seq <= INT64_MAX:
        return None
    if point.nonfinite:
        _restore(point.metrics, point.nonfinite)
    return point


def _restore(metrics: dict[str, float | None], nonfinite: dict[str, str]) -> None:
    for name, value in metrics.items():
        if value is None:
            word = nonfinite.get("/metrics/" + name.replace("~", "~0").replace("/", "~1"), "")
            metrics[name] = NONFINITE.get(word)
