"""Runs that another process opened and that this one writes to: until when, and this process's objects for them."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from refunc.journal.opening import NoDescriptorError
from refunc.logging.active.family_runs import look_in, warn_no_descriptor
from refunc.logging.active.living import living_run, living_runs
from refunc.logging.active.run import START_FIELDS, ActiveRun
from refunc.outlets.locks import LockProbe
from refunc.outlets.opening import NO_DESCRIPTOR

#: Seconds between two checks of an owner that may be gone, and of a limit of open files that was reached.
_LOOK_AGAIN = 1.0
#: Seconds for which the other process is assumed to be in the same run: less than ending one and opening another takes.
_STILL = 0.001

#: The runs of other processes by their ids, except those that were left. A worker unpickles its tracker for each task,
#: and drops it in between: without these, each task would have a file of its own.
_kept: dict[str, ActiveRun] = {}
#: How many of these runs are over but keep their files open, because no newer run is in their store.
_MOST_OVER = 16


class BorrowedRun:
    """
    A run that another process opened, and that this process may write to, as a writer of its own.

    It lasts beyond the owner's end, because a worker's records may come late, until the owner has another run: a pool
    that outlives a run logs into the next one.
    """

    def __init__(self, folder: Path, birth: Mapping[str, Any]) -> None:
        self._folder = folder
        self._host, self._pid = birth.get("host"), birth.get("pid")
        #: Whether the run is over and its owner has another one: then it is never again the one to write to.
        self.is_superseded = False
        self._can_be_seen = True
        self._look_at = 0.0
        self._store_changed = 0
        #: When to look at the owner's runs although the store has not changed, and the seconds between two such looks.
        self._look_anyway_at, self._pause = math.inf, _STILL
        #: The `run.json` that folders in the store did not have yet.
        self._unfinished: list[str] = []
        self._ask_owner_at = 0.0
        self._is_owners = True
        #: The number of the owner's process, once that was seen above this one.
        self._seen: int | None = None
        self._probe: LockProbe | None = None

    def lasts(self) -> bool:
        """
        Whether the run is still the one to write to; asks the file system at most every millisecond.

        If no descriptor is left to check, it is not: records logged then might belong to the next run.
        """
        if not self.is_superseded and time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _STILL
            try:
                self.is_superseded = self._has_successor()
                self._can_be_seen = True
            except (OSError, NoDescriptorError) as error:  # the store cannot be read: only this run is known
                self._can_be_seen = error.errno not in NO_DESCRIPTOR
                if not self._can_be_seen:
                    self._look_at = time.monotonic() + _LOOK_AGAIN
                    warn_no_descriptor()
            if self.is_superseded:
                self.close()
        return self._can_be_seen and not self.is_superseded

    def is_owner_in_it(self) -> bool:
        """Whether the run is known not to be over; raises OSError."""
        return self._is_locked() is True

    def close(self) -> None:
        """Close the file that is checked, once no other thread is about to check it."""
        self._probe = None

    def _is_locked(self) -> bool | None:
        probe = self._probe
        if probe is None:
            probe = self._probe = LockProbe(self._lock_path())
        return probe.is_locked()

    def _lock_path(self) -> Path:
        """Return the file on which the owner holds its lock: one of its own, in a run of several processes."""
        from refunc.journal.ranks import of_this_rank

        for file in of_this_rank(self._folder):
            facts = file.facts()
            if (facts.get("host"), facts.get("pid")) == (self._host, self._pid):
                return file.path
        return self._folder / "run.json"

    def _is_held_by_owner(self) -> bool:
        """Whether the owner may hold the lock; any process that can read the file could. Checks now and then."""
        if time.monotonic() >= self._ask_owner_at:
            from refunc.journal.alive import is_alive

            self._ask_owner_at = time.monotonic() + _LOOK_AGAIN
            self._is_owners = is_alive(self._folder) is not False
            self._is_owner_gone()
        return self._is_owners

    def _is_owner_gone(self) -> bool:
        """Whether the owner has ended, as far as this process has seen it: it is asked while it lives, too."""
        import platform

        from refunc.processes.opener import is_above, is_gone

        if self._seen is None and isinstance(self._pid, int) and self._host == platform.node() and is_above(self._pid):
            self._seen = self._pid
        return self._seen is not None and is_gone(self._seen)

    def _has_successor(self) -> bool:
        if self._is_locked() is not False and self._is_held_by_owner():
            return False
        # A new run is a new entry in the store, which changes the store's time, and then a `run.json` in it, which does
        # not. A run that the owner goes on with, or joins, changes neither.
        store = self._folder.parent
        changed = os.stat(store).st_mtime_ns
        is_new = changed != self._store_changed
        if not (is_new or time.monotonic() >= self._look_anyway_at or any(map(os.path.exists, self._unfinished))):
            return False
        if self._is_owner_gone():  # then it opens no run
            self._store_changed, self._unfinished, self._look_anyway_at = changed, [], math.inf
            return False
        look = look_in(store, self._host, self._pid)
        is_found = any(folder != self._folder for folder, _ in look.running())
        self._store_changed, self._unfinished = changed, look.unfinished
        self._pause = _STILL if is_new else min(2 * self._pause, _LOOK_AGAIN)
        self._look_anyway_at = time.monotonic() + self._pause if look.is_cheap else math.inf
        return is_found


def attach(folder: Path, birth: dict[str, Any]) -> ActiveRun:
    """Return this process's object for the run in *folder*, which another one opened; all callers share one writer."""
    known = living_run(birth["run_id"])
    if known is not None and not known.is_left:
        return known
    whole_birth = {**dict.fromkeys(START_FIELDS), "start_time": 0.0, **birth}
    _let_go()
    from refunc.journal.ranks import role_here

    run = ActiveRun(
        folder, whole_birth, durability="async", borrowed=BorrowedRun(folder, birth), role=role_here(folder)
    )
    _kept[run.run_id] = run
    return run


def _let_go() -> None:
    """Leave the runs that were superseded; of the others that are over, close all but the latest."""
    for run in living_runs():
        # Also those that were left before: a tracker's call on such a run opens its file again.
        if run.borrowed is not None and not run.accepts() and run.borrowed.is_superseded:
            run.leave()
    for run in [*_kept.values()]:
        if run.is_left:
            _kept.pop(run.run_id, None)
    over = [run for run in [*_kept.values()] if _is_over(run)]
    for run in over[:-_MOST_OVER]:
        _kept.pop(run.run_id, None)
        run.writer.close()  # only closed: a tracker may have it, and later records open the next file


def _is_over(run: ActiveRun) -> bool:
    try:
        return run.borrowed is None or not run.borrowed.is_owner_in_it()
    except OSError:  # it was deleted, or cannot be checked
        return True


def run_in(folder: Path, birth: dict[str, Any], *, is_over: bool) -> ActiveRun | None:
    """Return this process's object for the run that was in *folder*; None if it is not there (any more)."""
    known = living_run(birth["run_id"])
    if known is not None and (known.is_own or is_over or not known.is_left):
        return known
    return attach(folder, birth) if os.path.exists(folder / "run.json") else None
