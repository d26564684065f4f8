"""
Reading a journal: every whole line of every writer, in order, and an account of missing and damaged lines.

A reader does not modify or lock anything, so it may read a live run. It checks every line: one that fails its checksum
is skipped and counted, and everything after the damage is read.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from operator import attrgetter
from pathlib import Path

from refunc.journal.codec_many import runs_of
from refunc.journal.intake import Intake
from refunc.journal.pieces import Segment, segments
from refunc.journal.record import Record
from refunc.journal.segments import Account, SegmentLines, lines_backwards, logger_of
from refunc.journal.stretches import Stretches

__all__ = ["HEAD_BYTES", "METRICS_MARK", "Account", "read_backwards", "read_journal", "read_writer_backwards"]

#: The position of the kind in a line that refunc wrote; in other lines it only takes longer to find.
HEAD_BYTES = 96
METRICS_MARK = b'"kind":"metrics"'

_BLOCK_BYTES = 1 << 16
#: The same where most blocks are passed over, as a whole.
_PASSED_BYTES = 1 << 18
#: Total bytes of the blocks of all writers, and the smallest block that is worth opening a file.
_ALL_BLOCKS_BYTES, _LEAST_BLOCK_BYTES = 8 << 20, 1 << 12
_NONE: Mapping[str, Stretches] = {}
#: Lines that are decoded together when reading backwards, where a few are wanted.
_TOGETHER = 64


def read_journal(
    folder: Path,
    account: Account | None = None,
    *,
    pass_over: bytes | None = None,
    stretches: Mapping[str, Stretches] = _NONE,
) -> Iterator[Record]:
    """
    Yield the records of the run in *folder*: each writer's in the order of its numbers, writers merged by time.

    After a disk error, records that the disk lost come where they were written again.

    Args:
        account: Filled while reading.
        pass_over: The mark of a kind to leave out, `METRICS_MARK`: its lines are skipped without decoding, at a
            fraction of the cost. The account then counts them as missing.
        stretches: By the name of a segment, the stretches of it that are not even read.

    Raises:
        OSError: The segments cannot be listed; see `pieces.segments`.
        NoDescriptorError: Too many files are open. One is needed, however many writers there are.
    """
    account = account if account is not None else Account()
    found = segments(folder)
    size = _block_size(len(found), pass_over)
    streams = [_read_writer(writer, pieces, account, pass_over, size, stretches) for writer, pieces in found.items()]
    if len(streams) == 1:
        return streams[0]
    return heapq.merge(*streams, key=attrgetter("time"))


def read_backwards(
    folder: Path, *, pass_over: bytes | None = None, stretches: Mapping[str, Stretches] = _NONE
) -> Iterator[Record]:
    """
    Yield the records of the run in *folder* newest first, reading only as much of the files as is needed.

    Args:
        pass_over: See `read_journal`, which raises the same errors.
        stretches: See `read_journal`.
    """
    found = segments(folder)
    size = _block_size(len(found), pass_over)
    # The last writer first: of records of the same time, the merge takes the one of the earlier stream.
    streams = [
        read_writer_backwards(*writer, pass_over, size=size, stretches=stretches) for writer in reversed(found.items())
    ]
    if len(streams) == 1:
        return streams[0]
    return heapq.merge(*streams, key=attrgetter("time"), reverse=True)


def _block_size(writers: int, pass_over: bytes | None) -> int:
    """Return the block size for this number of writers, whose files are read in turns."""
    most = _BLOCK_BYTES if pass_over is None else _PASSED_BYTES
    return max(_LEAST_BLOCK_BYTES, min(most, _ALL_BLOCKS_BYTES // max(1, writers)))


def _read_writer(
    writer: str,
    pieces: list[Segment],
    account: Account,
    pass_over: bytes | None,
    size: int,
    stretches: Mapping[str, Stretches],
) -> Iterator[Record]:
    intake = Intake(writer, account=account)
    for segment in pieces:
        intake.logger = ""
        lines = SegmentLines(segment, 0, account, size, pass_over, stretches.get(segment.name, ()))
        try:
            for block in lines:
                for line in block:
                    if pass_over is not None and line.startswith(pass_over, line.find(b'"kind":', 0, HEAD_BYTES)):
                        continue
                    record = intake.record(line)
                    if record is not None:
                        yield record
        except OSError:  # one file that cannot be read must not hide the others
            account.damaged += 1
        account.torn += lines.unfinished == "torn"
        account.damaged += lines.unfinished == "long"
    account.missing += intake.numbers.missing


def read_writer_backwards(
    writer: str,
    pieces: list[Segment],
    pass_over: bytes | None = None,
    failures: list[OSError] | None = None,
    *,
    only: bytes | None = None,
    size: int = _BLOCK_BYTES,
    stretches: Mapping[str, Stretches] = _NONE,
) -> Iterator[Record]:
    """
    Yield the records of one writer, newest first.

    Args:
        pieces: Its segments, oldest first.
        pass_over: See `read_journal`.
        failures: Filled with the errors of segments that cannot be read; the others are still read.
        only: Text that a line must contain; other lines are not decoded, which takes a fifteenth of the time.
        size: Bytes that are read at a time.
        stretches: See `read_journal`.
    """
    intake = Intake(writer)
    failures = failures if failures is not None else []
    for segment in reversed(pieces):
        intake.logger = logger_of(segment)
        lines = lines_backwards(segment, failures, size, pass_over, stretches.get(segment.name, ()))
        if only is not None:
            lines = (line for line in lines if only in line)
        if pass_over is not None:
            lines = (line for line in lines if not line.startswith(pass_over, line.find(b'"kind":', 0, HEAD_BYTES)))
        for some in _together(lines):
            for is_metrics, alike in runs_of(some):
                yield from intake.earlier_metrics(alike) if is_metrics else intake.earlier_records(alike)


def _together(lines: Iterator[bytes]) -> Iterator[list[bytes]]:
    """Yield *lines* several at a time, but no more bytes than one long line and a block have."""
    some: list[bytes] = []
    size = 0
    for line in lines:
        some.append(line)
        size += len(line)
        if len(some) == _TOGETHER or size >= _BLOCK_BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some
