"""Fixtures that the tests of the guarantees share."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from refunc.logging import ExperimentTracker, MLLogger
from refunc.outlets import turn

#: Quiet loggers, since no test here is about the console.
PRELUDE = """
import os, random, signal, sys, threading, time
from refunc.logging import MLLogger, experiment_context
log = MLLogger("train", "CRITICAL")
"""


#: Python 3.12 warns of every fork while threads run; refunc's are always there.
WITH_CHILDREN = f"""
import warnings; warnings.filterwarnings("ignore", ".*use of fork.*")
import multiprocessing
{PRELUDE}
"""


@pytest.fixture
def prelude() -> str:
    return PRELUDE


@pytest.fixture
def parent(finished: Callable[..., tuple[int, str, str]]) -> Callable[..., tuple[int, str, str]]:
    """Run Python code that has children to its end; see `finished`."""
    return partial(finished, prelude=WITH_CHILDREN)


class Stall:
    """Writes of this process that do not come back before `end`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._entered, self._over = threading.Event(), threading.Event()
        monkeypatch.setattr(turn, "WAIT", 1.0)  # as it is
        write = os.write

        def write_late(fd: int, data: Any) -> int:
            self._entered.set()
            self._over.wait(100)
            return write(fd, data)

        monkeypatch.setattr(os, "write", write_late)

    def wait(self) -> None:
        """Return when a thread is in such a write."""
        assert self._entered.wait(60), "the writer thread did not write"

    def end(self) -> None:
        """Let them come back."""
        self._over.set()


@pytest.fixture
def stall(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Stall]]:
    """Let the disk stand still from the call on; see `Stall`."""
    begun: list[Stall] = []

    def begin() -> Stall:
        begun.append(Stall(monkeypatch))
        return begun[-1]

    yield begin
    for each in begun:
        each.end()


@pytest.fixture
def tracker() -> Iterator[ExperimentTracker]:
    """Give a tracker of a run that is open, with a quiet logger."""
    tracker = ExperimentTracker("e", logger=MLLogger("quiet", "CRITICAL"))
    tracker.start_run()
    yield tracker
    tracker.end_run()
