"""Outside of any run, a logger gives back the last run that it was in, and the lines that were logged since."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.logging import ExperimentTracker, MLLogger, experiment_context
from refunc.runs import open_store


def last_of(logger: MLLogger) -> tuple[str | None, str]:
    """Return name and status of the run that *logger* reads, which its context and its entries agree about."""
    context = logger.get_experiment_context()
    assert context is not None
    entries = logger.get_log_entries()
    assert {entry.run_id for entry in entries if entry.run_id} == {context.run_id}
    assert logger.export_logs("export.jsonl") == len(entries)
    return context.run_name, context.status


NOTHING: dict[str, Callable[[MLLogger], object]] = {
    "nothing": lambda logger: None,
    "asked": lambda logger: logger.get_experiment_context(),
    "stepped": lambda logger: logger.set_step(100),
    "line": lambda logger: logger.info("line"),
    "metrics": lambda logger: logger.log_metrics({"a": 1.0}),
}


@pytest.mark.parametrize("between", NOTHING)
@pytest.mark.parametrize("status", ["completed", "failed"])
def test_it_is_the_run_that_the_logger_started_whatever_it_logged_there(
    between: str, status: str, logger: MLLogger
) -> None:
    logger.start_experiment("e", "older")
    logger.log_metrics({"a": 1.0})
    logger.end_experiment()
    logger.start_experiment("e", "newer")
    NOTHING[between](logger)
    logger.end_experiment(status)

    assert last_of(logger) == ("newer", status)


@pytest.mark.parametrize("between", NOTHING)
def test_it_is_the_block_that_the_logger_stood_in_whatever_it_logged_there(between: str, logger: MLLogger) -> None:
    logger.start_experiment("e", "older")
    logger.end_experiment()
    with experiment_context("e", "outer") as outer:
        outer.log_metric("a", 1.0)
        with experiment_context("e", "inner"):
            NOTHING[between](logger)

    assert last_of(logger) == ("outer", "completed")


def test_it_is_the_own_block_of_a_thread_or_task_and_of_the_main_thread_its_own(logger: MLLogger) -> None:
    def evaluate() -> None:
        with experiment_context("e", "thread"):
            pass
        read.append(last_of(silent)[0])

    async def train(name: str) -> None:
        with experiment_context("e", name):
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        read.append(last_of(silent)[0])

    async def both() -> None:
        await asyncio.gather(train("one"), train("two"))

    silent = MLLogger("silent", log_dir=logger.log_dir)
    read: list[str | None] = []
    logger.start_experiment("e", "own")
    logger.end_experiment()
    thread = threading.Thread(target=evaluate)
    thread.start()
    thread.join()
    assert last_of(logger)[0] == "own"

    asyncio.run(both())
    assert read == ["thread", "one", "two"]
    assert last_of(logger)[0] == "two"  # this thread was in it


def test_a_started_run_of_another_logger_is_none_of_ones_own(logger: MLLogger) -> None:
    other = MLLogger("other", log_dir=logger.log_dir)
    logger.start_experiment("e", "own")
    logger.end_experiment()
    other.start_experiment("e", "theirs")
    other.end_experiment()

    assert last_of(logger)[0] == "own"
    assert last_of(other)[0] == "theirs"
    assert last_of(MLLogger("newcomer", log_dir=logger.log_dir))[0] == "theirs"


def test_lines_from_before_the_first_run_stay_readable_in_whose_head_they_are(logger: MLLogger) -> None:
    other = MLLogger("other", log_dir=logger.log_dir)
    logger.info("begin")
    assert [entry.message for entry in logger.get_log_entries()] == ["begin"]
    other.start_experiment("e", "first")
    other.end_experiment()
    other.start_experiment("e", "second")
    other.end_experiment()

    assert last_of(logger)[0] == "first"
    assert [entry.message for entry in logger.get_log_entries(level="INFO")] == ["begin"]


def test_lines_that_wait_since_the_last_runs_end_come_behind_it(logger: MLLogger) -> None:
    with experiment_context("e", "run"):
        logger.info("inside")
    logger.info("after")
    logger.warning("later")

    entries = logger.get_log_entries()
    assert [entry.message for entry in entries][1:] == ["inside", "run ended: completed", "after", "later"]
    assert [entry.run_id for entry in entries[-2:]] == [None, None]
    assert [entry.message for entry in logger.get_log_entries(last_n=1)] == ["later"]
    assert len(logger.get_log_entries(run_id=open_store()["run"].run_id)) == 3
    assert logger.export_logs("export.csv") == 5

    with experiment_context("e", "next"):
        assert [entry.message for entry in logger.get_log_entries()] == ["run started", "after", "later"]


def log_all(logger: MLLogger, *calls: tuple[str, dict[str, Any]]) -> None:
    for name, arguments in calls:
        getattr(logger, name)(**arguments)


STEPS: list[tuple[list[tuple[str, dict[str, Any]]], tuple[Any, Any]]] = [
    ([("log_metrics", {"metrics": {"a": 1.0}, "step": 100})], (100, None)),
    ([("log_metrics", {"metrics": {"a": 1.0, "step": 100, "epoch": 3}})], (100, 3)),
    ([("log_metrics", {"metrics": {"a": 1.0}})] * 3, (2, None)),
    ([("log_metric", {"name": "a", "value": 1, "step": 7})], (7, None)),
    ([("info", {"msg": "line", "step": 8, "epoch": 1})], (8, 1)),
    ([("log_result", {"name": "a", "value": 1, "step": 9})], (9, None)),
    ([("set_step", {"step": 5}), ("log_metrics", {"metrics": {"a": 1.0}})], (5, None)),
    ([("set_step", {"step": 5}), ("log_metrics", {"metrics": {"a": 1.0}, "step": 6})], (6, None)),
    ([("log_metrics", {"metrics": {"a": 1.0}, "step": 6}), ("set_step", {"step": 5})], (5, None)),
    ([("log_metrics", {"metrics": {"a": 1.0}, "step": 6}), ("step", {})], (1, None)),
    ([("set_epoch", {"epoch": 2}), ("log_metrics", {"metrics": {"a": 1.0}, "epoch": 3})], (None, 3)),
    (
        [
            ("log_metrics", {"metrics": {"a": 1.0}, "step": 6}),
            ("log_metrics", {"metrics": {"a": 1.0}, "epoch": 1}),
            ("log_metrics", {"metrics": {"b": 1.0}, "epoch": 2}),
        ],
        (6, 2),
    ),
]


@pytest.mark.parametrize(("calls", "place"), STEPS)
@pytest.mark.parametrize("durability", ["async", "process"])
def test_the_context_has_the_last_step_and_epoch_however_they_were_given(
    calls: list[tuple[str, dict[str, Any]]], place: tuple[Any, Any], durability: Any, logger: MLLogger
) -> None:
    logger = MLLogger("placed", log_dir=logger.log_dir, durability=durability)
    other = MLLogger("other", log_dir=logger.log_dir)
    started = logger.start_experiment("e", "placed")
    assert (started.step, started.epoch) == (None, None)
    log_all(logger, *calls)
    other.log_metrics({"a": 1.0}, step=77, epoch=77)
    other.log_metrics({"c": 1.0}, step=77, epoch=77)

    context = logger.get_experiment_context()
    assert context is not None
    assert (context.step, context.epoch) == place
    logger.end_experiment()
    context = logger.get_experiment_context()
    assert context is not None
    assert (context.step, context.epoch) == place


def test_tags_find_what_the_line_or_its_run_carries(logger: MLLogger) -> None:
    def found(**tags: str) -> list[str]:
        return [entry.message for entry in logger.get_log_entries(level="INFO", tags=tags)]

    logger.start_experiment("e", "tagged", tags={"team": "vision"})
    logger.info("first")
    logger.set_tag("phase", "training")
    logger.info("second")
    logger.info("third", tags={"phase": "warm-up", "gpu": "0"})
    logger.set_tag("phase", "test")
    logger.info("fourth")
    logger.end_experiment()

    assert found(phase="training") == ["first", "second"]
    assert found(phase="test") == ["fourth"]
    assert found(phase="warm-up") == ["third"]
    assert found(gpu="0", team="vision") == ["third"]
    assert found(team="vision") == ["first", "second", "third", "fourth"]
    assert found(team="speech") == found(nothing="") == []
    assert logger.get_log_entries(level="INFO", tags={"phase": "training"}, last_n=1)[0].tags == {}
    assert [entry.message for entry in logger.get_log_entries(experiment_id="e", tags={"phase": "test"}, level="INFO")]


def test_ids_find_runs_in_every_store_that_this_process_has_written_to(logger: MLLogger, tmp_path: Path) -> None:
    logger.log_metrics({"a": 0.0})
    for number in range(2):
        tracker = ExperimentTracker("images", log_dir=tmp_path / f"store {number}")
        tracker.log_metrics({"a": number})
        tracker.end_run()

    found = logger.get_log_entries(experiment_id="images", level="METRIC")
    assert [entry.metrics["a"] for entry in found] == [0, 1]
    assert tracker.run_id is not None
    assert [entry.metrics["a"] for entry in logger.get_log_entries(run_id=tracker.run_id, level="METRIC")] == [1]


def test_what_a_tracker_adds_behind_its_runs_end_is_read_at_once(logger: MLLogger) -> None:
    with experiment_context("e", "run") as run:
        pass
    run.log_metrics({"late": 1.0})

    assert [entry.metrics for entry in logger.get_log_entries(level="METRIC")] == [{"late": 1.0}]
