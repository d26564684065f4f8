"""
Whether the process that opened a run still has it open: told from files, locks and processes, without a server or
heartbeat.

That process holds a lock on the run's `run.json`, and the kernel releases it however the process ends. But any process
that can read the file can lock it, and a lock may be visible on one machine only. So a lock counts if it can only be
the opener's, or if all machines see it. Otherwise the process is checked, and if it cannot be seen, the run's own files
are.
"""

from __future__ import annotations

import json
import os
import stat
import time
from functools import lru_cache
from heapq import nlargest
from pathlib import Path
from typing import NamedTuple

from refunc.journal.codec import decode_line
from refunc.journal.folder import JOURNAL, RUN_JSON, SEGMENT_SUFFIX
from refunc.journal.opening import NoDescriptorError, opened
from refunc.journal.pieces import FOLDED_SUFFIX
from refunc.journal.ranks import newest as newest_ranks
from refunc.journal.ranks import rank_files
from refunc.outlets.locks import LockProbe
from refunc.processes.opener import Opener, began_of, holders_of

#: Seconds without a new record after which a run counts as crashed if only its files can tell.
SILENT = 3_600.0
#: Seconds after which that is certain enough to remove the run.
GONE = 7 * 86_400.0
#: How many of the last changed segments are read at their end.
_SEGMENTS = 16
_TAIL_BYTES = 65_536
#: The most processes of an attempt that are asked about.
_MOST_ASKED = 1 << 12
#: File systems whose locks all machines see; others, or these with an option that changes that, are not relied on.
_SHARED = {b"nfs": b"local_lock=none", b"nfs4": b"local_lock=none", b"lustre": b"flock", b"ceph": b"", b"gpfs": b""}


class Life(NamedTuple):
    """The known facts about the process that opened a run."""

    #: Whether it has the run open; None if nothing tells.
    lives: bool | None
    #: Whether that is certain.
    is_sure: bool
    #: Whether a process holds the lock, which may be that process.
    is_held: bool
    #: The remaining doubt, as text for people; empty if there is none.
    doubt: str = ""

    @property
    def may_live(self) -> bool:
        """Whether a run without an end record must be kept."""
        return self.lives is not False or not self.is_sure


_UNKNOWN = Life(None, is_sure=False, is_held=False)


def is_alive(folder: Path) -> bool | None:
    """Whether the process that opened the run in *folder* still has it open; None if that cannot be known."""
    return life_of(folder).lives


def life_of(folder: Path) -> Life:
    """
    Return the known facts about the process that opened the run in *folder*, or about those of its last attempt.

    Of several processes, one that lives decides.
    """
    try:
        files = newest_ranks(rank_files(folder))
    except (OSError, NoDescriptorError):
        return _UNKNOWN
    if not files:
        return _life_of(folder, folder / RUN_JSON)
    lives = [_life_of(folder, file.path) for file in files[:_MOST_ASKED]]
    living = [life for life in lives if life.lives]
    if living:
        return max(living, key=lambda life: life.is_sure)
    unknown = [life for life in lives if life.lives is None]
    return unknown[0] if unknown else min(lives, key=lambda life: life.is_sure)


def lives_at(folder: Path, path: Path) -> bool | None:
    """Whether the process that holds the lock on *path*, a file of the run in *folder*, lives; None if unknown."""
    return _life_of(folder, path).lives


def _life_of(folder: Path, path: Path) -> Life:
    """Return the facts about the process that holds the lock on *path*, a file of the run in *folder*."""
    try:
        probe = LockProbe(path)
    except OSError:
        return _UNKNOWN
    try:
        return _life(folder, probe)
    except OSError:
        return _UNKNOWN
    finally:
        probe.close()


def _life(folder: Path, probe: LockProbe) -> Life:
    locked, info = probe.is_locked(), os.fstat(probe.fd)
    opener = _opener(probe.fd, info)
    if locked is False and (opener.device == info.st_dev if opener.is_of_this_system else _names_no_other(opener)):
        return Life(False, is_sure=True, is_held=False)
    lives = opener.lives()
    if lives is not None:
        return Life(lives, is_sure=True, is_held=lives and bool(locked), doubt=_of_process(opener, lives, locked, info))
    if locked:
        return _held(folder, opener, info)
    if locked is False and (opener.is_before_restart or has_shared_locks(info.st_dev)):
        return Life(False, is_sure=True, is_held=False)
    if locked is None and opener.boot is None:
        doubt = "there are no locks here, so it may be running or have crashed"
        return Life(None, is_sure=False, is_held=False, doubt=doubt)
    return _by_files(folder, opener, is_held=False, lock="a lock that it holds cannot be seen here")


def _names_no_other(opener: Opener) -> bool:
    """Whether `run.json` does not name another machine, or a process to check: as on macOS, which has no /proc."""
    return opener.boot is None and (opener.host is None or opener.is_of_this_host)


def _of_process(opener: Opener, lives: bool, locked: bool | None, info: os.stat_result) -> str:
    if locked and not lives:
        return f"its process {opener.pid} is gone, and {_named(holders_of(info))} a lock on its {RUN_JSON}"
    if lives and not locked:
        return f"its process {opener.pid} is running, but its lock cannot be seen here"
    return ""


def _held(folder: Path, opener: Opener, info: os.stat_result) -> Life:
    """Return the facts from a lock whose holder may be the opener or any process that can read the file."""
    holders = holders_of(info)
    if opener.is_of_this_system and opener.began is not None and opener.device == info.st_dev and holders:
        # The opener is in another container. A process that can be seen here is identified by the time at which it
        # began.
        lives = any(began_of(pid) == opener.began for pid in holders)
        doubt = "" if lives else f"its process is gone, and {_named(holders)} a lock on its {RUN_JSON}"
        return Life(lives, is_sure=True, is_held=lives, doubt=doubt)
    if not holders or (opener.is_of_this_host and opener.pid in holders):
        return Life(True, is_sure=True, is_held=True)
    return _by_files(folder, opener, is_held=True, lock=f"{_named(holders)} a lock on its {RUN_JSON}, here")


def _by_files(folder: Path, opener: Opener, *, is_held: bool, lock: str) -> Life:
    silence = _silence(folder)
    lives = silence < SILENT
    said = "new records came within the last hour" if lives else f"no record came for {silence / 3_600:,.0f} hours"
    doubt = f"it was opened on {opener.host or 'an unknown host'}; {lock}; {said}"
    return Life(lives, is_sure=silence > GONE and not is_held, is_held=is_held, doubt=doubt)


def _named(holders: list[int]) -> str:
    if not holders:
        return "a process that cannot be seen here holds"
    return f"process {holders[0]} holds" if len(holders) == 1 else f"processes {holders[0]} and others hold"


def _opener(fd: int, info: os.stat_result) -> Opener:
    if not stat.S_ISREG(info.st_mode):
        return Opener.of(None)
    try:
        return Opener.of(json.loads(os.read(fd, 1 << 20)))
    except (OSError, ValueError, RecursionError):
        return Opener.of(None)


def _silence(folder: Path) -> float:
    """
    Return how many seconds ago the run's files last grew.

    The time of the last record counts as well as that of the file: a copied file is new, but its records are not. A
    time in the future is not a sign of life either.
    """
    now = time.time()
    newest = nlargest(_SEGMENTS, _changes(folder))
    times = [min(moment, _last_time(path, moment)) for moment, path in newest]
    times = times or [os.stat(folder / RUN_JSON).st_mtime]
    return min((max(0.0, now - moment) for moment in times if moment < now + SILENT), default=GONE + 1)


def _changes(folder: Path) -> list[tuple[float, str]]:
    """
    Return when each file with segments was changed, and its path; a folded file ends with the segment that was
    changed last.
    """
    try:
        with os.scandir(folder / JOURNAL) as entries:
            return [
                (entry.stat(follow_symlinks=False).st_mtime, entry.path)
                for entry in entries
                if entry.name.endswith((SEGMENT_SUFFIX, FOLDED_SUFFIX)) and entry.is_file(follow_symlinks=False)
            ]
    except OSError:
        return []


def _last_time(path: str, otherwise: float) -> float:
    """Return the time of the last record in a file; *otherwise* if none can be read."""
    try:
        with opened(path) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            lines = file.read(_TAIL_BYTES).split(b"\n")
    except (OSError, NoDescriptorError):
        return otherwise
    for line in reversed(lines):
        fields = decode_line(line) if line else None
        moment = fields.get("time") if fields is not None else None
        if type(moment) in (int, float):
            return float(moment)  # type: ignore[arg-type]
    return otherwise


@lru_cache(maxsize=64)
def has_shared_locks(device: int) -> bool:
    """Whether the file system on *device* is one whose locks all machines see."""
    kind, options = file_system(device)
    needed = _SHARED.get(kind)
    return needed is not None and (not needed or needed in options.split(b","))


def file_system(device: int) -> tuple[bytes, bytes]:
    """Return the kind of the file system on *device* and its options; empty if that cannot be known."""
    if not os.path.exists("/proc/self/mountinfo"):  # elsewhere devices may not have such numbers either
        return b"", b""
    wanted = f"{os.major(device)}:{os.minor(device)}".encode()
    try:
        with open("/proc/self/mountinfo", "rb") as file:
            for line in file:
                fields, _, rest = line.partition(b" - ")
                if fields.split()[2] == wanted:
                    kind, _, options = rest.split()[:3]
                    return kind, options
    except (OSError, IndexError, ValueError):
        pass
    return b"", b""
