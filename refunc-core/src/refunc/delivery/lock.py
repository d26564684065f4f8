"""
The lock of the process that delivers a run to an integration: `delivery/<key>.lock`.

The file has the mode 0600, because everyone who can open a file can lock it. If it was opened to others later, as by
`chmod -R`, another user could hold the lock forever; if that is detected, a new file replaces it.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from refunc.journal.folder import DELIVERY, refuse_link
from refunc.outlets.locks import give_up, lock
from refunc.outlets.opening import own_only
from refunc.processes.forks import in_child
from refunc.processes.opener import holders_of, user_of

#: The locks that this process holds.
_held: dict[DeliveryLock, None] = {}


class DeliveryLock:
    """
    Held by the one process that delivers a run to an integration; the kernel releases it with the process.

    A forked child, which an integration may have, leaves it to its parent.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self._path = folder / DELIVERY / f"{key}.lock"
        self._fd = -1

    @property
    def is_held(self) -> bool:
        """Whether this object holds the lock."""
        return self._fd >= 0

    def take(self) -> bool:
        """Take the lock; False if another process has it. Raises OSError if the file cannot be created."""
        if self.is_held:
            return True
        self._path.parent.mkdir(exist_ok=True)
        refuse_link(self._path.parent)
        self._fd = _locked(self._path)
        if self._fd < 0 and _is_a_strangers(self._path):
            self._fd = _put_in_place(self._path)
        if self.is_held:
            _held[self] = None
        return self.is_held

    def release(self) -> None:
        """Release it. Idempotent."""
        _held.pop(self, None)
        fd, self._fd = self._fd, -1
        if fd >= 0:
            give_up(fd)

    def leave(self) -> None:
        """Leave it to the parent, in a forked child."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _locked(path: Path, flags: int = 0) -> int:
    """Return a descriptor of the file *path*, locked and private; -1 if another process has the lock."""
    fd = own_only(path, os.O_RDWR | os.O_CREAT | flags)
    try:
        if lock(fd) and os.path.samestat(os.fstat(fd), os.stat(path, follow_symlinks=False)):
            if os.name == "posix" and stat.S_IMODE(os.fstat(fd).st_mode) != 0o600:
                with contextlib.suppress(OSError):  # another user's
                    os.fchmod(fd, 0o600)
            return fd
    except FileNotFoundError:  # another process is replacing it
        pass
    except BaseException:
        give_up(fd)
        raise
    os.close(fd)
    return -1


def _is_a_strangers(path: Path) -> bool:
    """Whether the lock on *path* is held only by processes of other users; root counts as any user."""
    if not hasattr(os, "geteuid"):
        return False
    try:
        users = {user_of(pid) for pid in holders_of(os.stat(path, follow_symlinks=False))}
    except OSError:
        return False
    return bool(users) and not users & {None, 0, os.geteuid()}


def _put_in_place(path: Path) -> int:
    """Replace the file *path*, which another user has locked; return the new file's descriptor, locked, or -1."""
    turn = path.with_name(f"{path.name}.new")  # one process at a time: otherwise two could each lock their own new file
    held = _locked(turn)
    if held < 0:
        return -1
    try:
        if not _is_a_strangers(path):  # another process was quicker
            return -1
        os.unlink(path)
        return _locked(path, os.O_EXCL)
    except FileExistsError:
        return -1
    finally:
        with contextlib.suppress(OSError):
            os.unlink(turn)
        give_up(held)


@in_child
def _after_fork_in_child() -> None:
    for held in [*_held]:
        held.leave()
    _held.clear()
