"""The variable that tells processes which run is theirs."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from refunc.processes import inherited


def test_threads_that_end_runs_at_once_all_take_the_variable_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """`os.environ.pop(name, None)` raises KeyError if another thread was faster: it looks first, and removes then."""
    monkeypatch.setattr(inherited, "_given", None)

    def begin_and_end_runs(number: int) -> None:
        for _ in range(2_000):
            inherited.announce(str(number), "/runs")
            inherited.withdraw()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(begin_and_end_runs, range(4)))
    finally:
        sys.setswitchinterval(interval)

    assert inherited.VARIABLE not in os.environ
