"""Runs of a small training, for commands that show curves and values."""

from __future__ import annotations

from refunc.logging import ExperimentTracker

#: A text that acts on a terminal and on a spreadsheet.
HOSTILE = "\x1b[2J=cmd|'/c calc'!A1 [bold]\u202e"


def make(name: str, lr: float, *losses: float, goal: str | None = "min") -> str:
    with ExperimentTracker("images", name) as tracker:
        if goal:
            tracker.define_metric("loss", goal=goal, summary="min")
        tracker.log_hyperparams({"lr": lr, "optimizer": {"name": "adam"}})
        for step, loss in enumerate(losses):
            tracker.log_metrics({"loss": loss}, step=step)
    return str(tracker.run_id)
