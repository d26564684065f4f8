"""Locks on open files, which end with the process that holds them, and asking for them."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

from refunc.outlets.opening import NONBLOCK, open_file

try:
    import fcntl
except ImportError:  # Windows has no flock: there a run without an end reads as running
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from pathlib import Path

#: The devices of file systems that have refused this process a lock.
_without_locks: set[int] = set()


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
        self.fd = open_file(path, os.O_RDONLY | NONBLOCK)

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
