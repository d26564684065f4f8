"""Where a run was made and where it failed: in `ls`, in `show`, and side by side in `compare`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from refunc.logging import MLLogger, experiment_context
from refunc.logging.active import versions

pytestmark = [pytest.mark.once, pytest.mark.extras]

#: One of two ranks fails.
RANK = """
import os
from refunc.logging import MLLogger, experiment_context
with experiment_context("e", "ranked"):
    MLLogger("t", level="ERROR").log_metrics({"loss": 1.0}, step=0)
    if os.environ["RANK"] == "1":
        raise RuntimeError("out of memory")
"""


@pytest.fixture(autouse=True)
def leaves_nothing(clean_process: None) -> None:
    """Leave no run open."""


def train(name: str, *, fails: bool = False, **params: Any) -> None:
    logger = MLLogger("t", level="CRITICAL")
    with suppress(ValueError), experiment_context("e", name, parameters=params):
        logger.log_metrics({"loss": 0.5}, step=0)
        logger.log_result("f1", 0.25 if name == "one" else 0.75)
        if fails:
            raise ValueError("no such layer")


def test_which_runs_failed_of_what_and_where_is_one_question(invoke: Any, launched: Callable[..., Any]) -> None:
    train("fine")
    train("broken", fails=True)
    launched(RANK, 2)
    columns = ("--columns", "error,host,error_rank", "--json")

    found = json.loads(invoke("ls", "--where", "status == 'failed'", *columns).stdout)

    [(first, one), (second, two)] = [(run["run_name"], run["columns"]) for run in found]
    assert (first, one["error"], one["error_rank"]) == ("broken", "ValueError: no such layer", None)
    assert (second, two["error"], two["error_rank"]) == ("ranked", "RuntimeError: out of memory", 1)
    assert one["host"] == two["host"] == json.loads(invoke("show", "broken", "--json").stdout)["host"]
    again = json.loads(invoke("ls", "--where", "error ~ '*memory' and error_rank == 1", *columns).stdout)
    assert [run["run_name"] for run in again] == ["ranked"]
    assert f"error  (rank 1, on {two['host']})" in invoke("show", "ranked").stdout
    assert f"error  (on {one['host']})" in invoke("show", "broken").stdout


def test_runs_are_compared_with_the_code_that_made_them(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = ModuleType("torch")
    monkeypatch.setitem(sys.modules, "torch", torch)
    for name, digit in (("one", "8"), ("two", "9")):
        torch.__dict__["__version__"] = f"2.{digit}.0"
        versions.commit.cache_clear()
        monkeypatch.setattr(versions, "commit_of", lambda place, digit=digit: digit * 40)
        train(name)
    versions.commit.cache_clear()

    environment = json.loads(invoke("compare", "one", "two", "--json").stdout)["environment"]
    assert environment["torch"] == {"values": ["2.8.0", "2.9.0"], "differs": True}
    assert environment["commit"]["values"] == ["8" * 40, "9" * 40]
    assert "torch ≠" in invoke("compare", "one", "two", "--diff").stdout
    shown = invoke("show", "two").stdout
    assert f"commit      {'9' * 40}" in shown
    assert "torch 2.9.0" in shown


def test_runs_are_compared_with_where_they_were_made(invoke: Any, own_folder: Path) -> None:
    train("one", lr=0.1)
    train("two", lr=0.2)
    [folder] = own_folder.glob("experiments/*two*")
    birth = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**birth, "host": "node7", "python": "3.9.1"}))

    text = invoke("compare", "one", "two", "--diff").stdout
    facts = json.loads(invoke("compare", "one", "two", "--json").stdout)

    assert [line.split()[:2] for line in text.splitlines() if "≠" in line] == [
        ["host", "≠"],
        ["python", "≠"],
        ["lr", "≠"],
        ["f1", "≠"],
    ]
    assert facts["environment"]["host"]["values"][1] == "node7"


def test_a_result_stands_once_with_its_best_marked(invoke: Any) -> None:
    train("one")
    train("two")

    lines = invoke("compare", "one", "two").stdout.splitlines()

    assert [line.split() for line in lines if line.startswith("f1")] == [["f1", "≠", "0.25", "0.75~"]]
    assert "metrics (last)" in lines
