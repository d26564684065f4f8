"""
Holes in files: a sparse file of a few bytes may claim gigabytes, all of them zero.

No writer leaves a hole in a segment, so a hole is damage of the line around it. It is skipped at once if the file
system says where it ends; otherwise it is read like zeros.
"""

from __future__ import annotations

import errno
import os
from bisect import bisect_left
from io import BufferedReader, RawIOBase
from typing import IO, Final

#: The byte that a hole is read as; no written line contains it.
NUL: Final = b"\0"
_BUFFER_BYTES: Final = 1 << 16


def data_from(file: IO[bytes] | RawIOBase, offset: int) -> int | None:
    """Return where data begins in *file*, at *offset* or after it; None if there is a hole up to the end."""
    found = _seek(file, offset, "SEEK_DATA", offset)
    return found if found >= 0 else None


def extents(file: IO[bytes] | RawIOBase, start: int = 0, stop: int | None = None) -> list[tuple[int, int]]:
    """
    Return the pieces of *file* that have data, in order, each as its start and end offset.

    Args:
        start, stop: The range of bytes; the last piece may reach further.
    """
    found: list[tuple[int, int]] = []
    begin = data_from(file, start)
    while begin is not None and (stop is None or begin < stop):
        end = _seek(file, begin, "SEEK_HOLE", -1)
        if end <= begin:  # unknown: assume that it reaches to the end
            end = os.fstat(file.fileno()).st_size
            return [*found, (begin, end)] if end > begin else found
        found.append((begin, end))
        begin = data_from(file, end)
    return found


def data_before(pieces: list[tuple[int, int]], offset: int) -> int:
    """Return where the data of *pieces* before *offset* ends: *offset* itself, unless a hole lies before it."""
    at = bisect_left(pieces, (offset,)) - 1
    return min(offset, pieces[at][1]) if at >= 0 else 0


def _is_sparse(file: IO[bytes]) -> bool:
    status = os.fstat(file.fileno())
    return bool(getattr(status, "st_blocks", status.st_size) * 512 < status.st_size)


def dense(file: IO[bytes]) -> IO[bytes]:
    """Return *file*, to be read from its beginning, with each hole as one zero byte. It has to be closed separately."""
    return BufferedReader(_Dense(file.fileno()), _BUFFER_BYTES) if _is_sparse(file) else file


class _Dense(RawIOBase):
    """The bytes of a file, from its beginning on; it does not close the descriptor."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._offset = self._end = 0  # the known end of the data

    def fileno(self) -> int:
        return self._fd

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._offset >= self._end:
            begin = data_from(self, self._offset)
            if begin is None:
                begin = os.fstat(self._fd).st_size
            if begin > self._offset:
                self._offset = begin
                buffer[:1] = NUL
                return 1
            end = _seek(self, begin, "SEEK_HOLE", -1)
            self._end = end if end > begin else begin + len(buffer)
        size = min(len(buffer), self._end - self._offset)
        os.lseek(self._fd, self._offset, os.SEEK_SET)
        found = os.read(self._fd, size)
        buffer[: len(found)] = found
        self._offset += len(found)
        return len(found)


def _seek(file: IO[bytes] | RawIOBase, offset: int, kind: str, unknown: int) -> int:
    """Return the offset found from *offset* on; -1 if there is none, *unknown* if the system cannot say."""
    whence = getattr(os, kind, None)
    if whence is None:
        return unknown
    try:
        return os.lseek(file.fileno(), offset, whence)
    except OSError as error:
        return -1 if error.errno == errno.ENXIO else unknown
