"""Files that this process alone writes: appending that can be resumed, and forcing to disk."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from refunc.outlets.locks import give_up
from refunc.outlets.opening import NOFOLLOW, open_file, write_whole

if TYPE_CHECKING:
    from pathlib import Path

# macOS has no fdatasync; its fsync does at least as much.
_datasync = getattr(os, "fdatasync", os.fsync)


class AppendFile:
    """
    One open file that only grows, and that only this process writes.

    The methods that write are called within an outlet's turn, `fsync` and `close` within that of its fsync.
    """

    def __init__(self, path: Path, *, new: bool) -> None:
        """
        Open *path* for appending.

        Args:
            new: Demand that the file does not exist yet.

        Raises:
            OSError: It cannot be opened, or exists although it must be new.
        """
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | NOFOLLOW | (os.O_EXCL if new else 0)
        self.path = path
        self.fd = open_file(path, flags)
        self.fsynced = 0 if new else self.size  # earlier content is not this process's to force to disk
        self._identity = _identity(self.fd)
        self._entered = not new  # whether the folder's entry for the file is known to be on disk

    @property
    def size(self) -> int:
        """The file's size in bytes, asked of the system."""
        return os.fstat(self.fd).st_size

    def is_deleted(self) -> bool:
        """Whether the file no longer has a name, so that its content is gone when it is closed."""
        return self.fd >= 0 and os.fstat(self.fd).st_nlink == 0

    def append_from(self, base: int, data: bytes, *, resume: bool) -> None:
        """
        Write the missing rest of *data*, whose first byte belongs at offset *base*.

        Args:
            resume: An earlier attempt with the same *data* was interrupted or refused, so part of it may be there.
                The file's size says how much: a short write is continued, not torn.

        Raises:
            OSError: The write was refused; call again later with `resume=True`.
        """
        done = max(0, self.size - base) if resume else 0
        write_whole(self.fd, memoryview(data)[done:])

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from *start* to *end*. Raises OSError."""
        with self._opened() as fd:
            os.lseek(fd, start, os.SEEK_SET)  # appending does not care about the position
            parts = []
            while start < end and (part := os.read(fd, end - start)):
                parts.append(part)
                start += len(part)
            return b"".join(parts)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        """Yield a descriptor of this file: its own, even if the file was renamed; if it is closed, one by its name."""
        own = self.fd
        fd = own if own >= 0 else open_file(self.path, os.O_RDONLY | NOFOLLOW)
        try:
            if _identity(fd) != self._identity:
                raise FileNotFoundError(f"{self.path} has been replaced by another file")
            yield fd
        finally:
            if fd != own:
                os.close(fd)

    def fsync(self, size: int) -> None:
        """
        Force the first *size* bytes to the disk, and the file's name at the first time.

        Raises:
            OSError: The system could not; it may have dropped the pages, so everything after `fsynced` is suspect
                (https://wiki.postgresql.org/wiki/Fsync_Errors).
        """
        if size > self.fsynced:
            with self._opened() as fd:  # an interrupted drain may have left a closed file that has grown
                _datasync(fd)
            self.fsynced = size
        if not self._entered and size:
            _fsync_folder(self.path.parent)
            self._entered = True

    def close(self) -> None:
        """Close the file; may be called again."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def give_up(self) -> None:
        """Close the file, and give up this process's lock on it; may be called again."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            give_up(fd)


def _identity(fd: int) -> tuple[int, int]:
    info = os.fstat(fd)
    return info.st_dev, info.st_ino


def fsync_file(path: Path) -> None:
    """Force a finished file and its name to disk. Raises OSError."""
    fd = open_file(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    _fsync_folder(path.parent)


def _fsync_folder(folder: Path) -> None:
    """Force a new file's name to disk (see fsync(2)); if folders cannot be opened, as on Windows, do nothing."""
    try:
        fd = open_file(folder, os.O_RDONLY)
    except (PermissionError, FileNotFoundError):
        return
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
