"""The variable that tells processes which run is theirs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from refunc.processes import inherited, own_process
from refunc.processes.launch import launch_of


def hurried(*calls: Callable[[], object]) -> None:
    """Make each of *calls* over and over in a thread of its own; the threads take turns as often as they can."""

    def repeat(call: Callable[[], object]) -> None:
        for _ in range(2_000):
            call()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(len(calls)) as threads:
            list(threads.map(repeat, calls))
    finally:
        sys.setswitchinterval(interval)


def begin_and_end_run() -> None:
    inherited.announce("a", "/runs")
    inherited.withdraw()


def test_threads_that_end_runs_at_once_all_take_the_variable_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """`os.environ.pop(name, None)` raises KeyError if another thread was faster: it looks first, and removes then."""
    monkeypatch.setattr(inherited, "_given", None)

    hurried(*[begin_and_end_run] * 4)

    assert inherited.VARIABLE not in os.environ


@pytest.mark.parametrize("read", [own_process.environment, partial(launch_of, "a")], ids=["delivery", "launch"])
def test_the_environment_can_be_read_while_other_threads_end_runs(
    read: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inherited, "_given", None)

    hurried(read, begin_and_end_run, begin_and_end_run)
