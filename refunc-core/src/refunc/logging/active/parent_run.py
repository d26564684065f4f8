"""
The runs of other processes: how a child of `multiprocessing` finds its parent's run and writes to it.

A forked child inherits the run. A child that was spawned, or comes from a fork server, looks for it: first in the
folder that its parent named, then in the stores. So does the child of a child. A script that a process has started, and
a worker of Ray, take the run that they were told, or the one that the starter has open; see `processes/starters.py`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refunc.journal.kinds import RUNNING
from refunc.journal.opening import NoDescriptorError
from refunc.logging.active.living import living_run, living_runs
from refunc.logging.active.run import START_FIELDS, ActiveRun
from refunc.logging.notices import warn_once
from refunc.outlets.file import NO_DESCRIPTOR, LockProbe
from refunc.processes import inherited, starters
from refunc.processes.parent import Legacy, bequeath, has_parent, legacy, own_token, parent_pid
from refunc.values.paths import store_path

if TYPE_CHECKING:
    from refunc.runs.run import Run

#: Seconds between two searches for a parent's run that was not found.
LOOK_AGAIN = 1.0
#: Seconds for which the other process is assumed to be in the same run: less than ending one and opening another takes.
_STILL = 0.001

#: The folder of a run, and the host and the pid of the process that opened it.
_Candidate = tuple[Path, dict[str, Any]]

_looked_at = -LOOK_AGAIN

#: The message of this process's parent.
_inherited: Legacy | None = None
#: The ancestors of the process that this one was forked from, nearest first.
_above_maker: tuple[int, ...] = ()

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
        self._ask_owner_at = 0.0
        self._is_owners = True
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
                    self._look_at = time.monotonic() + LOOK_AGAIN
                    _warn_no_descriptor()
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

            self._ask_owner_at = time.monotonic() + LOOK_AGAIN
            self._is_owners = is_alive(self._folder) is not False
        return self._is_owners

    def _has_successor(self) -> bool:
        if self._is_locked() is not False and self._is_held_by_owner():
            return False
        # A new run is a new entry in the store, which changes the store's time; only then is it worth a look.
        changed = os.stat(self._folder.parent).st_mtime_ns
        if changed == self._store_changed:
            return False
        is_found = any(folder != self._folder for folder, _ in _running_in(self._folder.parent, self._host, self._pid))
        self._store_changed = changed
        return is_found


def note_fork() -> None:
    """Note, in a forked child, the ancestors of the process that made it; called before its parent is looked up."""
    global _above_maker
    above = parent_pid()
    if above is not None:
        _above_maker = (above, *_above_maker)


def adopt_after_fork(run: ActiveRun) -> None:
    """Mark *run*, inherited by a forked child, as its parent's."""
    run.close_to_calls()
    run.borrowed = BorrowedRun(run.folder, run.birth)


def set_run_for_children(run: ActiveRun | None) -> None:
    """Tell future children of this process which run is theirs; None for the run of this process's own parent."""
    global _inherited
    before = legacy()
    if before is not None and before.pid != os.getpid():
        _inherited = before
    if run is None:
        bequeath(_inherited)
        inherited.withdraw()
    else:
        if run.is_written:
            with suppress(OSError):  # the working folder is gone
                inherited.announce(run.run_id, os.path.abspath(run.folder))
        ancestors = (_inherited.pid, *_inherited.above) if _inherited is not None else ()
        own_parent = parent_pid()
        above = (own_parent, *ancestors) if own_parent else ancestors
        bequeath(Legacy(os.getpid(), str(run.folder), run.implicit, above, own_token()))


def run_of_parent(*, now: bool = False) -> ActiveRun | None:
    """
    Return the run of the process that started this one; None if there is none, or it has ended.

    Args:
        now: Look even if there was none a moment ago.
    """
    global _looked_at
    if not now and time.monotonic() - _looked_at < LOOK_AGAIN:
        return None
    pid = parent_pid()
    run = _run_of_family(pid) if pid is not None else None
    if run is None and (starters.is_ray_worker() or (pid is None and starters.has_starter())):
        run = _run_of_starter()
    if run is None:
        _looked_at = time.monotonic()
    return run


def _run_of_family(pid: int) -> ActiveRun | None:
    """Return the run of an ancestor of this process, whose parent is *pid*."""
    try:
        from refunc.runs.errors import RunFormatError
        from refunc.runs.run import read_birth

        told = legacy()
        for folder, opener in _candidates(pid, told):
            try:
                run = attach(folder, {**read_birth(folder), **opener})
                run.implicit = told is not None and told.is_implicit and str(folder) == told.folder
                return run
            except RunFormatError as error:
                _raise_if_no_descriptor(error.__cause__)
    except (OSError, NoDescriptorError) as error:  # the store cannot be read, or the run was deleted meanwhile
        if error.errno in NO_DESCRIPTOR:
            _warn_no_descriptor()
    except ImportError:  # the end of the interpreter
        pass
    return None


def _run_of_starter() -> ActiveRun | None:
    """Return the run that a process has announced that started this one, or else has open, while it is running."""
    try:
        import platform

        from refunc.journal.held import runs_of
        from refunc.logging.active.parents import innermost_around
        from refunc.runs.errors import RunFormatError
        from refunc.runs.run import Run
    except ImportError:  # the end of the interpreter
        return None
    told = inherited.announced()
    with suppress(RunFormatError, OSError, NoDescriptorError):  # deleted meanwhile
        run = Run.open(Path(told.folder)) if told is not None else None
        if run is not None and told is not None and run.run_id == told.run_id and _is_running(run):
            return attach(run.folder, run.birth)
    for pid in starters.starters():
        with suppress(RunFormatError, OSError, NoDescriptorError):
            held = {run.run_id: run for run in map(Run.open, runs_of(pid)) if _is_running(run)}
            run = innermost_around([*held.values()], held.get) or max(held.values(), key=_start, default=None)
            if run is not None:
                return attach(run.folder, {**run.birth, "host": platform.node(), "pid": pid})
    return None


def _start(run: Run) -> float:
    return run.start_time


def has_starter() -> bool:
    """Whether a process that started this one, in whatever way, may have a run for it."""
    return has_parent() or starters.has_starter()


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
    for run in tuple(_kept.values()):
        if run.is_left:
            _kept.pop(run.run_id, None)
    over = [run for run in tuple(_kept.values()) if _is_over(run)]
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


def _candidates(parent: int, told: Legacy | None) -> Iterator[_Candidate]:
    """Yield runs that may be that of an ancestor: the named one while it runs, else the nearest's newest."""
    import platform

    from refunc.runs.errors import RunFormatError
    from refunc.runs.run import Run

    named = Path(told.folder) if told is not None and told.pid != os.getpid() else None
    stores = [store_path()]
    theirs: _Candidate | None = None
    if named is not None:
        stores.insert(0, named.parent)
        try:
            run = Run.open(named)
            theirs = next(_opened_by_family(run), None)  # none: it was replaced
            if theirs is not None and _is_running(run):
                yield theirs
        except RunFormatError as error:
            _raise_if_no_descriptor(error.__cause__)
    # A child that was started before the run was not told about it.
    above = (told.pid, *told.above) if told is not None else ()
    for ancestor in dict.fromkeys((parent, *_above_maker, *above)):
        for store in dict.fromkeys(stores):
            yield from _running_in(store, platform.node(), ancestor)
    if theirs is not None:
        yield theirs


def _opened_by_family(run: Run, process: tuple[object, object] | None = None) -> Iterator[_Candidate]:
    """
    Yield *run* with each process of this one's family that has opened it; of a launch, with those of this rank.

    Args:
        process: The host and the pid of the only one that counts.
    """
    from refunc.journal.held import is_held_by
    from refunc.journal.ranks import of_this_rank
    from refunc.processes.family import is_of_family

    known = starters.starters() if starters.has_starter() else []
    for facts in chain([run.birth], (file.facts() for file in of_this_rank(run.folder))):
        opener = facts.get("host"), facts.get("pid")
        # A pid alone does not identify a process: in containers that share a store every training is process 1. And any
        # user may have written it.
        # Where it is none of the family's, the kernel says whether a starter of this process has it open.
        if process in (None, opener) and (
            is_of_family(run.folder, {**facts, "run_id": run.birth.get("run_id")})
            or (opener[1] in known and is_held_by(opener[1], run.folder))
        ):
            yield run.folder, dict(zip(("host", "pid"), opener, strict=True))


def _running_in(store: Path, host: object, pid: object) -> Iterator[_Candidate]:
    """Yield the running runs in *store* that the process *pid* on *host* opened, newest first."""
    from refunc.runs.store import Store

    listing = Store(store).listing()
    for error in listing.unreadable:
        _raise_if_no_descriptor(error.__cause__)
    for run in (*reversed(listing.runs), *reversed(listing.removed)):
        candidate = next(_opened_by_family(run, (host, pid)), None)
        if candidate is not None and _is_running(run):
            yield candidate


def _is_running(run: Run) -> bool:
    """Whether *run* is running. Raises OSError if no descriptor is left to check."""
    from refunc.runs.ending import end_status
    from refunc.runs.liveness import status_of

    try:
        return status_of(run.folder, end_status(run.folder)) == RUNNING
    except OSError as error:
        _raise_if_no_descriptor(error)
        return False


def _raise_if_no_descriptor(error: BaseException | None) -> None:
    """Raise *error* if it says that no descriptor is left: a run that cannot be checked is not gone."""
    if isinstance(error, OSError) and error.errno in NO_DESCRIPTOR:
        raise error


def _warn_no_descriptor() -> None:
    warn_once(
        "no descriptor to see runs",
        "Process %d has reached its limit of open files, so it cannot look up its parent's run. Its records go to a "
        "run of its own. Close files, or raise the limit (ulimit -n).",
        os.getpid(),
    )
