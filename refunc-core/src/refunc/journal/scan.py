"""
Reading one writer's segments block by block, and going on later from where that ended.

For what reads millions of points: a line of metrics, which is what a journal is made of, is decoded into a `PointLine`
and not into a record, at a tenth of the price. Checksums, numbers and the account are those of `reader`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from io import RawIOBase
from pathlib import Path
from typing import Final, Literal

import attrs
import msgspec

from refunc.journal import kinds
from refunc.journal.codec import CRC_LENGTH, CRC_MARK, MAX_LINE_BYTES, MAX_VALUES, NONFINITE, decode_line
from refunc.journal.decoding import runs_of, sealed_text
from refunc.journal.numbers import Numbers
from refunc.journal.reader import HEAD_BYTES, METRICS_MARK, Account, record_in
from refunc.journal.record import Gap, Record
from refunc.journal.values import INT64_MAX

_BLOCK_BYTES: Final = 1 << 20


class PointLine(msgspec.Struct, gc=False, kw_only=True, forbid_unknown_fields=True):
    """
    A line of kind `metrics` without its checksum: its members, as they stand in the file, and no others.

    Values are float64; None is a null of no meaning.
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


#: What a block of a segment holds, in its order: points that stand in a row, and notes.
Block = list["list[PointLine] | Note"]


_decode_point = msgspec.json.Decoder(PointLine).decode
_decode_points = msgspec.json.Decoder(PointLine).decode_lines


@attrs.define
class Place:
    """
    Where the reading of one writer stands, with all that is needed to go on: behind *offset* bytes of *segment*.

    `unfinished` says what stands behind that, which is no line yet.
    """

    segment: str = ""
    offset: int = 0
    logger: str = ""
    numbers: Numbers = attrs.Factory(Numbers)
    counted: Account = attrs.Factory(Account)
    unfinished: str = ""
    #: Whether every file could be read; where one could not, the next reading begins anew.
    is_whole: bool = True

    @property
    def account(self) -> Account:
        """What was met besides records so far."""
        return attrs.evolve(
            self.counted,
            torn=self.counted.torn + (self.unfinished == "torn"),
            damaged=self.counted.damaged + (self.unfinished == "long"),
            missing=self.numbers.missing,
        )


@attrs.frozen
class Note:
    """A record that is no line of metrics, with the line that it was read from."""

    record: Record
    line: bytes


def scan(writer: str, paths: list[Path], place: Place) -> Iterator[Block]:
    """
    Yield what *writer* wrote behind *place*, in its order, block by block; *place* moves along.

    Args:
        paths: The writer's segments, oldest first.
    """
    for path in paths:
        if path.name < place.segment:
            continue
        if path.name != place.segment:
            _leave(place)
            place.segment, place.offset, place.logger = path.name, 0, ""
        try:
            with open(path, "rb", buffering=0) as file:
                yield from _scan_segment(file, writer, place)
        except OSError:  # one file that cannot be read must not hide the others
            place.counted.damaged += 1
            place.is_whole = False


def _leave(place: Place) -> None:
    """Account for the end of a segment behind which the writer began another one."""
    place.counted = attrs.evolve(place.account, missing=0)
    place.unfinished = ""


def _scan_segment(file: RawIOBase, writer: str, place: Place) -> Iterator[Block]:
    place.unfinished = ""
    size = _BLOCK_BYTES
    while block := _read_at(file, place.offset, size):
        end = block.rfind(b"\n") + 1
        if not end:
            if len(block) >= MAX_LINE_BYTES:
                begin = _behind_line(file, place.offset + len(block))
                if begin is None:
                    place.unfinished = "long"
                    return
                place.counted.damaged += 1
                place.offset = begin
            elif len(block) < size:
                place.unfinished = "torn"
                return
            else:
                size *= 4
            continue
        found = _decode(block[: end - 1].split(b"\n"), writer, place)
        place.offset += end
        size = _BLOCK_BYTES
        if found:
            yield found


def _read_at(file: RawIOBase, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size) or b""


def _behind_line(file: RawIOBase, offset: int) -> int | None:
    """Return where the line ends that *offset* lies in; None where it does not."""
    while block := _read_at(file, offset, _BLOCK_BYTES):
        end = block.find(b"\n") + 1
        if end:
            return offset + end
        offset += len(block)
    return None


def _decode(lines: list[bytes], writer: str, place: Place) -> Block:
    found: Block = []
    for is_metrics, some in runs_of(lines):
        points = _points_in(some) if is_metrics else None
        if points is not None and place.numbers.take_next([point.seq for point in points]):
            found.append(points)
        else:
            found += _decode_alone(some, writer, place)
    return found


def _points_in(lines: list[bytes]) -> list[PointLine] | None:
    """Return the metrics in *lines*; None where one of them has to be looked at alone."""
    text = sealed_text(lines)
    try:
        points = _decode_points(text) if text is not None else []
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return None
    if len(points) != len(lines):
        return None
    for point in points:
        if point.nonfinite:
            _restore(point.metrics, point.nonfinite)
    return points


def _decode_alone(lines: list[bytes], writer: str, place: Place) -> Block:
    found: Block = []
    take = place.numbers.take
    for line in lines:
        if line.find(METRICS_MARK, 0, HEAD_BYTES) > 0:
            point = _point_in(line)
            if point is not None:
                if not take(point.seq):
                    place.counted.duplicates += 1
                elif found and isinstance(found[-1], list):
                    found[-1].append(point)
                else:
                    found.append([point])
                continue
        note = _note_in(line, writer, place)
        if note is not None:
            found.append(note)
    return found


def _point_in(line: bytes) -> PointLine | None:
    """Return the metrics in *line*; None where it takes more to read it, or to see that it is damaged."""
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


def _note_in(line: bytes, writer: str, place: Place) -> Note | None:
    account = place.counted
    fields = decode_line(line) if len(line) < MAX_LINE_BYTES else None
    if fields is None:
        account.damaged += 1
        return None
    if fields.get("kind") == kinds.SEGMENT:
        place.logger = str(fields.get("logger", ""))
        return None
    record = record_in(fields, writer, place.logger)
    if record is None:
        account.damaged += 1
        return None
    if not place.numbers.take(record.seq):
        account.duplicates += 1
        return None
    if isinstance(record, Gap):
        account.dropped += record.dropped
    return Note(record, line)
