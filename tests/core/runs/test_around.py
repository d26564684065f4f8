"""The entries around one point: the last words before the loss was NaN."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.logging import MLLogger, experiment_context
from refunc.runs import Run
from refunc.runs.errors import PointNotFoundError, UnknownMetricError


@pytest.fixture
def run() -> Run:
    logger = MLLogger("training", level="INFO")
    with experiment_context("images", "dies", logger=logger) as context:
        for step in range(200):
            logger.log_metrics({"loss": math.nan if step >= 120 else 1 / (1 + step)}, step=step)
            if step % 10 == 0:
                logger.info(f"line at {step}")
    assert context.folder is not None
    return Run.open(context.folder)


def test_lines_and_metrics_around_the_first_nan_in_their_order(run: Run) -> None:
    entries = run.around("loss", "nan", steps=15)

    steps = [entry.step for entry in entries if entry.level == "METRIC"]
    assert steps == list(range(105, 136))
    assert [entry.message for entry in entries if entry.level == "INFO"] == [
        "line at 110",
        "line at 120",
        "line at 130",
    ]
    at = next(index for index, entry in enumerate(entries) if entry.message == "line at 120")
    assert (entries[at - 1].step, math.isnan(entries[at - 1].metrics["loss"])) == (120, True)
    assert [entry.timestamp for entry in entries] == sorted(entry.timestamp for entry in entries)


@pytest.mark.parametrize(
    ("where", "step"), [("max", 0), ("min", 119), (50, 50), (lambda value: value < 0.05, 20), ("nan", 120)]
)
def test_the_point_can_be_chosen(run: Run, where: Any, step: int) -> None:
    assert [entry.step for entry in run.around("loss", where, steps=0) if entry.level == "METRIC"] == [step]


def test_a_metric_without_steps_has_epochs() -> None:
    with experiment_context("images", "epochs", logger=MLLogger("training", level="INFO")) as context:
        for epoch in range(0, 50, 5):
            context.log_metrics({"accuracy": epoch}, epoch=epoch)
    assert context.folder is not None
    run = Run.open(context.folder)

    entries = run.around("accuracy", 20, steps=1)

    assert [entry.epoch for entry in entries if entry.level == "METRIC"] == [15, 20, 25]
    with pytest.raises(PointNotFoundError, match=r"no epoch 21 among its 10 points\. Its epochs are from 0 to 45\."):
        run.around("accuracy", 21, steps=1)


def test_steps_that_begin_anew_in_each_epoch_are_told_apart() -> None:
    with experiment_context("images", "epochs", logger=MLLogger("training", level="INFO")) as context:
        for epoch in range(3):
            context.log_metrics({"begun": 1}, epoch=epoch)
            for step in range(100):
                value = math.nan if (epoch, step) == (1, 50) else 1.0
                context.log_metrics({"loss": value}, step=step, epoch=epoch)
    assert context.folder is not None

    entries = Run.open(context.folder).around("loss", "nan", steps=1)

    assert [(entry.epoch, entry.step) for entry in entries] == [(1, 49), (1, 50), (1, 51)]


def test_points_without_steps_are_counted(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    lines = [
        {"kind": "log", "level": "INFO", "message": f"line {n}", "metrics": {"loss": n}, "time": float(n)}
        for n in range(20)
    ]

    entries = Run.open(write_run("none", lines)).around("loss", lambda value: value == 10, steps=2)

    assert [entry.message for entry in entries] == ["line 8", "line 9", "line 10", "line 11", "line 12"]


@pytest.mark.parametrize(
    ("where", "says"),
    [(500, "no step 500 among its 200 points"), (lambda value: value > 9, "has no point that is")],
)
def test_a_point_that_is_not_there(run: Run, where: Any, says: str) -> None:
    with pytest.raises(PointNotFoundError, match=says):
        run.around("loss", where)


def test_a_word_that_means_no_point_and_a_metric_that_is_not_there(run: Run) -> None:
    with pytest.raises(ValueError, match="where: 'end' is not valid"):
        run.around("loss", "end")
    with pytest.raises(UnknownMetricError):
        run.around("lost")
