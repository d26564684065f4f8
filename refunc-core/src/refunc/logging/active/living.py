"""The runs that something in this process still refers to, ended ones included."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from refunc.logging.active.run import ActiveRun

_living: WeakValueDictionary[str, ActiveRun] = WeakValueDictionary()


def note_living(run: ActiveRun) -> None:
    """Note *run* as this process's object for it, in the place of an earlier one."""
    _living[run.run_id] = run


def living_run(run_id: str) -> ActiveRun | None:
    """Return this process's object for the run of that id, the latest; None if there is none (any more)."""
    return _living.get(run_id)


def living_runs() -> list[ActiveRun]:
    """Return them all, ended ones included."""
    return [run for reference in _living.valuerefs() if (run := reference()) is not None]
