"""The work that a call skips because it knows the names already, or has no handler; it never skips too much."""

from __future__ import annotations

import gc
import logging
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from refunc.journal import encoded as rows
from refunc.journal.record import LogLine
from refunc.logging import MLLogger
from refunc.logging.console.thinning import FREE
from refunc.runs.run import Run

Points = Callable[[Run], list[tuple[int | float | None, dict[str, Any]]]]
RunOf = Callable[[MLLogger], Run]


def test_the_same_names_in_another_order_with_other_numbers_and_other_names_of_the_same_count(
    logger: MLLogger, points: Points, run_of: RunOf
) -> None:
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


def test_a_mapping_that_makes_up_values_for_missing_names_is_not_asked_for_them(
    logger: MLLogger, points: Points, run_of: RunOf
) -> None:
    logger.start_experiment("defaults")
    logger.log_metrics({"a": 1.0, "b": 2.0}, 0)
    made: defaultdict[str, float] = defaultdict(float, {"c": 3.0, "d": 4.0})
    logger.log_metrics(made, 1)
    logger.log_metrics(OrderedDict(a=5.0, b=6.0), 2)
    logger.end_experiment()

    assert dict(made) == {"c": 3.0, "d": 4.0}
    assert points(run_of(logger))[1:] == [(1, {"c": 3.0, "d": 4.0}), (2, {"a": 5.0, "b": 6.0})]


def test_a_value_that_changes_after_the_call_is_recorded_as_it_was(
    logger: MLLogger, points: Points, run_of: RunOf
) -> None:
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
def test_any_name_twice(logger: MLLogger, name: str, points: Points, run_of: RunOf) -> None:
    logger.start_experiment("any name")
    logger.log_metrics({name: 1.0, "x": float("nan")}, 0)
    logger.log_metrics({name: 2.0, "x": 3.0}, 1)
    logger.end_experiment()

    written = name.encode("utf-8", "backslashreplace").decode()
    assert [metrics[written] for _, metrics in points(run_of(logger))] == [1.0, 2.0]


def test_a_thousand_calls_leave_the_garbage_collector_nothing_to_look_at(
    logger: MLLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_numbers", count())  # as in a fresh process: other tests may have used all the classes
    logger.start_experiment("no garbage")
    for _ in range(FREE + 1):  # these are shown as lines, which handlers of the test runner keep
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

    assert after - before < 500  # objects that the writer's thread has just at hand; tuples would be a thousand or two


def test_more_sets_of_names_than_are_remembered(logger: MLLogger, points: Points, run_of: RunOf) -> None:
    logger.start_experiment("many names")
    for number in range(1_200):
        logger.log_metrics({f"m{number}": float(number), "x": 1.0}, number)
    logger.end_experiment()

    assert [metrics[f"m{step}"] for step, metrics in points(run_of(logger))] == [float(n) for n in range(1_200)]


def test_steps_and_epochs_at_the_edges_of_what_is_compared_at_once(
    logger: MLLogger, points: Points, run_of: RunOf
) -> None:
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


def test_a_line_nobody_hears_makes_no_record_and_stands_in_the_journal_whole(
    logger: MLLogger, monkeypatch: pytest.MonkeyPatch, run_of: RunOf
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


@pytest.mark.usefixtures("switching")
def test_extra_fields_that_another_thread_changes_meanwhile_raise_nothing(logger: MLLogger, run_of: RunOf) -> None:
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
