"""
A backend at its outer edge, the runs that it gets, and delivery to it step by step, without threads.

And the calls that a probe of another process got.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.delivery import settlement, standing
from refunc.delivery.backend import Backend
from refunc.delivery.subscription import Subscription
from refunc.logging.active.run import ActiveRun
from refunc.plugins import hookimpl
from refunc.plugins.hooks import hooks_of, plugged


class Fake:
    """Remembers the calls that it gets, and raises the errors that the test names."""

    #: The names of its files in a run begin with it.
    KEY = "fake-00000000"

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.metrics: list[int] = []
        self.fails: Callable[[str, Any], BaseException | None] = lambda hook, what: None

    def take(self, hook: str, what: Any) -> None:
        self.calls.append((hook, what))
        error = self.fails(hook, what)
        if error is not None:
            raise error

    @hookimpl
    def on_run_start(self, run: Any) -> None:
        self.take("start", run)

    @hookimpl
    def on_hyperparams(self, run: Any, record: Any) -> None:
        self.take("params", record)

    @hookimpl
    def on_metrics(self, run: Any, records: Any) -> None:
        self.take("metrics", records)
        self.metrics += [record.metrics["n"] for record in records if "n" in record.metrics]

    @hookimpl
    def on_log(self, run: Any, records: Any) -> None:
        self.take("log", records)

    @hookimpl
    def on_run_end(self, run: Any, record: Any) -> None:
        self.take("end", record)

    def hooks(self) -> list[str]:
        return [hook for hook, _ in self.calls]

    def subscribe(self, run: ActiveRun, **options: Any) -> Subscription:
        return Subscription(run.folder, self.KEY, "fake", **options)

    def deliver(self, subscription: Subscription, kind: str = "at-least-once", seconds: float = 5.0) -> None:
        """Advance until there is nothing more to do; a pending retry is waited for."""
        backend = Backend(plugged(self), hooks_of(type(self)), kind, getattr(self, "ping", None))
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            suspects = subscription._settlement.window.suspects
            due = min([each.retry_at for each in suspects], default=subscription.retry_at)
            is_pending = time.monotonic() < max(due, subscription.retry_at) < deadline  # asked first: it may come due
            is_pending |= bool(subscription.cursor.ended and subscription.cursor.aside and subscription._tries)
            if subscription.wants():
                subscription.advance(backend)
            elif is_pending:
                time.sleep(0.001)
            else:
                return


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def other() -> Fake:
    """Return the same integration in another process."""
    return Fake()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "FIRST_DELAY", 0.001)
    for module in (standing, settlement):
        monkeypatch.setattr(module, "LAST_DELAY", 0.002)
    monkeypatch.setattr(settlement, "DOUBTFUL_DELAY", 0.001)
    monkeypatch.setattr(settlement, "SUSPECT_DELAY", 0.002)


@pytest.fixture
def logged(make_run: Callable[..., ActiveRun]) -> Callable[..., ActiveRun]:
    """Write lines with a point of the metric `n` each into *run*, or into a new one, which is returned."""

    def log(*numbers: int, run: ActiveRun | None = None) -> ActiveRun:
        run = run if run is not None else make_run()
        for number in numbers:
            run.put("log", {"level": "METRIC", "message": "m", "metrics": {"n": number}, "step": number})
        run.writer.flush()
        return run

    return log


@pytest.fixture
def steps(calls: Callable[..., list[dict[str, Any]]]) -> Callable[[], list[int]]:
    """Return the steps of the metrics that a probe got."""
    return lambda: [step for call in calls("metrics") for step in call["steps"]]


@pytest.fixture
def ids(calls: Callable[..., list[dict[str, Any]]]) -> Callable[[], list[tuple[str, int]]]:
    """Return the writers and numbers of the metrics that a probe got."""
    return lambda: [(writer, seq) for call in calls("metrics") for writer, seq in call["ids"]]


@pytest.fixture
def trouble() -> Callable[[str], list[str]]:
    """
    Return the lines that a user should not see: warnings of refunc and of Python, tracebacks, half a line.

    A busy machine takes longer than a second for the last records, and the exit says that it waits.
    """
    unwanted = re.compile(r" WARNING (?!.*waiting for )|Warning|Traceback|Logging error|still to be")
    return lambda err: [line for line in err.splitlines() if unwanted.search(line)]


@pytest.fixture
def patient(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have scripts wait at exit until all is delivered, however long a busy machine takes for the first call."""
    monkeypatch.setenv("REFUNC_EXIT_WAIT", "30")
