"""Groups on the page are those of other commands, also where another tracker has written numbers as texts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.runs import open_store

pytestmark = pytest.mark.ui

_SCRIPT = """
values = ["1e-3", 0.001, "0.0010", True, 1, "1", "007", 7, float("nan"), "nan", [1, 2], [1, 2]]
for at, value in enumerate([*values, None]):
    with run(f"run-{at}"):
        logger.log_params({} if value is None else {"lr": value})
        logger.log_metrics({"loss": at}, step=0)
"""


def test_numbers_and_texts_that_read_as_them_are_in_one_group(
    start: Callable[..., Any], train: Callable[..., None], tmp_path: Path
) -> None:
    store = tmp_path / "experiments"
    train(store, _SCRIPT)
    groups = open_store(store).group_by("params.lr")
    server = start(store)
    table = server.json("/api/runs", group="params.lr", sort="start_time", limit=0)["groups"]
    bands = server.curves(metric="loss", run=[*server.ids().values()], group="params.lr")["curves"]

    keys = [0.001, True, 1, "007", 7, "nan", [1, 2], None]  # the page has NaN as a word
    assert [group["key"] for group in table] == [[key] for key in keys]
    assert [group["n"] for group in table] == [len(group.runs) for group in groups]
    assert {frozenset(band["runs"]) for band in bands} == {frozenset(group["runs"]) for group in table}


def test_the_mean_of_runs_that_diverged_is_finite(
    start: Callable[..., Any], train: Callable[..., None], tmp_path: Path
) -> None:
    largest = sys.float_info.max
    store = tmp_path / "experiments"
    train(
        store,
        f"""
for at in range(2):
    with run(f"run-{{at}}"):
        logger.log_params({{"lr": 1}})
        logger.log_metrics({{"loss": {largest!r}}}, step=0)
""",
    )

    found = start(store).json("/api/runs", group="params.lr", columns="metrics.loss", limit=0)

    [group] = found["groups"]
    assert [largest, 0.0, largest, largest] in group["values"]
