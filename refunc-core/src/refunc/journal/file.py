"""Files that this process alone writes: appending that can be taken up again, and locks that end with the process."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no flock: there a run without an end reads as running
    fcntl = None  # type: ignore[assignment]

# macOS has no fdatasync; its fsync does at least as much.
_datasync = getattr(os, "fdatasync", os.fsync)
_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)


class AppendFile:
    """
    One open file that only grows, and that nobody else writes.

    The methods that write are called under an outlet's drain lock, `sync` and `close` under its sync lock.
    """

    def __init__(self, path: Path, *, new: bool) -> None:
        """
        Open *path* for appending.

        Args:
            new: Demand that the file does not exist yet.

        Raises:
            OSError: It cannot be opened, or exists although it must be new.
        """
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | _CLOEXEC | _NOFOLLOW | (os.O_EXCL if new else 0)
        self.path = path
        self.fd = os.open(path, flags, 0o666)
        self.synced = 0 if new else self.size  # what stood there before is not this process's concern
        self._identity = _identity(self.fd)
        self._entered = not new  # whether the folder's entry for the file is known to be on disk

    @property
    def size(self) -> int:
        """The file's size in bytes, asked of the system."""
        return os.fstat(self.fd).st_size

    def is_deleted(self) -> bool:
        """Whether the file has no name any more, so that what is written to it is gone when it is closed."""
        return self.fd >= 0 and os.fstat(self.fd).st_nlink == 0

    def append_from(self, base: int, data: bytes, *, resume: bool) -> None:
        """
        Write what is still missing of *data*, whose first byte belongs at offset *base*.

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
        """Give a descriptor of this file: its own, whatever its name is by now; if it is closed, one by its name."""
        own = self.fd
        fd = own if own >= 0 else os.open(self.path, os.O_RDONLY | _CLOEXEC | _NOFOLLOW)
        try:
            if _identity(fd) != self._identity:
                raise FileNotFoundError(f"{self.path} is another file by now")
            yield fd
        finally:
            if fd != own:
                os.close(fd)

    def sync(self, size: int) -> None:
        """
        Force the first *size* bytes to the disk, and the file's name at the first time.

        Raises:
            OSError: The system could not; it may have dropped the pages, so everything behind `synced` is suspect
                (https://wiki.postgresql.org/wiki/Fsync_Errors).
        """
        if size > self.synced:
            with self._opened() as fd:  # a drain that was interrupted may have left a closed one with more in it
                _datasync(fd)
            self.synced = size
        if not self._entered and size:
            _sync_folder(self.path.parent)
            self._entered = True

    def close(self) -> None:
        """Close the file; once is enough, more does no harm."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


def _identity(fd: int) -> tuple[int, int]:
    info = os.fstat(fd)
    return info.st_dev, info.st_ino


def no_links(path: str | os.PathLike[str], flags: int) -> int:
    """Open *path* as `open(…, opener=no_links)` wants it: through a link in the run nothing is written."""
    return os.open(path, flags | _CLOEXEC | _NOFOLLOW, 0o666)


def sync_file(path: Path) -> None:
    """Force a finished file and its name to disk. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | _CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Force a new file's name to disk (see fsync(2)); where folders cannot be opened, as on Windows, do nothing."""
    try:
        fd = os.open(folder, os.O_RDONLY | _CLOEXEC)
    except (PermissionError, FileNotFoundError):
        return
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_whole(fd: int, data: bytes | memoryview) -> None:
    """Write all of *data*: a disk that fills up takes a part and says so, and only the next write raises."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def lock(fd: int) -> bool:
    """
    Lock the open file for as long as this process has it open.

    False where somebody else holds the lock; where the file system has none, nobody does.
    """
    if fcntl is not None:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
    return True


def is_locked(path: Path) -> bool | None:
    """Whether some process holds the lock on *path*; None where that cannot be known."""
    try:
        probe = LockProbe(path)
    except OSError:
        return None
    try:
        return probe.is_locked()
    finally:
        probe.close()


class LockProbe:
    """Asks again and again whether a file is locked, at the price of one system call."""

    _fd = -1

    def __init__(self, path: Path) -> None:
        """Open *path* for asking. Raises OSError where it is not there or cannot be read."""
        self._fd = os.open(path, os.O_RDONLY | _CLOEXEC)

    def is_locked(self) -> bool | None:
        """Whether some process holds the lock; None where that cannot be known."""
        if fcntl is None:
            return None
        try:
            fcntl.flock(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return None
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        return False

    def close(self) -> None:
        """Close the file; once is enough, more does no harm."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.close()
