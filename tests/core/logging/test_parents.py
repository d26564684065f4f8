"""Which run a new one lies in: that of its block, of the main thread, or the one that was said."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from refunc.logging import ExperimentTracker, MLLogger, experiment_context
from refunc.runs import open_store


def tracker_run(name: str) -> None:
    tracker = ExperimentTracker("e", name)
    tracker.start_run()
    tracker.end_run()


def block(name: str) -> None:
    with experiment_context("e", name):
        pass


def logger_run(name: str) -> None:
    logger = MLLogger(name, "ERROR")
    logger.start_experiment("e", name)
    logger.end_experiment()


OPENERS = pytest.mark.parametrize("open_run", [block, tracker_run, logger_run])


def in_thread(call: Callable[..., object], *arguments: object) -> None:
    thread = threading.Thread(target=call, args=arguments)
    thread.start()
    thread.join()


def parent_of(name: str) -> str | None:
    store = open_store()
    names = {run.run_id: run.run_name for run in store}
    parent = store[name].parent_id
    return None if parent is None else names[parent]


@OPENERS
@pytest.mark.parametrize("open_outer", ["block", "tracker", "logger"])
def test_a_run_of_a_thread_lies_in_that_of_the_main_thread(open_outer: str, open_run: Any) -> None:
    with ExitStack() as stack:
        if open_outer == "block":
            stack.enter_context(experiment_context("e", "outer"))
        elif open_outer == "tracker":
            stack.enter_context(ExperimentTracker("e", "outer"))
        else:
            logger = MLLogger("outer", "ERROR")
            logger.start_experiment("e", "outer")
            stack.callback(logger.end_experiment)
        in_thread(open_run, "inner")
    in_thread(open_run, "after")

    assert parent_of("inner") == "outer"
    assert parent_of("after") is None


@OPENERS
@pytest.mark.parametrize("outer", [(), ("study",), ("study", "fold")], ids=len)
def test_threads_beside_each_other_are_not_in_each_others_runs(outer: tuple[str, ...], open_run: Any) -> None:
    """All are open together, and each has opened its own after another one had."""
    turns = [threading.Event() for _ in range(4)]
    together = threading.Barrier(3)

    def trial(number: int) -> None:
        turns[number].wait(20)
        with experiment_context("e", f"trial{number}"):
            turns[number + 1].set()
            together.wait(20)
            open_run(f"within{number}")
            together.wait(20)

    turns[0].set()
    with ExitStack() as stack:
        for name in outer:
            stack.enter_context(experiment_context("e", name))
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(trial, range(3)))

    expected = outer[-1] if outer else None
    assert [parent_of(f"trial{number}") for number in range(3)] == [expected] * 3
    # Within a block, it is the block that counts.
    assert [parent_of(f"within{number}") for number in range(3)] == [f"trial{number}" for number in range(3)]


def test_runs_beside_each_other_in_the_main_thread_leave_a_thread_what_contains_them() -> None:
    with experiment_context("e", "study"):
        first, second = ExperimentTracker("e", "first"), ExperimentTracker("e", "second")
        with first, second:
            in_thread(block, "inner")
    with ExperimentTracker("e", "third"), ExperimentTracker("e", "fourth"):
        in_thread(block, "unknown")

    assert parent_of("inner") == "study"
    assert parent_of("unknown") is None


def test_a_task_has_the_run_of_the_block_that_it_was_made_in_and_none_of_its_neighbours() -> None:
    both = threading.Barrier(2)

    async def task(name: str) -> None:
        with experiment_context("e", name):
            await asyncio.to_thread(both.wait, 20)
            await asyncio.to_thread(block, f"to_thread {name}")  # takes the context along
            await asyncio.get_running_loop().run_in_executor(None, block, f"in_executor {name}")  # does not
            await asyncio.to_thread(both.wait, 20)

    async def tasks() -> None:
        await asyncio.gather(task("one"), task("two"))

    with experiment_context("e", "study"):
        asyncio.run(tasks())

    for name in ("one", "two"):
        assert parent_of(name) == "study"
        assert parent_of(f"to_thread {name}") == name
        assert parent_of(f"in_executor {name}") == "study"


def test_an_implicit_run_contains_no_other() -> None:
    logger = MLLogger("implicit", "ERROR")
    logger.log_metrics({"loss": 1.0})
    block("same thread")
    in_thread(block, "other thread")
    logger.end_experiment()

    assert (parent_of("same thread"), parent_of("other thread")) == (None, None)


def _open_with(parent: Any, how: str) -> None:
    logger = MLLogger("says", "ERROR")
    if how == "block":
        with experiment_context("e", "inner", logger=logger, parent=parent):
            pass
    elif how == "tracker":
        with ExperimentTracker("e", "inner", logger=logger, parent=parent):
            pass
    else:
        logger.start_experiment("e", "inner", parent=parent)
        logger.end_experiment()


HOW = pytest.mark.parametrize("how", ["block", "tracker", "logger"])


@HOW
@pytest.mark.parametrize("said_by", ["id", "tracker", "context", "run"])
def test_the_parent_can_be_said(said_by: str, how: str) -> None:
    with experiment_context("e", "outer") as outer:
        pass
    said = {"id": outer.run_id, "tracker": outer, "context": outer.context, "run": open_store()["outer"]}[said_by]

    with experiment_context("e", "another"):
        _open_with(said, how)

    assert parent_of("inner") == "outer"


@HOW
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda: "baseline", r"open_store\(\)\['baseline'\].run_id"),
        (lambda: "no such-run", "is not the id of a run"),
        (lambda: ExperimentTracker("e"), r"start_run\(\) first"),
        (lambda: MLLogger("wrong", "ERROR"), r"parent=logger.get_experiment_context\(\)"),
        (lambda: 7, "parent=tracker or its run_id"),
    ],
)
def test_a_parent_that_is_no_run_raises_before_anything_is_opened(wrong: Any, told: str, how: str) -> None:
    block("baseline")  # as long as an id

    with pytest.raises((TypeError, ValueError), match=told):
        _open_with(wrong(), how)

    assert [run.run_name for run in open_store()] == ["baseline"]
