"""What a call skips because it knows the names and the run already, and that it never skips too much."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.record import LogLine, Metrics
from refunc.logging import ExperimentTracker, MLLogger, experiment_context, get_logger
from refunc.logging.echo import Echo, bar_opened
from refunc.logging.fields import fields_of
from refunc.runs import open_store
from refunc.runs.run import Run


def points(run: Run) -> list[tuple[int | float | None, dict[str, Any]]]:
    return [(record.step, record.metrics) for record in run.records() if isinstance(record, Metrics)]


@pytest.fixture
def logger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MLLogger:
    monkeypatch.setenv("REFUNC_DIR", str(tmp_path / "runs"))
    return MLLogger("hot", log_dir=tmp_path / "logs")


def run_of(logger: MLLogger) -> Run:
    context = logger.get_experiment_context()
    assert context is not None
    assert context.folder is not None
    return Run.open(context.folder)


def test_the_same_names_in_another_order_with_other_numbers_and_other_names_of_the_same_count(logger: MLLogger) -> None:
    logger.start_experiment("names")
    logger.log_metrics({"a": 1.0, "b": 2.0}, 0)
    logger.log_metrics({"b": 4.0, "a": 3.0}, 1)
    logger.log_metrics({"a": 5, "b": 2**70}, 2)
    logger.log_metrics({"c": 6.0, "d": 7.0}, 3)
    logger.log_metrics({"a": True, "b": "text"}, 4)
    logger.log_metrics({"a": 8.0}, 5)
    logger.log_metrics({}, 6)
    logger.end_experiment()

    assert points(run_of(logger)) == [
        (0, {"a": 1.0, "b": 2.0}),
        (1, {"a": 3.0, "b": 4.0}),
        (2, {"a": 5, "b": float(2**70)}),
        (3, {"c": 6.0, "d": 7.0}),
        (4, {"a": 1}),
        (5, {"a": 8.0}),
        (6, {}),
    ]


def test_a_mapping_that_makes_up_values_for_missing_names_is_not_asked_for_them(logger: MLLogger) -> None:
    logger.start_experiment("defaults")
    logger.log_metrics({"a": 1.0, "b": 2.0}, 0)
    made: defaultdict[str, float] = defaultdict(float, {"c": 3.0, "d": 4.0})
    logger.log_metrics(made, 1)
    logger.log_metrics(OrderedDict(a=5.0, b=6.0), 2)
    logger.end_experiment()

    assert dict(made) == {"c": 3.0, "d": 4.0}
    assert points(run_of(logger))[1:] == [(1, {"c": 3.0, "d": 4.0}), (2, {"a": 5.0, "b": 6.0})]


def test_a_value_that_changes_after_the_call_is_recorded_as_it_was(logger: MLLogger) -> None:
    class Meter:
        value = 0.0

        def __float__(self) -> float:
            return self.value

        def __radd__(self, other: float) -> float:
            return other + self.value

    logger.start_experiment("meters")
    meter = Meter()
    for step in range(3):
        meter.value = float(step)
        logger.log_metrics({"meter": meter, "other": 0.5}, step)
    meter.value = 99.0
    logger.end_experiment()

    assert [metrics["meter"] for _, metrics in points(run_of(logger))] == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("name", ["ä", 'a"b', "a\\b", "a\nb", "lone \ud800", "", "a.b/c d", "__class__", "metrics"])
def test_any_name_twice(logger: MLLogger, name: str) -> None:
    logger.start_experiment("any name")
    logger.log_metrics({name: 1.0, "x": float("nan")}, 0)
    logger.log_metrics({name: 2.0, "x": 3.0}, 1)
    logger.end_experiment()

    written = name.encode("utf-8", "backslashreplace").decode()
    assert [metrics[written] for _, metrics in points(run_of(logger))] == [1.0, 2.0]


def test_a_thousand_calls_leave_the_garbage_collector_nothing_to_look_at(logger: MLLogger) -> None:
    logger.start_experiment("no garbage")
    logger.log_metrics({"loss": 1.0, "accuracy": 0.5}, 0)
    gc.collect()
    gc.disable()
    try:
        before = gc.get_count()[0]
        for step in range(1, 1_001):
            logger.log_metrics({"loss": 1 / step, "accuracy": 0.5}, step)
        after = gc.get_count()[0]
    finally:
        gc.enable()

    assert after - before < 500  # what the writer's thread has just at hand; tuples would be a thousand or two


def test_more_sets_of_names_than_are_remembered(logger: MLLogger) -> None:
    logger.start_experiment("many names")
    for number in range(1_200):
        logger.log_metrics({f"m{number}": float(number), "x": 1.0}, number)
    logger.end_experiment()

    assert [metrics[f"m{step}"] for step, metrics in points(run_of(logger))] == [float(n) for n in range(1_200)]


def test_steps_and_epochs_at_the_edges_of_what_is_compared_at_once(logger: MLLogger) -> None:
    logger.start_experiment("steps")
    given = [0, -1, 999_999_999, 1_000_000_000, 2**62, -(2**63), 2**63 - 1]
    for step in given:
        logger.log_metrics({"a": 1.0}, step)
    logger.log_metrics({"a": 1.0, "step": 7})
    logger.log_metrics({"a": 1.0})
    logger.set_epoch(3)
    logger.log_metrics({"a": 1.0}, epoch=4)
    logger.end_experiment()

    assert [step for step, _ in points(run_of(logger))] == [*given, 7, 0, None]


def test_a_call_goes_to_the_run_that_is_meant_whatever_was_known_before(logger: MLLogger) -> None:
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


def test_tasks_in_contexts_of_their_own_log_to_their_own_runs(logger: MLLogger) -> None:
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


def test_threads_that_open_and_end_runs_while_another_logs_lose_nothing(logger: MLLogger) -> None:
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


def test_a_line_nobody_hears_makes_no_record_and_stands_in_the_journal_whole(
    logger: MLLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = MLLogger("quiet", log_dir=logger.log_dir)
    quiet._files = []
    for handler in quiet.handlers:
        quiet.remove_handler(handler)
    monkeypatch.setattr(logging.getLogger("quiet"), "propagate", False)
    made: list[str] = []
    quiet.start_experiment("silence")
    monkeypatch.setattr(quiet._stdlib, "makeRecord", lambda *args, **_: made.append(args[4]))
    extra = {"text": "x" * 70_000, "big": 2**70, 3: "three", "fine": None}
    quiet.info("with %s", "arguments", extra=extra, metrics={"m": 1.5}, tags={"t": 1}, step=4)
    extra["fine"] = "changed"
    monkeypatch.undo()
    quiet.end_experiment()

    assert made == []
    (line,) = [record for record in run_of(quiet).records() if isinstance(record, LogLine)]
    assert (line.message, line.metrics, line.tags, line.step) == ("with arguments", {"m": 1.5}, {"t": "1"}, 4)
    assert line.extra["big"] == str(2**70)
    assert line.extra["3"] == "three"
    assert line.extra["fine"] is None
    assert line.extra["text"].endswith("… [cut: 70000 characters]")
    assert line.at is not None
    assert line.at.startswith("test_hot_path.py:")


def test_a_handler_that_is_added_later_hears_the_next_line(logger: MLLogger) -> None:
    heard: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    logger.info("before")
    ear = Ear()
    logging.getLogger().addHandler(ear)
    try:
        logger.info("for the root")
    finally:
        logging.getLogger().removeHandler(ear)
    logger.info("after")

    assert heard == ["for the root"]


@pytest.fixture
def switching() -> Iterator[None]:
    """Have threads take turns at nearly every step, so that what can come between two steps does."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("switching")
def test_threads_that_log_first_at_once_leave_no_place_in_a_run_that_has_ended(logger: MLLogger) -> None:
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
def test_a_logger_means_its_own_threads_run_while_others_open_and_end_theirs(logger: MLLogger) -> None:
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


def test_a_logger_that_tracks_nothing_leaves_nothing_in_anybodys_run(logger: MLLogger, tmp_path: Path) -> None:
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


def test_a_logger_that_tracks_nothing_has_its_data_in_a_run_of_its_own(tmp_path: Path, logger: MLLogger) -> None:
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


@pytest.mark.usefixtures("switching")
def test_extra_fields_that_another_thread_changes_meanwhile_raise_nothing(logger: MLLogger) -> None:
    stop = threading.Event()
    state: dict[str, int] = {str(number): number for number in range(900)}

    def change() -> None:
        while not stop.is_set():
            state.update({f"more {number}": number for number in range(50)})
            for number in range(50):
                del state[f"more {number}"]

    logger.start_experiment("state")
    for handler in logger.handlers:
        logger.remove_handler(handler)
    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(1_000):
            logger.info("state", extra=state)
    finally:
        stop.set()
        thread.join()
    logger.end_experiment()

    lines = [record for record in run_of(logger).records() if isinstance(record, LogLine)]
    assert [len(line.extra) >= 900 for line in lines] == [True] * 1_000


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
