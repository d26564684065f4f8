"""
The parent of a new run outside any block: in another thread, or in a child process.

A thread cannot know which thread started it. So only runs that the main thread opened, outside asyncio tasks, can be
the parents of runs in other threads: concurrent threads or tasks never have each other's run as parent.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from refunc.logging.active.living import living_run
from refunc.logging.active.run import ActiveRun
from refunc.logging.active.started import current_task
from refunc.values.names import slug
from refunc.values.paths import store_path
from refunc.values.texts import short_repr


class _WithRun(Protocol):
    @property
    def run_id(self) -> str | None: ...


class _Nested(Protocol):
    @property
    def run_id(self) -> str: ...

    @property
    def parent_id(self) -> str | None: ...


_Run = TypeVar("_Run", bound=_Nested)

#: The forms of a parent: the run's id, or a tracker, a context or a `refunc.runs.Run` of it.
Parent = str | _WithRun | None

_ID = re.compile(r"[a-z0-9]{8}")


def is_in_main_thread() -> bool:
    """Whether the caller is the main thread, outside of concurrent asyncio tasks."""
    return threading.current_thread() is threading.main_thread() and current_task() is None


def run_around(open_runs: Iterable[ActiveRun]) -> ActiveRun | None:
    """Return the innermost run that contains all of *open_runs* that do not end at once; None if there is none."""
    return innermost_around([run for run in open_runs if run.accepts()], living_run)


def innermost_around(known: Sequence[_Run], find: Callable[[str], _Run | None]) -> _Run | None:
    """
    Return the innermost of the *known* runs that contains all of them; None if there is none.

    Args:
        find: Returns the run with an id: one of these, or another that is between them.
    """
    ids = {run.run_id for run in known}
    outer = {run.parent_id for run in known}
    lines = [_line_of(run, find) for run in known if run.run_id not in outer]
    around = (run for run in lines[0].values() if run.run_id in ids) if lines else iter(())
    return next((run for run in around if all(run.run_id in line for line in lines)), None)


def _line_of(run: _Run | None, find: Callable[[str], _Run | None]) -> dict[str, _Run]:
    """Return *run* and its ancestors by their ids, from the inside out."""
    line: dict[str, _Run] = {}
    while run is not None and run.run_id not in line:
        line[run.run_id] = run
        run = find(run.parent_id) if run.parent_id is not None else None
    return line


def candidates(open_runs: Iterable[ActiveRun]) -> list[ActiveRun]:
    """Return those of *open_runs* that may be the parent of a new run that this thread opens outside every block."""
    others = threading.current_thread() is not threading.main_thread()
    return [run for run in open_runs if not run.implicit and (not run.is_own or (others and run.is_of_main))]


def parent_id_of(parent: object) -> str | None:
    """
    Return the id of the run that a user gave as *parent*.

    Raises:
        TypeError, ValueError: It does not identify a run; the text names the right call.
    """
    if parent is None:
        return None
    if isinstance(parent, str):
        return _checked_id(parent)
    run_id = getattr(parent, "run_id", _NO_RUN)
    if isinstance(run_id, str):
        return run_id
    if run_id is None:
        raise ValueError(f"parent: {short_repr(parent)} has no run yet. Call its start_run() first.")
    hint = "logger.get_experiment_context()" if hasattr(parent, "get_experiment_context") else "tracker or its run_id"
    raise TypeError(
        f"parent: {short_repr(parent)} is not a run. Pass a run's id, an ExperimentTracker, an ExperimentContext or a "
        f"Run: parent={hint}."
    )


_NO_RUN = object()


def _checked_id(text: str) -> str:
    """Return *text* if it may be an id. An id that is unknown here may belong to a run elsewhere."""
    if living_run(text) is not None:
        return text
    folders = _folders()
    is_known = any(name == text or name.endswith(f"_{text}") for name in folders)
    is_name = not _ID.fullmatch(text) or any(f"_{slug(text)}_" in name for name in folders)
    if is_name and not is_known:
        raise ValueError(
            f"parent: {text!r} is not the id of a run, which has 8 letters and digits. Pass the tracker, its run_id, "
            f"or open_store()[{text!r}].run_id."
        )
    return text


def _folders() -> list[str]:
    try:
        return os.listdir(store_path())
    except OSError:
        return []
