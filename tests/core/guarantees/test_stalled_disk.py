"""Writes that do not come back for long: no call waits for them, and an end behind them is written as they do."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from refunc.journal.reader import Account
from refunc.logging import ExperimentTracker, MLLogger
from refunc.logging.active.run import ActiveRun
from refunc.outlets import appender, pump
from refunc.outlets.bounded_queue import HIGH_WATER
from refunc.outlets.locks import is_locked
from refunc.runs.run import Run


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def _stalled(tracker: ExperimentTracker, stall: Any) -> tuple[ActiveRun, Any]:
    """Return the run of *tracker*, of which one record is in a write that hangs, and the stall."""
    run = tracker._run
    assert run is not None
    tracker.flush()
    stalled = stall()
    tracker.log_metrics({"n": 0})
    stalled.wait()
    return run, stalled


def test_a_stalled_disk_bounds_every_wait_and_the_memory(tracker: ExperimentTracker, stall: Any, journal: Any) -> None:
    """One write that does not come back: flush gives up after a second, metrics go on, drops are counted."""
    run, stalled = _stalled(tracker, stall)
    began = time.monotonic()
    assert tracker.flush() is False
    waited = time.monotonic() - began
    for n in range(1, HIGH_WATER + 5_000):
        tracker.log_metrics({"n": n})
    took = time.monotonic() - began
    dropped = run.writer.dropped
    waiting = run.writer.waiting
    stalled.end()
    assert tracker.flush()
    tracker.end_run()

    assert 0.9 < waited < 30, "the write stands still for 100 s"
    assert took < 50, "each of thousands of calls might wait for a second"
    assert 0 < dropped <= 5_000
    assert waiting <= HIGH_WATER + appender.BATCH_RECORDS
    records, account = journal.read(Run.open(run.folder))
    assert account == Account(dropped=dropped)
    assert len(journal.values(records, "n")) + dropped == HIGH_WATER + 5_000


def test_a_run_that_ends_while_the_disk_stalls_is_completed_when_the_stall_is_over(
    tracker: ExperimentTracker, stall: Any, journal: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Until then it is running: trackers would be told of a crash, and `refunc gc` might remove it."""
    run, stalled = _stalled(tracker, stall)
    for n in range(1, 100):
        tracker.log_metrics({"n": n})
    tracker.end_run()
    assert Run.open(run.folder).status == "running"
    [said] = _warnings(caplog)
    assert "101 of this process's records are not written to " in said  # the metrics and the end
    stalled.end()

    deadline = time.monotonic() + 20
    while id(run.writer) in pump._pump.outlets or run.writer._not_on_disk.files() or is_locked(run.folder / "run.json"):
        assert time.monotonic() < deadline, "it is still served, or its file is not closed, or the run's lock is held"
        time.sleep(0.01)
    assert Run.open(run.folder).status == "completed"
    records, account = journal.read(Run.open(run.folder))
    assert journal.values(records, "n") == list(range(100))
    assert account == Account()
    assert run.writer._state.file is None


def test_a_process_that_dies_before_the_end_is_written_leaves_a_crashed_run(
    finished: Callable[..., tuple[int, str, str]], only_run: Callable[[], Run]
) -> None:
    """The kernel gives up the lock that was kept for the end."""
    returned, out, err = finished("""
        from refunc.runs.store import open_store

        log.start_experiment("e")
        log.flush()
        entered, write = threading.Event(), os.write

        def stall(fd, data):
            entered.set()
            time.sleep(60)

        os.write = stall
        log.log_metrics({"n": 0})
        entered.wait(10)
        log.end_experiment()
        [run] = open_store()
        write(1, run.status.encode())
        os._exit(1)
    """)

    assert (returned, out) == (1, "running"), err
    assert only_run().status == "crashed"


def test_the_process_itself_goes_on_with_a_run_whose_end_is_not_written_yet(
    tracker: ExperimentTracker, stall: Any, journal: Any
) -> None:
    """For other processes it is still open."""
    run, stalled = _stalled(tracker, stall)
    tracker.end_run()
    again = ExperimentTracker("e", logger=MLLogger("quiet", "CRITICAL"), resume=run.run_id)
    threading.Timer(0.2, stalled.end).start()  # opening it writes its files
    again.start_run()
    again.log_metrics({"n": 1})
    again.end_run()

    deadline = time.monotonic() + 20
    while id(run.writer) in pump._pump.outlets:
        assert time.monotonic() < deadline, "it is still served"
        time.sleep(0.01)
    records, account = journal.read(Run.open(run.folder))
    assert (sorted(journal.values(records, "n")), account) == ([0, 1], Account())
    assert Run.open(run.folder).status == "completed"
