"""Files that this process alone writes: appending that can be resumed, and locks that end with the process."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING

try:
    import fcntl
except ImportError:  # Windows has no flock: there a run without an end reads as running
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from pathlib import Path

# macOS has no fdatasync; its fsync does at least as much.
_datasync = getattr(os, "fdatasync", os.fsync)

#: Errors that are not about the file: the process, or the machine, has reached its limit of open files.
NO_DESCRIPTOR = frozenset({errno.EMFILE, errno.ENFILE})

#: The devices of file systems that have refused this process a lock.
_without_locks: set[int] = set()

_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)  # opening a pipe instead of a file would wait for ever


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
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | _NOFOLLOW | (os.O_EXCL if new else 0)
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
        fd = own if own >= 0 else open_file(self.path, os.O_RDONLY | _NOFOLLOW)
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


def no_links(path: str | os.PathLike[str], flags: int) -> int:
    """
    Open *path* for `open(…, opener=no_links)`: nothing is written through a link in the run, or into a pipe.

    For writing; `opening.opened` is for reading.
    """
    return _regular(open_file(path, flags | _NOFOLLOW | _NONBLOCK), path)


def own_only(path: str | os.PathLike[str], flags: int) -> int:
    """Do the same for a file that other users can neither read nor lock, regardless of the umask."""
    return _regular(open_file(path, flags | _NOFOLLOW | _NONBLOCK, 0o600), path)


def _regular(fd: int, path: str | os.PathLike[str]) -> int:
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is not a regular file", os.fspath(path))
    return fd


def open_file(path: str | os.PathLike[str], flags: int, mode: int = 0o666) -> int:
    """Open *path* as `os.open` does, or `open(…, opener=open_file)`, with a descriptor above the standard ones."""
    return above_standard(os.open(path, flags | _CLOEXEC, mode))


def above_standard(fd: int) -> int:
    """
    Return *fd*; if it is 0, 1 or 2, close it and return another descriptor of the same file.

    A program that was started with `2>&-` gives the first file that it opens the number of stderr. C libraries write to
    that number in any case, and their lines would end up in the file.
    """
    if fd > 2:
        return fd
    try:
        return above_standard(os.dup(fd))
    finally:
        os.close(fd)


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


def write_whole(fd: int, data: bytes | memoryview) -> None:
    """Write all of *data*: a disk that fills up takes only a part, and only the next write raises."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def lock(fd: int) -> bool:
    """
    Lock the open file until `give_up`, or the end of this process.

    False if another process holds the lock; never if the file system has no locks.
    """
    return locked(fd) is not False


def locked(fd: int) -> bool | None:
    """Lock the open file like `lock`; None if the file system has no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        _without_locks.add(os.fstat(fd).st_dev)
        return None
    if _without_locks:
        # One refusal that was a chance, as an I/O error may be, says nothing about later runs.
        _without_locks.discard(os.fstat(fd).st_dev)
    return True


def give_up(fd: int) -> None:
    """
    Close the open file, and give up its lock also for children that were forked meanwhile.

    Each of them has a copy of the descriptor, at least until it comes to close it, and closing this one alone would
    leave the file locked until then. The children themselves only close theirs, as the lock is not theirs to end.
    """
    try:
        if fcntl is not None:
            with contextlib.suppress(OSError):  # closing it does the same where there are no such children
                fcntl.flock(fd, fcntl.LOCK_UN)
    finally:
        os.close(fd)


def is_without_locks(path: str | os.PathLike[str]) -> bool:
    """Whether the file system of *path* refused this process the last lock, as NFS without lockd does."""
    try:
        return bool(_without_locks) and os.stat(path).st_dev in _without_locks
    except OSError:
        return False


def is_written(fd: int) -> bool | None:
    """
    Whether a process of this machine has a file open for writing; None if the system does not tell.

    Args:
        fd: The file, opened for reading by its owner.
    """
    if fcntl is None or not hasattr(fcntl, "F_SETLEASE"):
        return None
    try:
        # A process that opens the file during the lease causes a signal to this one, which is ignored.
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:
        return None
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def is_locked(path: Path) -> bool | None:
    """Whether some process holds the lock on *path*; None if that cannot be known."""
    try:
        probe = LockProbe(path)
    except OSError:
        return None
    try:
        return probe.is_locked()
    finally:
        probe.close()


class LockProbe:
    """Checks repeatedly whether a file is locked, at the cost of one system call."""

    fd = -1

    def __init__(self, path: Path) -> None:
        """Open *path* for checking. Raises OSError if it does not exist or cannot be read."""
        self.fd = open_file(path, os.O_RDONLY | _NONBLOCK)

    def is_locked(self) -> bool | None:
        """Whether some process holds the lock; None if that cannot be known."""
        if fcntl is None:
            return None
        try:
            fcntl.flock(self.fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return None
        fcntl.flock(self.fd, fcntl.LOCK_UN)
        return False

    def close(self) -> None:
        """Close the file; may be called again."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.close()
