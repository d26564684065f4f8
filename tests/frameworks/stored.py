"""The examples, and the runs that a test has left in its folder's store."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.record import RunEnd
from refunc.runs import Run, open_store

EXAMPLES = Path(__file__).parents[2] / "examples/frameworks"


def runs(experiment: str | None = None) -> list[Run]:
    """Return the runs of the store, or of one experiment, the oldest first."""
    found = [run for run in open_store().runs() if experiment in (None, run.experiment_name)]
    return sorted(found, key=lambda run: run.start_time)


def only_run() -> Run:
    """Return the run of the store, which has one."""
    [run] = runs()
    return run


def error_of(run: Run) -> str:
    """Return the traceback with which a run has ended, or nothing."""
    [end] = [record for record in run.records() if isinstance(record, RunEnd)]
    return end.error or ""


def run_example(name: str, *arguments: str) -> dict[str, Any]:
    """Run an example in this process, as a script; return its names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *arguments])
        return runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
