"""First guesses of people who come from other libraries: taken where they are free, answered where they are not."""

from __future__ import annotations

import ast
import copy
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import refunc
from refunc.logging import (
    ExperimentContext,
    ExperimentTracker,
    MLLogger,
    ProgressTracker,
    TqdmProgressTracker,
    experiment_context,
    guesses,
)
from refunc.plugins.discovery import FIRST_PARTY
from refunc.runs import open_store

OBJECTS: dict[str, Callable[[], Any]] = {
    "logger": lambda: MLLogger("guessed"),
    "tracker": lambda: ExperimentTracker("guessed"),
    "started": lambda: MLLogger("guessed").start_experiment("guessed"),
}
ANSWERED = [
    *(("logger", name) for name in {**guesses.OF_RECORDERS, **guesses.OF_LOGGERS}),
    *(("tracker", name) for name in {**guesses.OF_RECORDERS, **guesses.OF_TRACKERS}),
    *(("started", name) for name in guesses.OF_CONTEXTS),
]


@pytest.mark.parametrize(("kind", "name"), ANSWERED)
def test_a_guess_that_misses_is_answered_with_the_call_to_use(kind: str, name: str) -> None:
    guessed = OBJECTS[kind]()

    with pytest.raises(AttributeError, match=rf"has no {name}: .*\w+"):
        getattr(guessed, name)
    assert not hasattr(guessed, name)
    assert getattr(guessed, name, None) is None
    assert name not in dir(guessed)
    assert not hasattr(copy.copy(type(guessed)), name)


def test_what_the_answers_name_is_there() -> None:
    logger, tracker = MLLogger("there"), ExperimentTracker("there")
    advice = [text for name, table in vars(guesses).items() if name.startswith("OF_") for text in table.values()]
    named = set(re.findall(r"(\w+)\(", " ".join(advice)))

    assert {"log_params", "log_artifact", "end_experiment", "end_run"} <= named
    for call in named:
        assert hasattr(logger, call) or hasattr(tracker, call) or call in ("savefig", "experiment_context"), call


@pytest.mark.parametrize(
    "call",
    [
        lambda logger: logger.log({"loss": 1}, step=3),
        lambda logger: logger.log({"loss": 1}, 3),
        lambda logger: logger.log({"loss": 1}),
        lambda logger: logger.log("epoch done"),
        lambda logger: refunc.logging.log({"loss": 1}),
    ],
)
def test_log_without_a_message_says_what_logs_metrics_and_what_lines(call: Callable[[Any], None]) -> None:
    with pytest.raises(TypeError, match=r"info\(\"text\"\).*log_metrics\({\"loss\": 0.5}, step=3\)"):
        call(MLLogger("guessed"))


def test_the_public_names_are_there_under_refunc_itself() -> None:
    for name in refunc.logging.__all__:
        assert getattr(refunc, name) == getattr(refunc.logging, name)
        assert name in dir(refunc)
    assert refunc.runs.open_store is open_store
    assert refunc.plugins.hookimpl is not None
    for wrong in ("MLLoger", "_x", "__wrapped__"):
        assert not hasattr(refunc, wrong)


def test_no_public_name_is_that_of_a_module_which_would_take_its_place() -> None:
    for package in (refunc, refunc.logging):
        modules = {module.name for module in pkgutil.iter_modules(package.__path__)}
        assert not modules & {*refunc.logging.__all__}


def test_what_checkers_see_under_refunc_is_what_is_there() -> None:
    tree = ast.parse(Path(str(refunc.__file__)).read_text())
    seen = {name.asname for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for name in node.names}

    assert seen == {*refunc.logging.__all__, *FIRST_PARTY, "annotations", "logging", "plugins", "runs"}


LAZY = """
import sys
import refunc
assert not {name for name in sys.modules if name.startswith("refunc.")}
assert not {"typing", "msgspec", "attrs"} & (set(sys.modules) - before)
from refunc import MLLogger, logging, experiment_context
import refunc.logging as home
assert MLLogger is home.MLLogger and logging is home is refunc.logging
try:
    from refunc import MLLoger
except ImportError as error:
    assert "MLLoger" in str(error)
else:
    raise AssertionError
"""


def test_importing_refunc_loads_nothing_before_a_name_is_used() -> None:
    subprocess.run([sys.executable, "-c", "import sys; before = set(sys.modules)" + LAZY], check=True)


def test_integrations_that_are_installed_are_listed(install: Callable[..., Any]) -> None:
    install("fine", "bomb")

    assert {"FineIntegration", "BombIntegration"} <= {*dir(refunc.logging)}
    assert "FineIntegration" in dir(refunc)
    assert refunc.FineIntegration is refunc.logging.FineIntegration  # type: ignore[attr-defined]


def test_a_run_has_the_short_names_too() -> None:
    tracker = ExperimentTracker("digits")
    assert (tracker.id, tracker.name, tracker.status, tracker.params, tracker.tags) == (None, "digits", None, {}, {})

    with experiment_context("digits", "named", parameters={"lr": 0.1}, tags={"team": "vision"}) as run:
        assert (run.id, run.name, run.status) == (run.run_id, "named", "running")
        assert (run.params, run.tags) == ({"lr": 0.1}, {"team": "vision"})
        context = run.context
    assert run.status == "completed"
    assert context is not None
    assert (context.id, context.name, context.params) == (run.id, "named", {"lr": 0.1})
    tracker.start_run()
    assert tracker.name == f"digits/{tracker.id}"
    assert ExperimentContext("e", "digits", "k3f9a2b7").name == "digits/k3f9a2b7"


def test_records_of_a_tracker_are_still_its_loggers() -> None:
    with experiment_context("digits", "named", logger=MLLogger("mine")) as run:
        run.log_params({"lr": 0.1})
        run.log_metrics({"a": 1.0})

    assert {entry.logger_name for entry in open_store()["named"].entries()} == {"mine"}


@pytest.mark.parametrize(
    ("error", "status"), [(None, "completed"), (ValueError("bad"), "failed"), (KeyboardInterrupt(), "interrupted")]
)
def test_a_started_experiment_is_a_block_too(error: BaseException | None, status: str) -> None:
    logger = MLLogger("block")

    def block() -> None:
        with started as run:
            run.log_metrics({"a": 1.0}, step=1)
            logger.log_metrics({"a": 2.0}, step=2)
            assert (run.name, run.id, run.status) == ("mine", started.run_id, "running")
            if error is not None:
                raise error

    started = logger.start_experiment("digits", "mine", tags={"team": "vision"})
    assert isinstance(started, ExperimentContext)
    assert (started.status, started.tags, started.step) == ("running", {"team": "vision"}, None)
    if error is None:
        block()
    else:
        with pytest.raises(type(error)):
            block()

    run = open_store()["mine"]
    assert (run.status, run.summary.points) == (status, 2)
    assert (run.summary.end.error is None) == (error is None)  # type: ignore[union-attr]
    logger.log_metrics({"a": 3.0})
    assert run.summary.points == 2


def test_a_block_whose_run_was_ended_by_hand_ends_nothing() -> None:
    logger = MLLogger("block")
    with logger.start_experiment("digits", "first"):
        logger.end_experiment("failed")
        logger.start_experiment("digits", "second")

    assert [run.status for run in open_store()] == ["failed", "running"]


@pytest.mark.parametrize("kind", [ProgressTracker, TqdmProgressTracker])
def test_a_tracker_of_a_known_total_counts_its_own_loop(kind: type[ProgressTracker]) -> None:
    tracker = kind(5)
    assert list(tracker) == [0, 1, 2, 3, 4]
    assert tracker.completed == 5
    with kind(3) as progress:
        for number in progress:
            progress.update(loss=number)
    assert (progress.completed, progress.metrics) == (3, {"loss": 2})

    with pytest.raises(TypeError, match=r"progress\.track\(items\)"):
        iter(kind())
