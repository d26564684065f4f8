"""The lines that say where a run is: at its start, and at its end with what came of it."""

from __future__ import annotations

import os
from pathlib import Path

from refunc.logging.quantities import amount, duration
from refunc.logging.run import ActiveRun


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
