"""The lines that say where a run is: at its start, and at its end with what came of it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from refunc.logging.quantities import amount, duration, figure
from refunc.logging.run import ActiveRun
from refunc.logging.terminal import printable_line

#: Best values that the end of a run names: those of validation first.
_MOST_BEST = 4
_VALIDATION, _TRAINING = 0, 1
_ASIDE = frozenset("val valid validation test eval dev".split())


def start_line(run: ActiveRun) -> str:
    """Return `run resnet_v1 started: experiments/2026…`."""
    opened = "an implicit run was opened" if run.implicit else f"run {shown_name(run)} started"
    return f"{opened}: {shown_path(run.folder)}"


def end_line(run: ActiveRun) -> str:
    """Return `run resnet_v1 completed in 12 s, 1.2 MB: experiments/2026…`."""
    seconds = (run.end_time or run.start_time) - run.start_time
    dropped = f", {run.writer.dropped:,} records dropped" if run.writer.dropped else ""
    came = f"{run.status} in {duration(seconds)}, {amount(run.size)}{dropped}"
    return f"run {shown_name(run)} {came}: {shown_path(run.folder)}"


def best_line(run: ActiveRun) -> str | None:
    """Return `best: val_accuracy 0.982 (epoch 7), loss 0.0123 (step 4200)`; None where nothing has a best value."""
    found = dict(run.bests.found)
    names = sorted(found, key=lambda name: _TRAINING if _is_of_training(name) else _VALIDATION)[:_MOST_BEST]
    shown = [
        f"{printable_line(name)} {figure(found[name][0], grouped=True)}{_place(*found[name][1])}" for name in names
    ]
    return f"best: {', '.join(shown)}" if shown else None


def is_quiet() -> bool:
    """Whether `REFUNC_QUIET` says that no line about runs is wanted on the console."""
    return os.environ.get("REFUNC_QUIET", "").strip().lower() not in ("", "0", "off", "false", "no")


def _is_of_training(name: str) -> bool:
    return _ASIDE.isdisjoint(re.split(r"[^a-z0-9]+", name.lower()))


def _place(step: object, epoch: object) -> str:
    if epoch is not None:
        return f" (epoch {epoch})"
    return "" if step is None else f" (step {step})"


def shown_name(run: ActiveRun) -> str:
    """Return what people call the run."""
    return run.run_name or f"{run.experiment_name}/{run.run_id}"


def shown_path(path: Path) -> str:
    """Return *path* relative to the working folder where that is shorter."""
    try:
        relative = os.path.relpath(path)
    except (OSError, ValueError):  # the working folder is gone; another drive
        return str(path)
    return min(relative, str(path), key=len)
