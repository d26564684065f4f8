"""The writer's threads end with the last run, and no record waits for that."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from refunc.logging import ExperimentTracker, MLLogger, experiment_context
from refunc.logging.active.blocks import ambient
from refunc.outlets import pump
from refunc.outlets.outlet import Outlet
from refunc.runs import open_store


class Collected(Outlet):
    """An outlet whose records end in a list."""

    def __init__(self) -> None:
        self.items: list[object] = []
        super().__init__()

    def _step(self) -> int:
        count = len(self.queue)
        self.items.extend(self.queue.popleft() for _ in range(count))
        return count


def ours() -> set[str]:
    return {thread.name for thread in threading.enumerate()} & {pump.WRITER, pump.FSYNC}


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def wait_for_their_end() -> None:
    """The end of a run joins them for a fifth of a second; the disk may take longer for their last sync."""
    wait_for(lambda: not ours())


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REFUNC_DIR", str(tmp_path / "experiments"))
    pump.rest()
    return tmp_path / "experiments"


def test_no_thread_is_left_behind_the_last_run(store: Path) -> None:
    with experiment_context("outer"):
        with experiment_context("inner") as inner:
            inner.log_metrics({"loss": 1.0})
            assert ours() == {pump.WRITER, pump.FSYNC}
        assert ours() == {pump.WRITER, pump.FSYNC}
    wait_for_their_end()


def test_a_line_after_it_starts_them_again_and_is_written(store: Path, tmp_path: Path) -> None:
    logger = MLLogger("train", log_dir=tmp_path / "logs")
    with logger.start_experiment("digits"):
        logger.info("inside")
    wait_for_their_end()
    logger.info("behind the run")
    wait_for(lambda: "behind the run" in (tmp_path / "logs" / "train.log").read_text("utf-8"))
    assert ours() == {pump.WRITER, pump.FSYNC}


def test_a_record_behind_the_end_is_written_without_a_further_call(store: Path) -> None:
    tracker = ExperimentTracker("digits")
    tracker.log_metrics({"loss": 1.0}, step=0)
    tracker.end_run()
    tracker.log_metrics({"loss": 2.0}, step=1)
    assert tracker.run_id is not None
    wait_for(lambda: list(open_store(store)[tracker.run_id].metrics("loss").values) == [1.0, 2.0])


def test_records_wait_for_no_exit_while_another_thread_ends_the_threads_all_the_time(store: Path) -> None:
    """Each is in its file soon, and nothing asks for it to be written."""
    stop = threading.Event()

    def end_them() -> None:
        while not stop.is_set():
            pump.rest()

    enders = [threading.Thread(target=end_them) for _ in range(2)]
    for thread in enders:
        thread.start()
    try:
        for number in range(60):
            with experiment_context(f"run {number}") as run:
                for step in range(5):
                    run.log_metrics({"loss": 1.0}, step=step)
                writer = ambient.get().writer  # type: ignore[union-attr]
                wait_for(lambda writer=writer: not writer.waiting)  # type: ignore[misc]
    finally:
        stop.set()
        for thread in enders:
            thread.join()
    assert [len(run.metrics("loss").steps) for run in open_store(store)] == [5] * 60


def test_threads_that_end_between_their_start_and_the_first_use_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    serve = pump.serve

    def serve_and_rest(outlet: Outlet) -> bool:
        monkeypatch.setattr(pump, "serve", serve)
        is_served = serve(outlet)
        pump.rest()
        return is_served

    monkeypatch.setattr(pump, "serve", serve_and_rest)
    outlet = Collected()
    outlet.append(1)
    outlet.append(2)
    wait_for(lambda: outlet.items == [1, 2])
    assert ours() == {pump.WRITER, pump.FSYNC}
    outlet.close()


def test_a_drain_that_starts_them_while_they_are_ended_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of a journal, which hands its records to log files: all that logged stood still for a second."""
    monkeypatch.setattr("refunc.outlets.turn.WAIT", 60.0)
    is_inside, other = threading.Event(), Collected()

    class Handing(Collected):
        def _step(self) -> int:
            count = super()._step()
            if 1 in self.items and not is_inside.is_set():
                is_inside.set()
                other.append(1)
            return count

    outlet = Handing()
    outlet.append(0)
    wait_for(lambda: outlet.items == [0])
    drain = threading.Thread(target=outlet.write, args=(1,))
    rest = outlet.rest

    def rest_amid_a_drain() -> None:
        if not is_inside.is_set():
            drain.start()
            assert is_inside.wait(20)
        rest()

    monkeypatch.setattr(outlet, "rest", rest_amid_a_drain)
    ends = threading.Thread(target=pump.rest)
    ends.start()
    for thread in (ends, drain):
        thread.join(20)
        assert not thread.is_alive(), "each waits for the other"
    wait_for(lambda: other.items == [1])
    assert outlet.items == [0, 1]
    for each in (outlet, other):
        each.close()


def test_a_test_suite_may_stop_them_and_the_run_goes_on(store: Path) -> None:
    """Lightning's does so with daemons that a test has left."""
    tracker = ExperimentTracker("digits")
    tracker.log_metrics({"loss": 1.0}, step=0)
    for thread in threading.enumerate():
        if thread.name in (pump.WRITER, pump.FSYNC):
            thread.stop()  # type: ignore[attr-defined]
    wait_for_their_end()
    run = open_store(store)[tracker.run_id or ""]
    assert list(run.metrics("loss").values) == [1.0]
    tracker.log_metrics({"loss": 2.0}, step=1)
    wait_for(lambda: list(open_store(store)[run.run_id].metrics("loss").values) == [1.0, 2.0])
    tracker.end_run()


def test_a_run_whose_disk_refuses_keeps_the_threads(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = MLLogger("train", log_dir=store / "logs")
    with experiment_context("digits"):
        waiting.info("a line")
    outlet = next(iter(pump._pump.outlets.values()))
    monkeypatch.setattr(type(outlet), "flush", lambda self, *, sync=False: False)
    waiting.info("behind it")
    assert ours() == {pump.WRITER, pump.FSYNC}
    pump.rest()
    assert ours() == {pump.WRITER, pump.FSYNC}
