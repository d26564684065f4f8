"""
The runs of other processes: how a child of `multiprocessing` finds its parent's run, and what it may do there.

A child that was forked inherits the run; one that was spawned, or comes from a fork server, looks for it: first where
the environment says, then in the stores. Other subprocesses have runs of their own.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from refunc.journal.file import LockProbe
from refunc.journal.kinds import RUNNING
from refunc.logging.run import START_FIELDS, ActiveRun

#: Names a process's newest open run to its children: `<pid>:<folder>`.
PARENT_RUN = "REFUNC_PARENT_RUN"

#: Seconds between two looks for a parent's run that was not there.
LOOK_AGAIN = 1.0
#: Seconds for which the other process is taken to be still in the same run: less than it takes to end one and open one.
_STILL = 0.001

_looked_at = -LOOK_AGAIN


class Attachment:
    """
    What a process holds of a run that another one opened: the right to write to it, as a writer of its own.

    It lasts beyond the owner's end, for what a worker has to say may come late, until the owner has another run: a pool
    that outlives a run logs into the next one.
    """

    def __init__(self, folder: Path, birth: Mapping[str, Any]) -> None:
        self._folder = folder
        self._host, self._pid = birth.get("host"), birth.get("pid")
        self._lasts = True
        self._look_at = 0.0
        self._store_changed = 0
        self._probe: LockProbe | None = None

    def lasts(self) -> bool:
        """Whether the run is still the one to write to; asks the file system at most every millisecond."""
        if self._lasts and time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _STILL
            self._lasts = not self._is_superseded()
        return self._lasts

    def _is_superseded(self) -> bool:
        try:
            if self._probe is None:
                self._probe = LockProbe(self._folder / "run.json")
            if self._probe.is_locked() is not False:
                return False
            # A new run is a new entry in the store, which changes the store's time; only then is it worth a look.
            changed = os.stat(self._folder.parent).st_mtime_ns
            if changed == self._store_changed:
                return False
            self._store_changed = changed
            return any(folder != self._folder for folder in _running_in(self._folder.parent, self._host, self._pid))
        except OSError:  # the store is gone or cannot be read: what is left is the run at hand
            return False


def adopt_after_fork(run: ActiveRun) -> None:
    """Make *run*, inherited by a forked child, what it is there: its parent's."""
    run.close_to_calls()
    run.attachment = Attachment(run.folder, run.birth)


def name_for_children(run: ActiveRun | None) -> None:
    """Tell the children that this process will have which run is theirs; None: there is none."""
    if run is None:
        os.environ.pop(PARENT_RUN, None)
    else:
        os.environ[PARENT_RUN] = f"{os.getpid()}:{run.folder}"


def has_parent() -> bool:
    """Whether this process was started through `multiprocessing`."""
    return _parent() is not None


def _parent() -> Any:
    processes = sys.modules.get("multiprocessing.process")
    return processes.parent_process() if processes is not None else None


def run_of_parent(*, now: bool = False) -> ActiveRun | None:
    """
    Return the run of the process that started this one through `multiprocessing`; None where there is none.

    Args:
        now: Look even if there was none a moment ago.
    """
    global _looked_at
    parent = _parent()
    if parent is None or (not now and time.monotonic() - _looked_at < LOOK_AGAIN):
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


def _attached_run(folder: Path, birth: dict[str, Any]) -> ActiveRun:
    whole_birth = {**dict.fromkeys(START_FIELDS), "start_time": 0.0, **birth}
    return ActiveRun(folder, whole_birth, durability="async", attachment=Attachment(folder, birth))


def _candidates(parent_pid: int | None) -> Iterator[Path]:
    """Yield folders that may be the parent's run: the named one while it runs, else its newest that does."""
    import platform

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
        yield from _running_in(store, platform.node(), parent_pid)
    if named is not None:
        yield named


def _running_in(store: Path, host: object, pid: object) -> Iterator[Path]:
    """Yield the folders of the running runs in *store* that the process *pid* on *host* opened, newest first."""
    from refunc.runs.store import Store

    for run in reversed(list(Store(store))):
        # A pid alone is no name: in containers that share a store every training is process 1.
        if run.birth.get("pid") == pid and run.birth.get("host") == host and run.status == RUNNING:
            yield run.folder
