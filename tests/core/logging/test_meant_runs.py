"""Which run a call means, whatever it knew before, while others are opened and ended."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest

from refunc.journal.record import LogLine
from refunc.logging import ExperimentTracker, MLLogger, experiment_context, get_logger
from refunc.logging.console.throttle import Echo, bar_opened
from refunc.logging.formatters.fields import fields_of
from refunc.runs import open_store
from refunc.runs.run import Run

Points = Callable[[Run], list[tuple[int | float | None, dict[str, Any]]]]
RunOf = Callable[[MLLogger], Run]


def test_a_call_goes_to_the_run_that_is_meant_whatever_was_known_before(logger: MLLogger, points: Points) -> None:
    first = logger.start_experiment("first")
    logger.log_metrics({"a": 1.0})
    with experiment_context("inner"):
        logger.log_metrics({"a": 2.0})  # the block was entered after its own run was started
        get_logger("other").log_metrics({"a": 3.0})
    get_logger("other").log_metrics({"a": 4.0})  # now the process's only one
    logger.end_experiment()
    second = logger.start_experiment("second")
    logger.log_metrics({"a": 5.0})
    logger.end_experiment()

    runs = {run.experiment_name: [metrics["a"] for _, metrics in points(run)] for run in open_store()}
    assert runs == {"first": [1.0, 4.0], "inner": [2.0, 3.0], "second": [5.0]}
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
    shown += [fields_of(record).run_id for record in heard if record.getMessage() == "params p=1"]
    assert shown == [two.run_id] * 3
    assert "cannot tell which one is meant" not in capsys.readouterr().err


@pytest.mark.parametrize("seed", range(10))
def test_of_blocks_and_started_runs_the_one_said_further_inside_is_meant(
    seed: int, tmp_path: Path, points: Points
) -> None:
    random, names = Random(seed), (str(number) for number in count())
    loggers = [MLLogger(f"meant {number}", log_dir=tmp_path / "logs") for number in range(2)]
    started: dict[MLLogger, tuple[str, list[str]]] = {}
    expected: dict[str, list[float]] = {}

    def act(depth: int, blocks: list[str]) -> None:
        for _ in range(random.randrange(2, 6)):
            logger, what = random.choice(loggers), random.random()
            if what < 0.3 and depth < 4:
                with experiment_context("e", name := next(names)):
                    expected[name] = []
                    act(depth + 1, [*blocks, name])
            elif what < 0.5:
                name = next(names)
                logger.start_experiment("e", name)
                started[logger], expected[name] = (name, blocks), []
            elif what < 0.6 and logger in started:
                logger.end_experiment()
                del started[logger]
            own, around = started.get(logger, (None, []))
            if own is None or (blocks and blocks[-1] not in around):
                own = blocks[-1] if blocks else None
            if own is not None:  # else it is one of the others' or the implicit one
                expected[own].append(value := float(len(expected[own])))
                logger.log_metrics({"a": value})

    act(0, [])
    for logger in started:
        logger.end_experiment()

    runs = {run.run_name: [metrics["a"] for _, metrics in points(run)] for run in open_store()}
    assert {name: runs[name] for name in expected} == expected


def test_a_block_in_a_thread_is_meant_there_whatever_is_started_elsewhere(logger: MLLogger, points: Points) -> None:
    entered, is_started = threading.Event(), threading.Event()

    def evaluate() -> None:
        with experiment_context("e", "block"):
            logger.log_metrics({"a": 1.0})
            entered.set()
            assert is_started.wait(30)
            logger.log_metrics({"a": 2.0})

    thread = threading.Thread(target=evaluate)
    thread.start()
    assert entered.wait(30)
    logger.start_experiment("e", "started")
    logger.log_metrics({"a": 3.0})
    is_started.set()
    thread.join()
    logger.log_metrics({"a": 4.0})
    logger.end_experiment()

    store = open_store()
    assert [metrics["a"] for _, metrics in points(store["block"])] == [1.0, 2.0]
    assert [metrics["a"] for _, metrics in points(store["started"])] == [3.0, 4.0]


def test_a_run_that_a_block_passes_over_is_named_once(logger: MLLogger, caplog: pytest.LogCaptureFixture) -> None:
    logger.start_experiment("nb", "first")
    for _ in range(2):
        with experiment_context("nb", "second") as run:
            run.log_metric("a", 1.0)
            logger.log_metrics({"a": 1.0})
            logger.info("line")
    with experiment_context("nb", "third"):
        logger.end_experiment()
        logger.log_metrics({"a": 1.0})

    said = [record.getMessage() for record in caplog.records if "still open" in record.getMessage()]
    assert said == [
        "logger hot: run first, which it started, is still open. Inside this block its calls go to run second, "
        "and after the block to its own run again; end_experiment() ends that run."
    ]


def again(kind: str, name: str | None) -> MLLogger | ExperimentTracker:
    """Be a notebook's cell that starts a run, with a new object each time."""
    if kind == "tracker":
        tracker = ExperimentTracker("nb", name)
        tracker.start_run()
        return tracker
    logger = MLLogger("cell")
    logger.start_experiment("nb", name)
    return logger


@pytest.mark.parametrize("kind", ["logger", "tracker"])
def test_a_cell_that_is_run_again_ends_its_first_run_with_one_line(
    kind: str, caplog: pytest.LogCaptureFixture, points: Points
) -> None:
    for number in range(3):
        recorder = again(kind, "mine")
        recorder.log_metrics({"a": number})
        get_logger("other").log_metrics({"b": number})
    recorder.flush()

    runs = list(open_store())
    assert [run.status for run in runs] == ["completed", "completed", "running"]
    assert [[metrics for _, metrics in points(run)] for run in runs] == [[{"a": n}, {"b": n}] for n in range(3)]
    said = [record.getMessage() for record in caplog.records if "still open" in record.getMessage()]
    assert len(said) == 2
    assert all(line.endswith(": run mine was still open and is ended.") for line in said)


def test_a_cell_that_is_run_again_ends_the_run_of_the_first_logger() -> None:
    MLLogger("cell").start_experiment("nb", "mine")
    MLLogger("cell").end_experiment(final_metrics={"a": 1.0})

    (run,) = open_store()
    assert (run.status, run.summary.last) == ("completed", {"a": 1.0})


def test_runs_of_one_name_stay_apart_where_neither_is_forgotten(tmp_path: Path, points: Points) -> None:
    def trial(number: int) -> None:
        logger = MLLogger("trial", log_dir=tmp_path / "logs")
        logger.start_experiment("threads", str(number))
        barrier.wait(30)
        logger.log_metrics({"n": number})
        barrier.wait(30)
        logger.end_experiment()

    barrier = threading.Barrier(3)
    threads = [threading.Thread(target=trial, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    async def task(number: int) -> None:
        logger = MLLogger("trial", log_dir=tmp_path / "logs")
        logger.start_experiment("tasks", str(number))
        for _ in range(3):
            await asyncio.sleep(0)
        logger.log_metrics({"n": number})
        for _ in range(3):
            await asyncio.sleep(0)
        logger.end_experiment()

    async def tasks() -> None:
        await asyncio.gather(*map(task, range(3)))

    asyncio.run(tasks())
    with experiment_context("blocks", "fold") as outer, experiment_context("blocks", "fold") as inner:
        outer.log_metric("n", 0)
        inner.log_metric("n", 0)
    side_by_side = [ExperimentTracker("unnamed") for _ in range(2)]
    for tracker in side_by_side:
        tracker.start_run()
    for tracker in side_by_side:
        tracker.log_metric("n", 0)
        tracker.end_run()

    runs = list(open_store())
    assert len(runs) == 10
    assert [run.status for run in runs] == ["completed"] * 10
    for run in runs:
        assert [metrics for _, metrics in points(run)] == [{"n": int(run.run_name) if run.run_name.isdigit() else 0}]
