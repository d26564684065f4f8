"""
The running runs that processes of this one's family have opened: its ancestors, and processes that started it.

A pid alone does not identify a process, so a run also has to carry the token of the family; see `processes/family.py`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from refunc.journal.kinds import RUNNING
from refunc.logging.notices import warn_once
from refunc.outlets.opening import NO_DESCRIPTOR
from refunc.processes import starters
from refunc.processes.parent import Legacy
from refunc.values.paths import store_path

if TYPE_CHECKING:
    from refunc.runs.run import Run

#: The folder of a run, and the host and the pid of the process that opened it.
Candidate = tuple[Path, dict[str, Any]]


def runs_of_ancestors(nearest: tuple[int, ...], told: Legacy | None) -> Iterator[Candidate]:
    """
    Yield runs that may be that of an ancestor: the named one while it runs, else the nearest's newest.

    Args:
        nearest: Ancestors that this process knows itself, the parent first.
        told: The message of the parent, which names a run, and more ancestors.
    """
    import platform

    from refunc.runs.errors import RunFormatError
    from refunc.runs.run import Run

    named = Path(told.folder) if told is not None and told.pid != os.getpid() else None
    stores = [store_path()]
    theirs: Candidate | None = None
    if named is not None:
        stores.insert(0, named.parent)
        try:
            run = Run.open(named)
            theirs = next(_opened_by_family(run), None)  # none: it was replaced
            if theirs is not None and is_running(run):
                yield theirs
        except RunFormatError as error:
            raise_if_no_descriptor(error.__cause__)
    # A child that was started before the run was not told about it.
    above = (told.pid, *told.above) if told is not None else ()
    for ancestor in dict.fromkeys((*nearest, *above)):
        for store in dict.fromkeys(stores):
            yield from running_in(store, platform.node(), ancestor)
    if theirs is not None:
        yield theirs


def _opened_by_family(run: Run, process: tuple[object, object] | None = None) -> Iterator[Candidate]:
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


def running_in(store: Path, host: object, pid: object) -> Iterator[Candidate]:
    """Yield the running runs in *store* that the process *pid* on *host* opened, newest first."""
    return look_in(store, host, pid).running()


class Look(NamedTuple):
    """A look at the runs in a store that a process may have opened."""

    runs: list[Run]
    host: object
    pid: object
    #: The `run.json` that folders do not have: a run may be about to be opened there.
    unfinished: list[str]
    #: Whether the process's own files were looked at, which costs the same in every store.
    is_cheap: bool

    def running(self) -> Iterator[Candidate]:
        """Yield those that run and that the process opened, newest first."""
        for run in self.runs:
            candidate = next(_opened_by_family(run, (self.host, self.pid)), None)
            if candidate is not None and is_running(run):
                yield candidate


def look_in(store: Path, host: object, pid: object) -> Look:
    """Look at the runs in *store* that the process *pid* on *host* may have opened, newest first. Raises OSError."""
    import platform

    from refunc.journal.folder import RUN_JSON
    from refunc.journal.held import names_open_in
    from refunc.runs.store import Store

    is_here = host == platform.node()
    names = names_open_in(store, pid) if is_here and isinstance(pid, int) else None
    if names is not None:
        return _look_at(store, names, host, pid)
    unfinished: list[str] = []
    with suppress(FileNotFoundError), os.scandir(store) as entries:
        # Of any name: a launch may give its run's folder one of its own.
        files = [f"{entry.path}/{RUN_JSON}" for entry in entries if entry.is_dir(follow_symlinks=False)]
        unfinished += [path for path in files if not os.path.lexists(path)]
    listing = Store(store).listing()
    for error in listing.unreadable:
        raise_if_no_descriptor(error.__cause__)
    runs = [*reversed(listing.runs), *reversed(listing.removed)]
    return Look(runs, host, pid, unfinished, is_cheap=False)


def _look_at(store: Path, names: list[str], host: object, pid: object) -> Look:
    from refunc.journal.folder import RUN_JSON
    from refunc.runs.errors import RunFormatError
    from refunc.runs.run import Run

    runs, unfinished = [], []
    for name in names:
        try:
            runs.append(Run.open(store / name))
        except RunFormatError as error:
            raise_if_no_descriptor(error.__cause__)
            unfinished += [path for path in [f"{store}/{name}/{RUN_JSON}"] if not os.path.lexists(path)]
    runs.sort(key=attrgetter("start_time"), reverse=True)
    return Look(runs, host, pid, unfinished, is_cheap=True)


def is_running(run: Run) -> bool:
    """Whether *run* is running. Raises OSError if no descriptor is left to check."""
    from refunc.runs.ending import end_status
    from refunc.runs.liveness import status_of

    try:
        return status_of(run.folder, end_status(run.folder)) == RUNNING
    except OSError as error:
        raise_if_no_descriptor(error)
        return False


def raise_if_no_descriptor(error: BaseException | None) -> None:
    """Raise *error* if it says that no descriptor is left: a run that cannot be checked is not gone."""
    if isinstance(error, OSError) and error.errno in NO_DESCRIPTOR:
        raise error


def warn_no_descriptor() -> None:
    warn_once(
        "no descriptor to see runs",
        "Process %d has reached its limit of open files, so it cannot look up its parent's run. Its records go to a "
        "run of its own. Close files, or raise the limit (ulimit -n).",
        os.getpid(),
    )
