"""The run's folder: its birth record `run.json`, and where things lie in it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

from refunc.journal.file import lock, write_whole
from refunc.journal.names import new_id

RUN_JSON = "run.json"
JOURNAL = "journal"
ARTIFACTS = "artifacts"
DELIVERY = "delivery"
SEGMENT_SUFFIX = ".jsonl"


class RunFolder:
    """A run's folder on the writing side. Nothing exists on disk before `create`."""

    def __init__(self, path: Path, birth: dict[str, Any], *, is_made: bool = False) -> None:
        """
        Args:
            is_made: Another process opened the run: its `run.json`, and the lock on it, are left alone.
        """
        self.path = path
        self.birth = birth
        self._lock_fd = -1
        self._created = is_made

    def create(self) -> None:
        """
        Make the folder and `run.json`, complete or not at all; once is enough.

        The process holds a lock on `run.json` from before the file can be seen until it ends, however it ends: that is
        how a reader knows, without a server, whether a run without an end record is running or crashed.

        Raises:
            OSError: It cannot be made now; what was made so far does no harm.
        """
        if self._created:
            return
        os.makedirs(self.path / JOURNAL, exist_ok=True)
        _write_once(self.path / ".gitignore", b"*\n")
        target = self.path / RUN_JSON
        draft = self.path / f".{RUN_JSON}.{new_id()}"
        fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666)
        try:
            write_whole(fd, json.dumps(self.birth, indent=2).encode("ascii") + b"\n")
            os.fsync(fd)
            lock(fd)
            os.rename(draft, target)
        except BaseException:
            os.close(fd)
            with contextlib.suppress(OSError):
                os.unlink(draft)
            raise
        self._lock_fd = fd
        self._created = True

    def release(self) -> None:
        """Give up the lock: at the run's end, and in a forked child, which must not keep its parent's run alive."""
        fd, self._lock_fd = self._lock_fd, -1
        if fd >= 0:
            os.close(fd)


def refuse_link(path: Path) -> None:
    """Raise OSError where the folder *path* of a run is a link: what belongs to a run stays in its folder."""
    if path.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def size_of(path: str | os.PathLike[str]) -> int:
    """
    Return the bytes of the files below the folder *path*, or of it where it is no folder. Links are not followed.

    What cannot be read, or was removed since, counts nothing. Not by os.walk: in CPython 3.12 a Ctrl-C within it
    may come out as a TypeError (https://github.com/python/cpython/issues/108214).
    """
    total, found = 0, [os.fspath(path)]
    while found:
        path = found.pop()
        try:
            info = os.lstat(path)
            if stat.S_ISDIR(info.st_mode):
                found += [os.path.join(path, name) for name in os.listdir(path)]
            else:
                total += info.st_size
        except OSError:
            continue
    return total


def _write_once(path: Path, data: bytes) -> None:
    try:
        with open(path, "xb") as file:
            file.write(data)
    except FileExistsError:
        return
