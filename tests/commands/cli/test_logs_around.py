"""`refunc logs --around`: the lines logged before and after one point of a metric."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from refunc.logging import MLLogger, experiment_context

pytestmark = [pytest.mark.once, pytest.mark.extras]


@pytest.fixture(autouse=True)
def run(own_folder: Path) -> None:
    logger = MLLogger("train")
    with experiment_context("digits", "died"):
        for step in range(20):
            logger.log_metrics({"loss": math.nan if step >= 12 else 20.0 - step}, step=step)
            if step == 13:
                logger.warning("the loss is gone", step=step)


@pytest.mark.parametrize(
    ("options", "steps"),
    [([], [10, 11, 12, 13, 13, 14]), (["--at", "min"], [9, 10, 11, 12, 13, 13]), (["--at", "3"], [1, 2, 3, 4, 5])],
)
def test_what_was_logged_around_a_point(options: list[str], steps: list[int], invoke: Any) -> None:
    result = invoke("logs", "died", "--around", "loss", "--steps", "2", "--json", *options)
    assert [json.loads(line)["step"] for line in result.stdout.splitlines()] == steps


def test_it_reads_like_the_console_and_is_filtered_like_other_lines(invoke: Any) -> None:
    printed = invoke("logs", "died", "--around", "loss", "--steps", "2").stdout
    assert "loss=nan" in printed
    assert "the loss is gone" in printed
    assert invoke("logs", "died", "--around", "loss", "--level", "warning").stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--around", "los"], "no metric 'los'. Did you mean loss?"),
        (["--around", "loss", "--at", "99"], "has no step 99"),
        (["--around", "loss", "--at", "first"], "'first' is not a point. Allowed: nan, min, max, or a step."),
        (["--at", "min"], "belong to --around METRIC"),
    ],
)
def test_a_mistake_is_told(options: list[str], said: str, invoke: Any) -> None:
    result = invoke("logs", "died", *options)
    assert result.exit_code == 2
    assert said in result.stderr
