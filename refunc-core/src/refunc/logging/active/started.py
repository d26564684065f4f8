"""
Runs that were started without a block, and that the next such start in the same thread ends.

A cell of a notebook that is run again makes a new logger of the same name, or a new tracker of the same run, and
forgets the first one: nothing else can end the run that it started.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any
from weakref import ref

from refunc.logging.active.run import ActiveRun
from refunc.values.loaded import of_loaded

#: A run, with the key under which it was started and the asyncio task that did it.
_Start = tuple[Hashable, Callable[[], Any], ActiveRun]


class _Started(threading.local):
    """The runs that this thread has started, oldest first."""

    def __init__(self) -> None:
        self.runs: list[_Start] = []


_here = _Started()


def started_here(key: Hashable) -> ActiveRun | None:
    """
    Return the open run that was started last under *key*, in this thread, by this asyncio task or one that has
    finished.

    Tasks that take turns in a thread have runs of their own, like threads.
    """
    runs: list[_Start] = _here.runs
    if not runs:
        return None
    current = current_task()
    for known, task_of, run in reversed(runs):
        if known == key and run.accepts():
            task = task_of()
            if task is None or task is current or task.done():
                return run
    return None


def remember(key: Hashable, run: ActiveRun) -> None:
    """Note that this thread started *run* under *key*."""
    task = current_task()
    still_open = [known for known in _here.runs if known[2].accepts()]
    _here.runs = [*still_open, (key, _none if task is None else ref(task), run)]


def _none() -> None:
    """Stand in for a reference to a task, outside of any task."""


def current_task() -> Any:
    """Return the asyncio task that is calling; None outside any, without importing asyncio."""
    asked = of_loaded("asyncio", "current_task")
    if asked is None:
        return None
    try:
        return asked()
    except RuntimeError:  # no loop runs in this thread
        return None
