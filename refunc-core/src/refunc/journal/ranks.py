"""
The processes that have opened a run together: a file for each rank and attempt, `ranks/<attempt>.<rank>.json`.

A process makes its file when it opens the run and holds a lock on it until it leaves, as the only process of an
ordinary run does with `run.json`. A file is made once and never changed, so a rank takes part once in an attempt.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from refunc.journal.opening import NoDescriptorError, first_files_in, read_whole
from refunc.journal.roles import Role
from refunc.outlets.opening import write_whole
from refunc.outlets.replaced import Draft
from refunc.processes.launchers import launch_rank
from refunc.processes.opener import OPENED_BY, facts_of_this_process

RANKS: Final = "ranks"
#: More bytes than any rank file has.
_MOST_BYTES: Final = 1 << 16
_NAME: Final = re.compile(r"([1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,6})\.json")
#: The most names that are looked at: more than any launch has, and as many as cost a reader a moment.
_MOST_NAMES: Final = 1 << 18
#: Seconds after a change in which a list of names may not be the last one: clocks of file systems are coarse.
_UNSETTLED: Final = 2.0


def role_here(folder: Path) -> Role | None:
    """Return the role of this process as a worker in the run in *folder*; None without a launch or attempts."""
    number = launch_rank()
    with suppress(OSError, NoDescriptorError):
        files = rank_files(folder)
        if files or number is not None:
            return Role(files[-1].role.attempt if files else 1, number)
    return None


class RankFile(NamedTuple):
    """The file of one process, in *folder*, that of its run."""

    role: Role
    folder: Path

    @property
    def path(self) -> Path:
        """Its path."""
        return path_of(self.folder, self.role)

    def facts(self) -> dict[str, Any]:
        """Return its members; none if it cannot be read, or was not written by refunc."""
        try:
            facts = json.loads(read_whole(self.path, _MOST_BYTES))
        except (OSError, ValueError, RecursionError):
            return {}
        return facts if isinstance(facts, dict) else {}


def rank_files(folder: Path) -> list[RankFile]:
    """
    Return the files of the run in *folder*, by attempt and rank; none if `ranks` is a link or another file.

    Raises:
        OSError: They cannot be listed.
        NoDescriptorError: Too many files are open.
    """
    path = os.path.join(folder, RANKS)
    try:
        info = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return []
    if not stat.S_ISDIR(info.st_mode):
        return []
    # A command asks several times, and a stranger's folder may have very many names.
    listed = _roles_in if time.time() - info.st_mtime > _UNSETTLED else _roles_in.__wrapped__
    return [RankFile(role, folder) for role in listed(path, info.st_ino, info.st_mtime_ns)]


@lru_cache(maxsize=2)
def _roles_in(path: str, _number: int, _changed: int) -> list[Role]:
    with suppress(FileNotFoundError, NotADirectoryError):
        names = (_NAME.fullmatch(name) for name in first_files_in(path, _MOST_NAMES))
        return sorted(Role(int(name[1]), int(name[2])) for name in names if name is not None)
    return []


def newest(files: list[RankFile]) -> list[RankFile]:
    """Return those of the last attempt."""
    return [file for file in files if file.role.attempt == files[-1].role.attempt]


def of_this_rank(folder: Path) -> list[RankFile]:
    """Return the files of this process's rank, or of the rank whose worker it is, of the newest attempt first."""
    number = launch_rank() or 0
    return [file for file in reversed(rank_files(folder)) if file.role.rank == number]


def path_of(folder: Path, role: Role) -> Path:
    """Return the path of the file of *role*."""
    return folder / RANKS / f"{role.attempt}.{role.rank or 0}.json"


def take_part(folder: Path, role: Role, facts: Mapping[str, Any]) -> int:
    """
    Make the file of this process, and return its descriptor, which holds the lock.

    Raises:
        FileExistsError: A process has taken this rank in this attempt.
        OSError: It cannot be made now.
    """
    path = path_of(folder, role)
    os.makedirs(path.parent, exist_ok=True)
    with Draft(path) as draft:
        if not draft.is_locked:
            raise BlockingIOError(errno.EAGAIN, "another process has locked it", str(draft.path))
        whole = {"attempt": role.attempt, "rank": role.rank, **facts}
        whole[OPENED_BY] = facts_of_this_process(os.fstat(draft.fd).st_dev)
        write_whole(draft.fd, json.dumps(whole, indent=2).encode("ascii") + b"\n")
        draft.put_new(fsync=True)
        return draft.taken()
