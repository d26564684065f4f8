"""
The runs of other processes: how a child of `multiprocessing` finds its parent's run, and what it may do there.

A child that was forked inherits the run; one that was spawned, or comes from a fork server, looks for it: first where
the environment says, then in the stores. Other subprocesses have runs of their own.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from refunc.journal.file import is_locked
from refunc.logging.run import RUNNING, START_FIELDS, ActiveRun

#: Names a process's newest open run to its children: `<pid>:<folder>`.
PARENT_RUN = "REFUNC_PARENT_RUN"

#: Seconds between two looks for a parent's run that was not there.
LOOK_AGAIN = 1.0
#: Seconds for which the other process is taken to be still in the same run: less than it takes to end one and open one.
_STILL = 0.001

_looked_at = -LOOK_AGAIN


class AttachedRun(ActiveRun):
    """
    The run of another process, for this one to write to as a writer of its own, and never to end.

    It stays open beyond its owner's end, for what a worker has to say may come late, until the owner has another run: a
    pool that outlives a run logs into the next one.
    """

    is_attached = True
    _still_open = True
    _look_at = 0.0
    _seen_store = 0

    @property
    def is_open(self) -> bool:
        """Whether this process may write to the run; asks the file system now and then."""
        if self._still_open and time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _STILL
            self._still_open = not self._is_superseded()
        return self._still_open

    @is_open.setter
    def is_open(self, value: bool) -> None:
        self._still_open = value

    def _is_superseded(self) -> bool:
        try:
            if is_locked(self.folder / "run.json") is not False:
                return False
            # A new run is a new entry in the store, which changes the store's time; only then is it worth a look.
            changed = os.stat(self.folder.parent).st_mtime_ns
            if changed == self._seen_store:
                return False
            self._seen_store = changed
            return any(folder != self.folder for folder in _running_in(self.folder.parent, self.birth.get("pid")))
        except OSError:  # the store is gone or cannot be read: what is left is the run at hand
            return False


def adopt_after_fork(run: ActiveRun) -> None:
    """Make *run*, inherited by a forked child, what it is there: its parent's."""
    is_open = run.is_open
    run.__class__ = AttachedRun
    run.is_open = is_open


def name_for_children(run: ActiveRun | None) -> None:
    """Tell the children that this process will have which run is theirs; None: there is none."""
    if run is None:
        os.environ.pop(PARENT_RUN, None)
    else:
        os.environ[PARENT_RUN] = f"{os.getpid()}:{run.folder}"


def run_of_parent() -> AttachedRun | None:
    """Return the run of the process that started this one through `multiprocessing`; None where there is none."""
    global _looked_at
    processes = sys.modules.get("multiprocessing.process")
    parent = processes.parent_process() if processes is not None else None
    if parent is None or time.monotonic() - _looked_at < LOOK_AGAIN:
        return None
    from refunc.runs.run import RunFormatError, read_birth

    try:
        for folder in _candidates(parent.pid):
            try:
                return _attached_run(folder, read_birth(folder))
            except RunFormatError:
                continue
    except OSError:  # a store that cannot be read, a run that was deleted meanwhile: no logging call may raise it
        pass
    _looked_at = time.monotonic()
    return None


def _attached_run(folder: Path, birth: dict[str, Any]) -> AttachedRun:
    run = AttachedRun(folder, {**dict.fromkeys(START_FIELDS), "start_time": 0.0, **birth}, durability="async")
    run.owner = 0
    return run


def _candidates(parent_pid: int | None) -> Iterator[Path]:
    """Yield folders that may be the parent's run: the named one while it runs, else its newest that does."""
    from refunc.runs.run import Run, RunFormatError
    from refunc.runs.store import store_path

    pid, _, folder = os.environ.get(PARENT_RUN, "").partition(":")
    named = Path(folder) if folder and pid == str(parent_pid) else None
    stores = [store_path()]
    if named is not None:
        try:
            if Run.open(named).status == RUNNING:
                yield named
        except RunFormatError:
            pass
        stores.insert(0, named.parent)
    # A fork server has the environment of the time when it was started, which may be before the run.
    for store in dict.fromkeys(stores):
        yield from _running_in(store, parent_pid)
    if named is not None:
        yield named


def _running_in(store: Path, pid: int | None) -> Iterator[Path]:
    """Yield the folders of the running runs in *store* that the process *pid* opened, newest first."""
    from refunc.runs.store import Store

    for run in reversed(list(Store(store))):
        if run.birth.get("pid") == pid and run.status == RUNNING:
            yield run.folder
