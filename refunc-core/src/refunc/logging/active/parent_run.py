"""
The run of the process that started this one: how a child of `multiprocessing` finds it, and how it is told of it.

A forked child inherits the run. A child that was spawned, or comes from a fork server, looks for it: first in the
folder that its parent named, then in the stores. So does the child of a child. A script that a process has started, and
a worker of Ray, take the run that they were told, or the one that the starter has open; see `processes/starters.py`.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from refunc.journal.opening import NoDescriptorError
from refunc.logging.active.borrowed import BorrowedRun, attach
from refunc.logging.active.family_runs import (
    is_running,
    raise_if_no_descriptor,
    runs_of_ancestors,
    warn_no_descriptor,
)
from refunc.logging.active.run import ActiveRun
from refunc.outlets.opening import NO_DESCRIPTOR
from refunc.processes import inherited, starters
from refunc.processes.parent import Legacy, bequeath, has_parent, legacy, own_token, parent_pid

if TYPE_CHECKING:
    from refunc.runs.run import Run

#: Seconds between two searches for a parent's run that was not found.
_LOOK_AGAIN = 1.0
_looked_at = -_LOOK_AGAIN

#: The message of this process's parent.
_inherited: Legacy | None = None
#: The ancestors of the process that this one was forked from, nearest first.
_above_maker: tuple[int, ...] = ()


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
    if not now and time.monotonic() - _looked_at < _LOOK_AGAIN:
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
        from refunc.runs.identity import read_birth

        told = legacy()
        for folder, opener in runs_of_ancestors((pid, *_above_maker), told):
            try:
                run = attach(folder, {**read_birth(folder), **opener})
                run.implicit = told is not None and told.is_implicit and str(folder) == told.folder
                return run
            except RunFormatError as error:
                raise_if_no_descriptor(error.__cause__)
    except (OSError, NoDescriptorError) as error:  # the store cannot be read, or the run was deleted meanwhile
        if error.errno in NO_DESCRIPTOR:
            warn_no_descriptor()
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
        if run is not None and told is not None and run.run_id == told.run_id and is_running(run):
            return attach(run.folder, run.birth)
    for pid in starters.starters():
        with suppress(RunFormatError, OSError, NoDescriptorError):
            held = {run.run_id: run for run in map(Run.open, runs_of(pid)) if is_running(run)}
            run = innermost_around([*held.values()], held.get) or max(held.values(), key=_start, default=None)
            if run is not None:
                return attach(run.folder, {**run.birth, "host": platform.node(), "pid": pid})
    return None


def _start(run: Run) -> float:
    return run.start_time


def has_starter() -> bool:
    """Whether a process that started this one, in whatever way, may have a run for it."""
    return has_parent() or starters.has_starter()
