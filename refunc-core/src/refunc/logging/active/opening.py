"""Opening a run: with an id of its own, in the run of a launch, or as a further attempt of an earlier run."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refunc import __version__
from refunc.journal import kinds
from refunc.journal.rewinds import ResumePoint
from refunc.logging.active.modules import journal_modules
from refunc.logging.active.nowhere import is_disabled
from refunc.logging.active.run import ActiveRun
from refunc.logging.active.unwritten import UntrackedRun, UnwrittenRun
from refunc.logging.active.versions import commit, packages
from refunc.logging.notices import warn_once
from refunc.outlets.durability import Durability
from refunc.processes.launchers import is_launched, launch_rank
from refunc.values.names import folder_name, new_id, unique_slug

if TYPE_CHECKING:
    from os import PathLike

    from refunc.logging.active.launched import Joined
    from refunc.runs.run import Run

    #: The ways to name a run to go on with; see `active/resumed.py`.
    Resume = bool | str | PathLike[str] | Run | Mapping[str, Any] | None
else:
    Resume = Any  # only a script that reads runs should pay for loading the run's class


def new_run(
    *,
    experiment: str,
    run_name: str | None,
    store: Path,
    logger: str,
    parent_id: str | None = None,
    durability: Durability = "async",
    implicit: bool = False,
    is_tracked: bool = True,
    run_id: str | None = None,
    resume: Any = None,
    resume_point: ResumePoint | None = None,
) -> ActiveRun:
    """
    Return a run with a name and an id; its start record makes the folder on disk.

    Args:
        run_id: The id that the run is to have; without one, that of the launch, or a random one.
        resume: The run to go on with; see `active/resumed.py`.
        resume_point: The point that it goes on from.

    Raises:
        ValueError: *resume* cannot be continued.
    """
    is_dropped = not is_tracked or is_disabled() or not _can_be_written(experiment)
    started = time.time()
    own_id = run_id or new_id()
    birth: dict[str, Any] = {
        "format": kinds.FORMAT,
        "run_id": own_id,
        "run_name": run_name,
        "experiment_id": unique_slug(experiment, "experiment"),
        "experiment_name": experiment,
        "parent_id": parent_id,
        "attempt": 1,
        "start_time": started,
        "logger": logger,
        "host": "" if is_dropped else journal_modules().host,
        "pid": os.getpid(),
        "python": "" if is_dropped else journal_modules().python,
        "refunc": __version__,
        "script": os.path.basename(sys.argv[0]) if sys.argv and sys.argv[0] else None,
    }
    if not is_dropped:
        birth |= {"commit": commit(), "packages": packages()}
    if not (is_dropped or resume or run_id) and (worker := _run_of_starter(experiment)) is not None:
        return worker
    joined = None if is_dropped else _joined(store, birth, resume, run_id)
    if joined is not None:
        shared, joined_birth, role = joined
        run = ActiveRun(shared.path, joined_birth, durability=durability, implicit=implicit, shared=shared, role=role)
        run.go_on(resume_point)
        return run
    folder = store / folder_name(started, run_name or experiment, own_id)
    kind = UntrackedRun if not is_tracked else UnwrittenRun if is_dropped else ActiveRun
    return kind(folder, birth, durability=durability, implicit=implicit)


def _joined(store: Path, birth: dict[str, Any], resume: Any, run_id: str | None) -> Joined | None:
    """Take part in the run to *resume*, or in that of *run_id* or of this process's launch; None if there is none."""
    if resume not in (None, False):
        from refunc.logging.active import resumed

        run = resumed.run_to_resume(resume, store, birth["experiment_name"], birth["run_name"])
        if run is not None:
            return resumed.rejoin(run, birth)
    if not (run_id or is_launched()):
        return None
    from refunc.logging.active import launched

    here = launched.launch_here(run_id)
    return launched.join(here, store, birth) if here is not None else None


def _run_of_starter(experiment: str) -> ActiveRun | None:
    """
    Return the run of the process that started this one as a further rank of itself; None if it did not.

    Lightning starts the script again for each rank but 0, which by then may have opened the run.
    """
    if not is_launched() or not launch_rank():
        return None
    from refunc.logging.active.parent_run import run_of_parent

    run = run_of_parent(now=True)
    return run if run is not None and run.experiment_name == experiment else None


def checked_point(resume: Any, step: int | float | None) -> ResumePoint | None:
    """Return the point to go on from, which a state has if no step is given. Raises ValueError if it is not numbers."""
    epoch = None
    if step is None and isinstance(resume, Mapping):
        if not isinstance(resume.get("run_id"), str):
            raise ValueError("resume: a mapping without a `run_id` is not a result of `state_dict()`.")
        step, epoch = resume.get("step"), resume.get("epoch")
    for number, of_kind in ((step, "step"), (epoch, "epoch")):
        if number is not None and (
            isinstance(number, bool) or not isinstance(number, (int, float)) or number != number
        ):
            raise ValueError(f"resume: the {of_kind} {number!r} is not a number. Give the {of_kind} of the checkpoint.")
    return None if step is None else ResumePoint(step, epoch)


def checked_id(run_id: str | None, resume: Any) -> str | None:
    """Return the id that a run is to have. Raises ValueError if it cannot be one, or if *resume* names a run too."""
    if run_id is None:
        return None
    from refunc.processes.launch import is_run_id

    if not is_run_id(run_id):
        raise ValueError(
            f"run_id: {run_id!r} cannot be a run's id. Use up to 64 letters, digits, `_`, `-` and `.`, the first a "
            "letter or a digit."
        )
    if resume not in (None, False):
        raise ValueError("run_id: a run to resume has an id. Give resume= or run_id=, not both.")
    return run_id


def _can_be_written(experiment: str) -> bool:
    """Whether a run can be opened now; a process cannot open its first run once imports fail at shutdown."""
    try:
        journal_modules()
    except ImportError as error:
        if not sys.is_finalizing():
            raise
        warn_once(
            "late run",
            "%s: its records are not kept, because its first run begins while the interpreter shuts down (%s). Log "
            "once before that, or from an atexit handler.",
            experiment,
            error,
        )
        return False
    return True
