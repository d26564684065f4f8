"""The summary of a metric, and how `define_metric` changes it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import refunc.logging
from refunc.journal import record as records
from refunc.journal.reader import Account
from refunc.logging import ExperimentTracker, MLLogger
from refunc.logging.active.bests import Bests
from refunc.runs import Run, open_store
from refunc.runs.columns import Columns
from refunc.runs.room import LeftOut
from refunc.runs.summary import Statistics, summed_up

WriteRun = Callable[..., Path]


def values(*numbers: float, name: str = "loss", begin: float = 0.0) -> list[dict[str, Any]]:
    return [
        {"kind": "metrics", "time": begin + step, "step": step, "metrics": {name: number}}
        for step, number in enumerate(numbers)
    ]


def define(name: str, **words: Any) -> dict[str, Any]:
    return {"kind": "define", "name": name, **words}


def test_nan_does_not_poison_what_there_is(write_run: WriteRun) -> None:
    loss = Run.open(write_run("nan", values(math.nan, 3, 1, math.nan, 2, math.nan))).summary.metrics["loss"]

    assert (loss.min, loss.max, loss.mean, loss.count, loss.nans) == (1, 3, 2, 6, 3)
    assert (loss.min_step, loss.max_step, loss.first_step, loss.last_step) == (2, 1, 0, 5)
    assert (str(loss.first), str(loss.last)) == ("nan", "nan")


def test_of_nothing_but_nan_there_is_no_extreme(write_run: WriteRun) -> None:
    loss = Run.open(write_run("nan", values(math.nan))).summary.metrics["loss"]

    assert (loss.min, loss.max, loss.mean, loss.count, loss.nans) == (None, None, None, 1, 1)


def test_of_equal_values_the_earliest_counts(write_run: WriteRun) -> None:
    folder = write_run("equal", values(2, 1, 2, 1, begin=10.0), others={"child": values(2, 1, begin=5.0)})

    loss = Run.open(folder).summary.metrics["loss"]

    assert (loss.max, loss.max_step, loss.min, loss.min_step) == (2, 0, 1, 1)
    assert (loss.first, loss.last_step, loss.count, loss.mean) == (2, 3, 6, 1.5)


def test_the_final_value_is_the_last_and_may_be_an_extreme_but_is_no_point(write_run: WriteRun) -> None:
    end = {"kind": "end", "status": "completed", "time": 99.0, "metrics": {"loss": 0.5, "accuracy": 0.9}}

    run = Run.open(write_run("end", [*values(2, 1), end]))

    loss, accuracy = run.summary.metrics["loss"], run.summary.metrics["accuracy"]
    assert (loss.last, loss.last_step, loss.min, loss.min_step, loss.max) == (0.5, None, 0.5, None, 2)
    assert (loss.count, loss.mean, list(run.metrics("loss").values)) == (2, 1.5, [2, 1])
    assert (accuracy.last, accuracy.max, accuracy.count, accuracy.mean, accuracy.first) == (0.9, 0.9, 0, None, None)


def test_a_final_value_that_was_logged_keeps_its_step() -> None:
    tracker = ExperimentTracker("images", "resnet")
    tracker.start_run()
    tracker.end_run(final_metrics={"accuracy": 0.9})
    assert tracker.folder is not None

    accuracy = Run.open(tracker.folder).summary.metrics["accuracy"]

    assert (accuracy.last, accuracy.last_step, accuracy.count) == (0.9, 0, 1)


def test_final_values_are_at_the_step_that_the_run_has_come_to() -> None:
    logger = MLLogger("final", "CRITICAL")
    logger.start_experiment("images", "stepped")
    for step in range(0, 300, 100):
        logger.log_metrics({"loss": 1.0, "accuracy": step / 1000}, step=step)
    logger.end_experiment(final_metrics={"accuracy": 0.9, "f1": 0.8})
    with ExperimentTracker("images", "counted") as tracker:
        for _ in range(3):
            tracker.log_metrics({"loss": 1.0})
        tracker.end_run(final_metrics={"f1": 0.8})
    with ExperimentTracker("images", "told") as tracker:
        tracker.log_metrics({"loss": 1.0}, step=7)
        tracker.set_step(9)
        tracker.end_run(final_metrics={"f1": 0.8})
    store = open_store()

    assert list(store["stepped"].metrics("accuracy").steps) == [0, 100, 200, 200]
    assert [list(store[name].metrics("f1").steps) for name in ("stepped", "counted", "told")] == [[200], [3], [9]]


def test_continued_statistics_are_those_of_the_whole() -> None:
    numbers = [3.0, math.nan, 1.0, 1.0, math.inf, -2.0, 3.0, -2.0, math.nan]
    for cut in range(len(numbers)):
        whole, part = Columns(), Columns()
        known: dict[str, Statistics] = {}
        for index, number in enumerate(numbers):
            if index == cut:
                known, part = part.statistics(known), Columns(part.count)
            whole.add(float(index), index, None, {"loss": number})
            part.add(float(index), index, None, {"loss": number})
        assert repr(part.statistics(known)) == repr(whole.statistics({})), cut


# -- define_metric ----------------------------------------------------------------------------------------------------


def test_a_goal_says_which_value_is_the_best(write_run: WriteRun) -> None:
    lines = [define("acc*", goal="max"), *values(1, 3, 2, name="accuracy"), *values(1, 2, name="loss")]

    metrics = Run.open(write_run("goal", lines)).summary.metrics

    assert (metrics["accuracy"].best, metrics["accuracy"].best_step, metrics["accuracy"].shown) == (3, 1, 2)
    assert (metrics["accuracy"].goal, metrics["accuracy"].guessed_goal) == ("max", None)
    assert (metrics["loss"].goal, metrics["loss"].shown) == (None, 2)


def test_without_a_goal_the_name_says_it_and_that_it_was_guessed(write_run: WriteRun) -> None:
    lines = [*values(1, 2, name="val_loss"), *values(1, 2, name="seen"), *values(1, 2, name="train/f1")]

    metrics = Run.open(write_run("goal", lines)).summary.metrics

    assert {name: (each.best, each.goal, each.guessed_goal) for name, each in metrics.items()} == {
        "val_loss": (1, None, "min"),
        "train/f1": (2, None, "max"),
        "seen": (None, None, None),
    }
    assert metrics["val_loss"].to_dict()["guessed_goal"] == "min"
    assert "guessed_goal" not in metrics["seen"].to_dict()


def test_of_several_definitions_the_later_wins_in_what_it_says(write_run: WriteRun) -> None:
    lines = [
        define("*", goal="min", summary="mean"),
        define("[x]", goal="min"),
        define("val/*", goal="max"),
        define("val/acc", summary="max", goal="sideways"),
        define("hidden", summary="none"),
        *values(1, 3, 2, name="val/acc"),
        *values(1, 3, 2, name="[x]"),
        *values(1, name="hidden"),
    ]

    metrics = Run.open(write_run("several", lines)).summary.metrics

    assert (metrics["val/acc"].goal, metrics["val/acc"].summary, metrics["val/acc"].shown) == ("max", "max", 3)
    assert (metrics["[x]"].goal, metrics["[x]"].shown, metrics["hidden"].shown) == ("min", 2, None)


def test_a_step_metric_is_what_the_values_are_drawn_against(write_run: WriteRun) -> None:
    lines = [define("loss", step_metric="tokens"), *values(10, 20, name="tokens", begin=1.0), *values(5, 4, 3)]

    loss = Run.open(write_run("axis", lines)).metrics("loss")

    assert (loss.x_name, str(list(loss.x)), list(loss.steps)) == ("tokens", "[nan, 10.0, 20.0]", [0, 1, 2])
    assert loss.to_dict()["tokens"][1:] == [10, 20]
    assert list(loss.downsample(5).x)[1:] == [10, 20]


def test_the_epoch_can_be_the_step_metric() -> None:
    with ExperimentTracker("images", "resnet") as tracker:
        tracker.define_metric("val/*", step_metric="epoch", goal="min")
        for epoch in range(3):
            tracker.log_metrics({"val/loss": 1 / (1 + epoch)}, epoch=epoch)
    assert tracker.folder is not None

    loss = Run.open(tracker.folder).metrics("val/loss")

    assert (loss.x_name, list(loss.x), list(loss.steps)) == ("epoch", [0, 1, 2], [None] * 3)


def test_a_step_metric_that_was_never_logged_leaves_the_steps(write_run: WriteRun) -> None:
    loss = Run.open(write_run("none", [define("loss", step_metric="tokens"), *values(5, 4)])).metrics("loss")

    assert (loss.x_name, list(loss.x)) == ("step", [0, 1])


def test_it_is_written_when_the_call_returns(own_folder: Path) -> None:
    logger = MLLogger("training", level="ERROR")
    logger.define_metric("loss", goal="min", summary="min")

    (folder,) = (own_folder / "experiments").iterdir()
    entries = [entry for entry in Run.open(folder).entries() if "defined" in entry.message]
    assert [(entry.message, entry.extra) for entry in entries] == [
        ("metric loss defined", {"goal": "min", "summary": "min"})
    ]


def test_it_is_a_function_of_the_module_too() -> None:
    assert refunc.logging.define_metric == refunc.logging.get_logger().define_metric


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"goal": "up"}, "define_metric: goal='up' is unknown. Allowed: min, max."),
        ({"summary": "best"}, "define_metric: summary='best' is unknown. Allowed: last, min, max, mean, none."),
    ],
)
def test_a_wrong_word_raises_at_once_and_opens_no_run(options: Any, says: str, own_folder: Path) -> None:
    with pytest.raises(ValueError, match=says):
        MLLogger("training").define_metric("loss", **options)
    assert not (own_folder / "experiments").exists()


@pytest.mark.parametrize("options", [{"name": 3}, {"name": "loss", "step_metric": 3}])
def test_a_name_that_is_no_text_raises_at_once(options: Any) -> None:
    with pytest.raises(TypeError, match="3, which is not text"):
        MLLogger("training").define_metric(**options)


def test_results_of_several_processes_that_come_to_one_name_are_all_there(write_run: WriteRun) -> None:
    def result(owner: str, name: str, value: float) -> dict[str, Any]:
        return {"kind": "log", "level": "RESULT", "message": owner, "metrics": {name: value}}

    first = [result("train", "f1", 0.1), result("x", "test/f1", 0.2)]
    others = {"child": [{**each, "time": 2_000.0} for each in (result("test", "f1", 0.3), result("y", "f1", 0.4))]}

    run = Run.open(write_run("results", first, others=others))

    assert run.results == {"f1": 0.1, "test/f1": 0.2, "test/f1_2": 0.3, "y/f1": 0.4}


def written_goals(count: int) -> None:
    bests = Bests()
    for number in range(count):
        bests.define(f"m{number}", "max")
        bests.see({f"m{number}": 1.0})


def read_goals(count: int) -> None:
    names = [f"m{number}" for number in range(count)]
    notes = [records.Define(seq=0, time=0.0, name=name, goal="max") for name in names]
    statistics = {name: Statistics() for name in names}
    summary = summed_up(notes, statistics, points=0, lines=0, last_time=None, account=Account(), left_out=LeftOut())
    assert {metric.goal for metric in summary.metrics.values()} == {"max"}


@pytest.mark.once
@pytest.mark.parametrize("define_all", [written_goals, read_goals])
def test_four_times_as_many_definitions_take_four_times_as_long(define_all: Callable[[int], None]) -> None:
    def seconds(count: int) -> float:
        started = time.thread_time()
        define_all(count)
        return time.thread_time() - started

    few, many = (min(seconds(count) for _ in range(3)) for count in (500, 2_000))
    assert many < 8 * few
