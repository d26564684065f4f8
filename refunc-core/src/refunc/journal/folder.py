"""The run's folder: its birth record `run.json`, and the paths in it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from refunc.journal.ranks import path_of, take_part
from refunc.journal.roles import Role
from refunc.outlets.locks import give_up
from refunc.outlets.opening import write_whole
from refunc.outlets.own_folder import keep_out_of_git
from refunc.outlets.replaced import Draft
from refunc.processes.family import FAMILY, marks_of
from refunc.processes.opener import OPENED_BY, facts_of_this_process

RUN_JSON = "run.json"
JOURNAL = "journal"
ARTIFACTS = "artifacts"
DELIVERY = "delivery"
SEGMENT_SUFFIX = ".jsonl"
#: Size in bytes at which a segment is full.
SEGMENT_BYTES = 16 << 20


class RunFolder:
    """A run's folder on the writing side. Nothing exists on disk before `create`."""

    def __init__(self, path: Path, birth: dict[str, Any], *, is_made: bool = False, role: Role | None = None) -> None:
        """
        Args:
            is_made: Another process opened the run: its `run.json`, and the lock on it, are left alone.
            role: This process's role in the run, or that of the process whose worker it is.
        """
        self.path = path
        self.birth = birth
        self.role = role if role is not None else Role()
        self._held: list[int] = []  # the descriptor with the lock; a thread that takes it out is the one that closes it
        self._created = is_made

    def create(self) -> None:
        """
        Make the folder and `run.json`, complete or not at all; again if they were deleted while the run is open.

        The process holds a lock on `run.json` from before the file can be seen until it ends, however it ends: that is
        how a reader knows, without a server, whether a run without an end record is running or crashed.

        Raises:
            OSError: It cannot be made now; an unfinished folder does no harm.
        """
        if self._created and (not self._held or (self.path / RUN_JSON).exists()):
            return
        os.makedirs(self.path / JOURNAL, exist_ok=True)
        keep_out_of_git(self.path)
        with Draft(self.path / RUN_JSON) as draft:
            self._write_birth(draft)
            draft.put(fsync=True)
            self.release()
            self._held.append(draft.taken())
        self._created = True

    def _write_birth(self, draft: Draft) -> None:
        if not draft.is_locked:
            raise BlockingIOError(errno.EAGAIN, "another process has locked it", str(draft.path))
        birth = {**self.birth, FAMILY: marks_of(self.path, self.birth["run_id"])}
        birth[OPENED_BY] = facts_of_this_process(os.fstat(draft.fd).st_dev)
        write_whole(draft.fd, json.dumps(birth, indent=2).encode("ascii") + b"\n")

    def release(self) -> None:
        """Give up the lock: at the run's end."""
        with contextlib.suppress(IndexError):
            give_up(self._held.pop())

    def leave_lock(self) -> None:
        """Leave the lock to the parent, in a forked child, which must neither end it nor keep it alive."""
        with contextlib.suppress(IndexError):
            os.close(self._held.pop())


class SharedRunFolder(RunFolder):
    """
    The folder of a run that several processes open, at once or one after another.

    The first of them makes `run.json`. Each has a file of its own in `ranks/`, and its lock on that; it makes that
    first, so that a run that can be seen has a process that can be asked.
    """

    def __init__(self, path: Path, birth: dict[str, Any], role: Role, facts: Mapping[str, Any]) -> None:
        """
        Args:
            facts: Members of the file of this process.
        """
        super().__init__(path, birth, role=role)
        self._facts = facts

    def create(self) -> None:
        """
        Make the folder, `run.json` and the file of this process, or those that are missing.

        Raises:
            FileExistsError: Another process has this rank in this attempt.
            OSError: It cannot be made now; an unfinished folder does no harm.
        """
        if self._created and path_of(self.path, self.role).exists() and (self.path / RUN_JSON).exists():
            return
        os.makedirs(self.path / JOURNAL, exist_ok=True)
        keep_out_of_git(self.path)
        if not self._held or not path_of(self.path, self.role).exists():
            marks = {FAMILY: marks_of(self.path, self.birth["run_id"])}
            fd = take_part(self.path, self.role, {**self._facts, **marks})
            self.release()
            self._held.append(fd)
        if not (self.path / RUN_JSON).exists():
            with Draft(self.path / RUN_JSON) as draft, contextlib.suppress(FileExistsError):
                self._write_birth(draft)
                draft.put_new(fsync=True)
        self._created = True


def refuse_link(path: Path) -> None:
    """Raise OSError if the folder *path* of a run is a link: the files of a run stay in its folder."""
    if path.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def size_of(path: str | os.PathLike[str]) -> int:
    """
    Return the bytes of the files below *path*, or of *path* itself if it is not a folder. Links are not followed.

    Files that cannot be read, or were removed since, do not count. Not by os.walk: in CPython 3.12 a Ctrl-C within it
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
