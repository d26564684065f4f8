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
from typing import Final

import attrs
import msgspec

from refunc.journal import kinds
from refunc.journal.codec import CRC_LENGTH, CRC_MARK, MAX_LINE_BYTES, MAX_VALUES, NONFINITE, decode_line
from refunc.journal.decoding import plain_text, runs_of
from refunc.journal.numbers import Numbers
from refunc.journal.reader import HEAD_BYTES, METRICS_MARK, Account, record_in
from refunc.journal.record import Gap, Record
from refunc.journal.values import INT64_MAX

_BLOCK_BYTES: Final = 1 << 20
_OTHER_MARK: Final = b'"other":'


class PointLine(msgspec.Struct, gc=False):
    """A line of kind `metrics`, as far as curves are made of it. Values are float64; None is a null of no meaning."""

    kind: str
    seq: int
    time: float
    metrics: dict[str, float | None]
    step: int | float | None = None
    epoch: int | float | None = None
    nonfinite: dict[str, str] | None = None


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


def scan(writer: str, paths: list[Path], place: Place) -> Iterator[list[PointLine | Note]]:
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


def _scan_segment(file: RawIOBase, writer: str, place: Place) -> Iterator[list[PointLine | Note]]:
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


def _decode(lines: list[bytes], writer: str, place: Place) -> list[PointLine | Note]:
    found: list[PointLine | Note] = []
    for is_metrics, some in runs_of(lines):
        points = _points_in(some) if is_metrics else None
        if points is not None and place.numbers.take_next([point.seq for point in points]):
            found += points
        else:
            found += _decode_alone(some, writer, place)
    return found


def _points_in(lines: list[bytes]) -> list[PointLine] | None:
    """Return the metrics in *lines*; None where one of them has to be looked at alone."""
    text = plain_text(lines)
    try:
        return None if text is None else _decode_points(text)
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return None


def _decode_alone(lines: list[bytes], writer: str, place: Place) -> list[PointLine | Note]:
    found: list[PointLine | Note] = []
    take = place.numbers.take
    for line in lines:
        if line.find(METRICS_MARK, 0, HEAD_BYTES) > 0:
            point = _point_in(line)
            if point is not None:
                if take(point.seq):
                    found.append(point)
                else:
                    place.counted.duplicates += 1
                continue
        note = _note_in(line, writer, place)
        if note is not None:
            found.append(note)
    return found


def _point_in(line: bytes) -> PointLine | None:
    """Return the metrics in *line*; None where it takes more to read it, or to see that it is damaged."""
    if line[-CRC_LENGTH:-10] != CRC_MARK or len(line) > MAX_VALUES or _OTHER_MARK in line:
        return None
    try:
        if line[-10:-2] != b"%08x" % zlib.crc32(b"}", zlib.crc32(line[:-CRC_LENGTH])):
            return None
        point = _decode_point(line)
    except (ValueError, RecursionError, msgspec.DecodeError):
        return None
    if point.kind != kinds.METRICS or not 0 <= point.seq <= INT64_MAX:
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
