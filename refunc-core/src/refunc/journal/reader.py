"""
Reading a journal: every whole line of every writer, in order, and an account of what is not there.

A reader modifies nothing and locks nothing, so it may read a live run. It trusts nothing: a line that fails its
checksum is skipped and counted, and everything behind the damage is read.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO

import attrs

from refunc.journal import kinds
from refunc.journal.codec import MAX_LINE_BYTES, decode_line
from refunc.journal.folder import JOURNAL, SEGMENT_SUFFIX
from refunc.journal.numbers import Numbers
from refunc.journal.record import Gap, Record, record_of
from refunc.journal.values import INT64_MAX

#: Where the kind stands in a line that refunc wrote; in another one it costs time to find, and nothing else.
HEAD_BYTES = 96
METRICS_MARK = b'"kind":"metrics"'

_BLOCK_BYTES = 1 << 16
#: The most that is read at once of a line that began further up: what is there already is copied each time.
_MAX_BLOCK_BYTES = 4 << 20


@attrs.define
class Account:
    """What a reader met besides records. Numbers of lines or records; 0 everywhere is a whole journal."""

    torn: int = 0  # unfinished lines at the end of a segment
    damaged: int = 0  # lines that fail their checksum, and files that cannot be read
    missing: int = 0  # sequence numbers that no line has
    dropped: int = 0  # records that the writer says it dropped
    duplicates: int = 0  # lines written twice after a disk error; each record is read once

    def __add__(self, other: Account) -> Account:
        """Return both accounts as one."""
        return Account(*(getattr(self, field.name) + getattr(other, field.name) for field in attrs.fields(Account)))


def segments(folder: Path) -> dict[str, list[Path]]:
    """Return the segment files in the run *folder* by writer, oldest first. Links and foreign files are left out."""
    found: dict[str, list[Path]] = {}
    journal = folder / JOURNAL
    if not journal.is_dir():
        return found
    for path in sorted(journal.iterdir()):
        writer, _, number = path.name.removesuffix(SEGMENT_SUFFIX).rpartition(".")
        if path.name.endswith(SEGMENT_SUFFIX) and writer and number.isdigit() and _is_plain_file(path):
            found.setdefault(writer, []).append(path)
    return found


def read_journal(folder: Path, account: Account | None = None, *, pass_over: bytes | None = None) -> Iterator[Record]:
    """
    Yield the records of the run in *folder*: each writer's in the order of its numbers, writers merged by time.

    After a disk error, what the disk lost of a segment comes where it was written again.

    Args:
        account: Filled while reading.
        pass_over: The mark of a kind that is not wanted, `METRICS_MARK`: its lines are not looked at any further,
            which costs a fraction. The account then counts them as missing.
    """
    account = account if account is not None else Account()
    streams = [_read_writer(writer, paths, account, pass_over) for writer, paths in segments(folder).items()]
    if len(streams) == 1:
        return streams[0]
    return heapq.merge(*streams, key=attrgetter("time"))


def read_backwards(folder: Path, *, pass_over: bytes | None = None) -> Iterator[Record]:
    """
    Yield the records of the run in *folder* newest first, reading no more of the files than is asked for.

    Args:
        pass_over: As of `read_journal`.
    """
    # The last writer first: of records of the same time, the merge takes the one of the earlier stream.
    streams = [read_writer_backwards(*writer, pass_over) for writer in reversed(segments(folder).items())]
    if len(streams) == 1:
        return streams[0]
    return heapq.merge(*streams, key=attrgetter("time"), reverse=True)


def _read_writer(writer: str, paths: list[Path], account: Account, pass_over: bytes | None = None) -> Iterator[Record]:
    numbers = Numbers()
    for path in paths:
        logger = ""
        for line in _lines(path, account):
            if pass_over is not None and line.startswith(pass_over, line.find(b'"kind":', 0, HEAD_BYTES)):
                continue
            fields = decode_line(line)
            if fields is None:
                account.damaged += 1
            elif fields.get("kind") == kinds.SEGMENT:
                logger = str(fields.get("logger", ""))
            else:
                record = record_in(fields, writer, logger)
                if record is None:
                    account.damaged += 1
                elif numbers.take(record.seq):
                    if isinstance(record, Gap):
                        account.dropped += record.dropped
                    yield record
                else:
                    account.duplicates += 1
    account.missing += numbers.missing


def read_writer_backwards(
    writer: str, paths: list[Path], pass_over: bytes | None = None, failures: list[OSError] | None = None
) -> Iterator[Record]:
    """
    Yield the records of one writer, newest first.

    Args:
        paths: Its segments, oldest first.
        pass_over: As of `read_journal`.
        failures: Filled with why segments cannot be read; the others are read all the same.
    """
    numbers = Numbers()
    for path in reversed(paths):
        logger = logger_of(path)
        for line in _lines_backwards(path, failures if failures is not None else []):
            if pass_over is not None and line.startswith(pass_over, line.find(b'"kind":', 0, HEAD_BYTES)):
                continue
            fields = decode_line(line)
            if fields is None or fields.get("kind") == kinds.SEGMENT:
                continue
            record = record_in(fields, writer, logger)
            if record is not None and numbers.take(-record.seq):
                yield record


def record_in(fields: dict[str, Any], writer: str, logger: str) -> Record | None:
    """Return the record in a decoded line of *writer*, in a segment whose lines come from *logger* by default."""
    fields["writer"] = writer
    fields.setdefault("logger", logger)
    record = record_of(fields)
    # A writer counts from 0, and without a number nobody can tell whether it was read before.
    return record if record is not None and 0 <= record.seq <= INT64_MAX else None


def _lines(path: Path, account: Account) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            while line := file.readline(MAX_LINE_BYTES):
                if line.endswith(b"\n"):
                    yield line[:-1]
                elif len(line) < MAX_LINE_BYTES:
                    account.torn += 1
                else:
                    account.damaged += 1
                    _skip_line(file)
    except OSError:  # one file that cannot be read must not hide the others
        account.damaged += 1


def _skip_line(file: BinaryIO) -> None:
    while rest := file.readline(_BLOCK_BYTES):
        if rest.endswith(b"\n"):
            return


def _lines_backwards(path: Path, failures: list[OSError]) -> Iterator[bytes]:
    """Yield the whole lines of *path*, last first."""
    try:
        with open(path, "rb") as file:
            position = file.seek(0, 2)
            tail = b""
            while position > 0:
                size = min(max(_BLOCK_BYTES, len(tail)), _MAX_BLOCK_BYTES, position)
                position -= size
                file.seek(position)
                head, *whole = (file.read(size) + tail).split(b"\n")
                # The last piece is behind the last newline: nothing, or a line that is torn or was given already.
                yield from reversed(whole[:-1])
                tail = head + b"\n" if whole else head
                if len(tail) > MAX_LINE_BYTES:
                    tail = b""  # no record of ours: what is still to come of it is dropped like a torn line
            if tail.endswith(b"\n"):
                yield tail[:-1]
    except OSError as error:  # see `_lines`
        failures.append(error)


def logger_of(path: Path) -> str:
    """Return the logger that lines of the segment *path* come from by default: its header says it."""
    try:
        with open(path, "rb") as file:
            fields = decode_line(file.readline(MAX_LINE_BYTES).rstrip(b"\n"))
    except OSError:
        return ""
    return str(fields.get("logger", "")) if fields and fields.get("kind") == kinds.SEGMENT else ""


def _is_plain_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
