"""Going on with an earlier run: which one is meant, and taking part in it as a further attempt."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from refunc.journal.alive import life_of
from refunc.journal.folder import RUN_JSON, SharedRunFolder
from refunc.journal.kinds import COMPLETED, RUNNING
from refunc.journal.pieces import segments
from refunc.journal.ranks import rank_files
from refunc.journal.reader import read_writer_backwards
from refunc.journal.record import Metrics
from refunc.journal.roles import Role, role_of
from refunc.logging.active.launched import Joined, facts_here, is_restart, launch_here, of_first
from refunc.logging.active.living import living_run
from refunc.processes.launch import facts_of

if TYPE_CHECKING:
    from refunc.journal.ranks import RankFile
    from refunc.processes.launch import Launch
    from refunc.runs.run import Run

#: The newest run of the experiment that is not completed, if there is one.
AUTO: Final = "auto"
#: How many records from a writer's end are searched for the last step that was counted.
_MOST_SEARCHED: Final = 10_000


def run_to_resume(wish: Any, store: Path, experiment: str, run_name: str | None) -> Run | None:
    """
    Return the run that *wish* means; None for a new one.

    Raises:
        ValueError: There is no such run; it was imported, or belongs to another experiment, or cannot be read.
        TypeError: *wish* is of another type.
    """
    from refunc.runs.errors import RunError

    if wish is None or wish is False:
        return None
    try:
        run = _meant(wish, store, experiment, run_name)
    except RunError as error:
        raise ValueError(f"resume: {error}") from error
    if run is None:
        if wish == AUTO:
            return None
        named = f" named {run_name!r}" if run_name is not None else ""
        raise ValueError(f"resume: experiment {experiment!r} has no run{named} in {store}. {_hint(store, experiment)}")
    if run.birth.get("imported") is not None:
        raise ValueError(f"resume: run {run.run_id} was imported from another tracker, and cannot be continued.")
    if run.is_removed:
        raise ValueError(f"resume: run {run.run_id} was removed. `refunc restore {run.run_id}` takes that back.")
    if run.experiment_name != experiment:
        raise ValueError(
            f"resume: run {run.run_id} belongs to experiment {run.experiment_name!r}, not to {experiment!r}. Give that "
            "name, or another run."
        )
    return run


def _meant(wish: Any, store: Path, experiment: str, run_name: str | None) -> Run | None:
    from refunc.runs.run import Run
    from refunc.runs.store import Store

    if isinstance(wish, Run):
        return wish
    if isinstance(wish, Mapping):
        found = wish.get("run_id")
        if not isinstance(found, str):
            raise ValueError("resume: a mapping without a `run_id` does not come from `state_dict()`.")
        return Store(store)[found]
    if wish is True or wish == AUTO:
        here = [run for run in Store(store).runs() if run.experiment_name == experiment]
        named = [run for run in here if run_name is None or run.birth.get("run_name") == run_name]
        fit = [run for run in reversed(named) if run.birth.get("imported") is None]
        return next((run for run in fit if wish is True or run.status != COMPLETED or _is_awaited(run)), None)
    if isinstance(wish, (str, os.PathLike)):
        path = Path(wish)
        return Run.open(path) if (path / RUN_JSON).is_file() else Store(store)[os.fspath(wish)]
    raise TypeError(f"resume: {type(wish).__name__} does not name a run. Give True, 'auto', a run's id, or its folder.")


def _is_awaited(run: Run) -> bool:
    """Whether other ranks of this launch go on with *run*, or have done so already, and this one comes later."""
    here, files = launch_here(), rank_files(run.folder)
    if here is None or not files or files[-1].facts().get("start") != here.start:
        return False
    return all(file.role != Role(files[-1].role.attempt, here.rank) for file in files)


def _hint(store: Path, experiment: str) -> str:
    from refunc.runs.store import Store

    runs = list(reversed(Store(store).runs()))
    own = list(dict.fromkeys(run.run_name for run in runs if run.experiment_name == experiment))
    if own:
        return f"It has the runs {', '.join(map(repr, own[:5]))}."
    names = list(dict.fromkeys(run.experiment_name for run in runs))
    return f"There are runs of {', '.join(map(repr, names[:5]))}." if names else "The store has no run yet."


def rejoin(run: Run, birth: dict[str, Any]) -> Joined:
    """
    Take part in *run* as its next attempt, or in the attempt that another rank of this launch has begun.

    Args:
        birth: The facts of this process.

    Raises:
        ValueError: A process that can be seen has it open.
        OSError: The disk refuses.
    """
    here = launch_here()
    folder = run.folder
    files = rank_files(folder)
    attempt = _attempt_of(files, here)
    if attempt is None:
        life = life_of(folder)
        files = rank_files(folder)  # another rank may have begun the attempt since, and even have completed it
        attempt = _attempt_of(files, here)
        is_next = here is not None and bool(files) and is_restart(here, files[-1].facts())
        is_open = attempt is None and life.lives and life.is_sure and not is_next and not _has_ended_here(run)
        if is_open and run.status == RUNNING:  # without locks, an ended run's process may live on
            raise ValueError(
                f"resume: run {run.run_id} is still open, by {_opener(run)}. Two attempts at once would be mixed: end "
                "that process first, or start a run of its own."
            )
        attempt = attempt or (files[-1].role.attempt + 1 if files else 2)
    role = Role(attempt, here.rank if here is not None else None)
    own = {**birth, **{name: value for name, value in run.birth.items() if name in _KEPT}, "attempt": attempt}
    facts = {**(facts_of(here) if here is not None else {}), **facts_here()}
    shared = SharedRunFolder(folder, own, role, facts)
    shared.create()
    return Joined(shared, {**own, **of_first(folder), "attempt": attempt}, role)


def _has_ended_here(run: Run) -> bool:
    """Whether this process has ended *run*, so that it is open only until its end is written."""
    known = living_run(run.run_id)
    return known is not None and known.is_own and known.is_left


#: The facts of a run that no attempt changes.
_KEPT: Final = ("format", "run_id", "run_name", "experiment_id", "experiment_name", "parent_id", "start_time", "launch")


def _attempt_of(files: list[RankFile], here: Launch | None) -> int | None:
    """
    Return the attempt of this start that this rank has not been in, from the *files* of the run; None without any.

    A script may go on with a run several times: the n-th time is the n-th on every rank.
    """
    if here is None:
        return None
    attempts = {file.role.attempt: file for file in files}
    own = [number for number, file in attempts.items() if file.facts().get("start") == here.start]
    been_in = {file.role.attempt for file in files if file.role.rank == here.rank}
    if own and own[-1] == files[-1].role.attempt:
        own.append(own[-1] + 1)
    return next((number for number in own if number not in been_in), None)


def _opener(run: Run) -> str:
    files = rank_files(run.folder)
    facts = files[-1].facts() if files else run.birth
    return f"process {facts.get('pid')} on {facts.get('host')}"


def next_counted_step(folder: Path, role: Role) -> int:
    """Return the step of the next call that gives none: counting goes on where the attempts before have stopped."""
    last = -1
    for writer, pieces in segments(folder).items():
        known = role_of(writer)
        if (known.rank or 0) != (role.rank or 0) or known.attempt >= role.attempt:
            continue
        for number, record in enumerate(read_writer_backwards(writer, pieces)):
            if isinstance(record, Metrics) and record.auto and isinstance(record.step, int):
                last = max(last, record.step)
                break
            if number > _MOST_SEARCHED:
                break
    return last + 1
