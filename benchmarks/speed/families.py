"""The families of cases, and the figures that are shown of each."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import delivering
import imports
import lines
import loops
import metrics
import progress
from measuring import Figures

#: Figures of a case by name, each with its heading and how many of its unit there are in a second or byte.
Columns = dict[str, tuple[str, float]]

MICRO, NANO, MILLI, MEGA = 1e6, 1e9, 1e3, 1e-6

_CALLS: Columns = {
    "p50": ("p50 µs", MICRO),
    "p99": ("p99 µs", MICRO),
    "p999": ("p99.9 µs", MICRO),
    "mean": ("mean µs", MICRO),
    "cpu": ("CPU µs", MICRO),
    "close": ("close ms", MILLI),
    "memory": ("RSS MB", MEGA),
    "bytes": ("bytes", 1.0),
}


@dataclass(frozen=True)
class Family:
    """Cases that do the same work, and are therefore in one table. *rounds* is the most that tells anything new."""

    title: str
    cases: tuple[str, ...]
    measure: Callable[[str], Figures]
    columns: Columns
    rounds: int = 100
    #: Whether stderr is to be a terminal.
    on_terminal: bool = False


def killed(name: str) -> Figures:
    """Return how many of 999 records are lost where a process is killed right behind the last call."""
    command = [sys.executable, str(Path(__file__).parent), "--die", name]
    subprocess.run(command, check=False, stderr=subprocess.DEVNULL)
    return {"lost": 999.0 - metrics.left_of_killed()}


def _but(names: Iterable[str], *without: str) -> tuple[str, ...]:
    return tuple(name for name in names if not name.startswith(without))


FAMILIES = {
    "metrics": Family(
        "log_metrics of 2 values",
        tuple(metrics.CONTENDERS),
        metrics.measure,
        {**_CALLS, "durable": ("in a file ms", MILLI)},
    ),
    **{
        f"metrics-{values}": Family(
            f"log_metrics of {values} values",
            _but(metrics.CONTENDERS, "limit: disk", "limit: write", "refunc,", "refunc `"),
            partial(metrics.measure, values=values),
            _CALLS,
            rounds=2,
        )
        for values in (10, 100)
    },
    "killed": Family(
        "kill -9 right behind the last of 999 calls",
        ("refunc", "refunc `process`", "refunc `disk`"),
        killed,
        {"lost": ("lost", 1.0)},
        rounds=3,
    ),
    "lines": Family("a line with four fields", tuple(lines.CASES), lines.measure, _CALLS),
    "disabled": Family(
        "a line below the level", tuple(lines.DISABLED), lines.measure_disabled, {"call": ("call ns", NANO)}
    ),
    "progress": Family(
        "progress of a step",
        tuple(progress.CASES),
        progress.measure,
        {"step": ("step ns", NANO), "cpu": ("CPU ns", NANO)},
        on_terminal=True,
    ),
    "delivery": Family(
        "to an integration that does nothing",
        tuple(delivering.CASES),
        delivering.measure,
        {
            "record": ("a record µs", MICRO),
            "cpu": ("CPU µs", MICRO),
            "age": ("age p50 ms", MILLI),
            "age99": ("p99 ms", MILLI),
            "oldest": ("oldest ms", MILLI),
        },
    ),
    "loop": Family(
        "a call of log_metrics in a loop that works",
        loops.CASES,
        loops.measure,
        {name: _CALLS[name] for name in ("p50", "p99", "p999")},
        rounds=3,
    ),
    "training": Family(
        "a training at 1,000/s, four integrations",
        ("refunc",),
        lambda name: delivering.with_path(loops.training),
        {"share": ("of a core, %", 100.0), "loop": ("a step, with over without", 1.0)},
        rounds=3,
    ),
    "imports": Family(
        "import", tuple(imports.CASES), imports.measure, {"import": ("over a bare start, ms", MILLI)}, rounds=3
    ),
}
