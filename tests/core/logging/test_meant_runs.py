"""Which run a call means, whatever it knew before, and whoever opens and ends others meanwhile."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.record import LogLine
from refunc.logging import ExperimentTracker, MLLogger, experiment_context, get_logger
from refunc.logging.echo import Echo, bar_opened
from refunc.logging.fields import fields_of
from refunc.runs import open_store
from refunc.runs.run import Run

Points = Callable[[Run], list[tuple[int | float | None, dict[str, Any]]]]
RunOf = Callable[[MLLogger], Run]


def test_a_call_goes_to_the_run_that_is_meant_whatever_was_known_before(logger: MLLogger, points: Points) -> None:
    first = logger.start_experiment("first")
    logger.log_metrics({"a": 1.0})
    with experiment_context("inner"):
        logger.log_metrics({"a": 2.0})  # its own run comes before the context's
        get_logger("other").log_metrics({"a": 3.0})
    get_logger("other").log_metrics({"a": 4.0})  # now the process's only one
    logger.end_experiment()
    second = logger.start_experiment("second")
    logger.log_metrics({"a": 5.0})
    logger.end_experiment()

    runs = {run.experiment_name: [metrics["a"] for _, metrics in points(run)] for run in open_store()}
    assert runs == {"first": [1.0, 2.0, 4.0], "inner": [3.0], "second": [5.0]}
    assert first.run_id != second.run_id


def test_tasks_in_contexts_of_their_own_log_to_their_own_runs(logger: MLLogger, points: Points) -> None:
    async def train(name: str) -> None:
        with experiment_context(name):
            for step in range(50):
                logger.log_metrics({"n": float(step)}, step)
                logger.info("step %d of %s", step, name)
                await asyncio.sleep(0)

    async def both() -> None:
        await asyncio.gather(*(train(f"task {number}") for number in range(3)))

    asyncio.run(both())

    for run in open_store():
        assert [step for step, _ in points(run)] == list(range(50))
        lines = [record.message for record in run.records() if isinstance(record, LogLine)]
        assert lines == [f"step {step} of {run.experiment_name}" for step in range(50)]


def test_threads_that_open_and_end_runs_while_another_logs_lose_nothing(
    logger: MLLogger, points: Points, run_of: RunOf
) -> None:
    logger.start_experiment("steady")
    stop = threading.Event()

    def open_and_end() -> None:
        number = 0
        while not stop.is_set():
            with experiment_context(f"short {number}"):
                number += 1

    thread = threading.Thread(target=open_and_end)
    thread.start()
    for step in range(5_000):
        logger.log_metrics({"n": 1.0}, step)
    stop.set()
    thread.join(30)
    logger.end_experiment()

    assert [step for step, _ in points(run_of(logger))] == list(range(5_000))


@pytest.mark.usefixtures("switching")
def test_threads_that_log_first_at_once_leave_no_place_in_a_run_that_has_ended(
    logger: MLLogger, points: Points
) -> None:
    for number in range(100):
        logger.set_step(number)
        logger.start_experiment(f"run {number}")
        barrier = threading.Barrier(3)

        def log(barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            logger.log_metrics({"a": 1.0})

        threads = [threading.Thread(target=log) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        logger.end_experiment()
        assert not logger._place.is_current

    for run in open_store():
        assert [step for step, _ in points(run)] == [int(str(run.experiment_name).split()[1])] * 3


@pytest.mark.usefixtures("switching")
def test_a_logger_means_its_own_threads_run_while_others_open_and_end_theirs(logger: MLLogger, points: Points) -> None:
    def train(name: str) -> None:
        for number in range(30):
            with experiment_context(f"{name} {number}"):
                logger.log_metrics({"n": 1.0}, number)
                logger.log_metrics({"n": 2.0}, number)

    threads = [threading.Thread(target=train, args=(name,)) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    runs = list(open_store())
    assert len(runs) == 90
    for run in runs:
        number = int(str(run.experiment_name).split()[1])
        assert points(run) == [(number, {"n": 1.0}), (number, {"n": 2.0})]


@pytest.mark.usefixtures("switching")
def test_a_bar_opens_while_another_thread_makes_loggers() -> None:
    stop = threading.Event()

    def make() -> None:
        while not stop.is_set():
            made = [Echo() for _ in range(50)]
            made.clear()

    thread = threading.Thread(target=make)
    thread.start()
    try:
        for _ in range(3_000):
            bar_opened()
    finally:
        stop.set()
        thread.join()


def test_a_logger_that_tracks_nothing_leaves_nothing_in_anybodys_run(
    logger: MLLogger, tmp_path: Path, points: Points
) -> None:
    quiet = MLLogger("untracked", log_dir=tmp_path / "logs", experiment_tracking=False)
    with experiment_context("somebody's") as tracker:
        quiet.set_step(3)
        quiet.log_metrics({"a": 1.0})
        quiet.info("line")
        logger.log_metrics({"a": 2.0})
        logger.experiment_tracking = False
        logger.log_metrics({"a": 3.0})
        logger.info("line")
        logger.experiment_tracking = True
        logger.log_metrics({"a": 4.0})
    assert tracker.folder is not None

    run = Run.open(tracker.folder)
    assert [metrics for _, metrics in points(run)] == [{"a": 2.0}, {"a": 4.0}]
    assert not [record for record in run.records() if isinstance(record, LogLine)]


def test_a_logger_that_tracks_nothing_has_its_data_in_a_run_of_its_own(
    tmp_path: Path, logger: MLLogger, points: Points, run_of: RunOf
) -> None:
    quiet = MLLogger("untracked", log_dir=logger.log_dir, experiment_tracking=False)
    quiet.start_experiment("own", parameters={"lr": 0.1})
    quiet.log_metrics({"a": 1.0})
    quiet.info("line")
    quiet.log_metrics({"a": 2.0})
    quiet.end_experiment()

    run = run_of(quiet)
    assert [metrics for _, metrics in points(run)] == [{"a": 1.0}, {"a": 2.0}]
    assert run.params == {"lr": 0.1}
    assert not [record for record in run.records() if isinstance(record, LogLine)]


def test_what_a_tracker_shows_is_said_of_its_own_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logger = MLLogger("shown", log_dir=tmp_path / "logs")
    heard: list[logging.LogRecord] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record)

    logger.add_handler(Ear())
    one, two = (ExperimentTracker(name, log_dir=tmp_path / "runs", logger=logger) for name in ("one", "two"))
    one.start_run()
    two.start_run()
    two.log_metrics({"x": 1.0})
    two.log_result("score", 2.0)
    two.log_hyperparams({"p": 1})
    two.end_run()
    one.end_run()

    shown = [fields_of(record).run_id for record in heard if record.levelname in ("METRIC", "RESULT")]
    shown += [fields_of(record).run_id for record in heard if record.getMessage() == "params"]
    assert shown == [two.run_id] * 3
    assert "cannot know which is meant" not in capsys.readouterr().err
