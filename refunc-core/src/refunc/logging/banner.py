"""The lines about a run on the console: its folder at the start, its outcome at the end."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from refunc.values import settings
from refunc.values.printable import printable_line
from refunc.values.quantities import amount, duration, figure

if TYPE_CHECKING:
    from refunc.logging.active.run import ActiveRun

#: How many best values the end of a run names, those of validation first.
_MOST_BEST = 4
_VALIDATION, _TRAINING = 0, 1
_ASIDE = frozenset("val valid validation test eval dev".split())

#: On a file system where the processes of a run cannot be seen by their locks.
NO_LOCKS = (
    "%s has no file locks, as on NFS without lockd. Runs are written as usual. If this process is killed, this machine "
    "sees that at once, and others after an hour without a record; `refunc doctor` shows more."
)


def start_line(run: ActiveRun) -> str:
    """Return `run resnet_v1 started: experiments/2026…`."""
    opened = "an implicit run was opened" if run.implicit else f"run {shown_name(run)} started"
    if run.attempt > 1:
        opened = f"run {shown_name(run)} goes on, attempt {run.attempt}"
    return f"{opened}: {shown_path(run.folder)}" if run.is_written else opened


def end_line(run: ActiveRun) -> str:
    """Return `run resnet_v1 completed in 12 s, 1.2 MB: experiments/2026…`."""
    return ended_line(run, run.status, run.duration, run.size, run.writer.dropped)


def ended_line(run: ActiveRun, status: str, seconds: float, size: int, dropped: int) -> str:
    """Return the end line from the values in the end record."""
    lost = f", {dropped:,} records dropped" if dropped else ""
    came = f"run {shown_name(run)} {status} in {duration(seconds)}"
    return f"{came}, {amount(size)}{lost}: {shown_path(run.folder)}" if run.is_written else came


def unwritten_line(run: ActiveRun) -> str:
    """Return the line that replaces the end line if the disk has not taken all records of the run."""
    came = f"run {shown_name(run)} {run.status} in {duration(run.duration)}" if run.is_own else f"run {shown_name(run)}"
    lost = run.writer.refused + run.writer.dropped
    if run.writer.is_closing:
        return (
            f"{came}: {run.writer.refused:,} of this process's records are not written to {shown_path(run.folder)} "
            "yet, because a write takes long. They are written after it."
        )
    return (
        f"{came}: {lost:,} of this process's records were not written to {shown_path(run.folder)}. "
        "Free space there, or name another store with REFUNC_DIR, before the next run."
    )


def best_line(run: ActiveRun) -> str | None:
    """
    Return `best: speed 50 (epoch 7), loss 0.0123 (lowest, step 4200)`; None if no metric has a best value.

    Which value is the best of `loss` is a guess from its name, so the line names the guess.
    """
    found = dict(run.bests.found)
    names = sorted(found, key=lambda name: _TRAINING if _is_of_training(name) else _VALIDATION)[:_MOST_BEST]
    shown = [
        f"{printable_line(name)} {figure(found[name][0], grouped=True)}"
        f"{_notes(run.bests.guess_of(name), *found[name][1])}"
        for name in names
    ]
    return f"best: {', '.join(shown)}" if shown else None


def is_quiet() -> bool:
    """Whether `REFUNC_QUIET` switches off the console lines about runs."""
    return settings.QUIET.is_on()


def _is_of_training(name: str) -> bool:
    return _ASIDE.isdisjoint(re.split(r"[^a-z0-9]+", name.lower()))


def _notes(guess: str, step: float | None, epoch: float | None) -> str:
    # An epoch may be 0.6666666666666666.
    where = f"epoch {figure(epoch)}" if epoch is not None else f"step {step}" if step is not None else ""
    notes = ", ".join(filter(None, (guess, where)))
    return f" ({notes})" if notes else ""


def shown_name(run: ActiveRun) -> str:
    """Return the run's name for people."""
    return run.run_name or f"{run.experiment_name}/{run.run_id}"


def shown_path(path: Path) -> str:
    """Return *path* relative to the working folder where that is shorter."""
    try:
        relative = os.path.relpath(path)
    except (OSError, ValueError):  # the working folder is gone; another drive
        return str(path)
    return min(relative, str(path), key=len)
