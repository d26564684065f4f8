"""The lines on the console about a run: at its start, and at its end."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from refunc.logging import MLLogger, auto_configure_integrations, experiment_context, setup_logging
from refunc.logging.active.bests import Bests
from refunc.logging.banner import is_quiet
from refunc.values.definitions import Definitions
from refunc.values.goals import goal_of


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines at EXPERIMENT, without the text in front of them."""
    found = re.findall(r"EXPERIMENT +\S+ +(.*)", capsys.readouterr().err)
    return [str(line) for line in found]


def test_the_start_says_name_and_place_and_the_end_best_values_status_and_duration(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with experiment_context("digits", "baseline") as run:
        run.define_metric("speed", goal="max")
        for step, loss in enumerate([0.5, 0.25, 0.375]):
            run.log_metrics({"loss": loss, "speed": 100 * loss, "unjudged": 1}, step=step)
        run.log_metrics({"val_accuracy": 0.9}, epoch=2 / 3)

    start, best, end = said(capsys)
    assert re.fullmatch(r"run baseline started: experiments/\S+", start)
    assert best == "best: val_accuracy 0.9 (highest, epoch 0.6667), loss 0.25 (lowest, step 1), speed 50 (step 0)"
    assert re.fullmatch(r"run baseline completed in [\d.]+ s, \S+ K?B: experiments/\S+", end)


@pytest.mark.parametrize(("value", "quiet"), [("1", True), ("yes", True), ("0", False), ("off", False), ("", False)])
def test_the_environment_can_ask_for_quiet(
    value: str, quiet: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REFUNC_QUIET", value)

    with experiment_context("digits", "quiet") as run:
        run.log_metrics({"loss": 0.5}, step=0)

    assert is_quiet() is quiet
    assert len(said(capsys)) == (0 if quiet else 3)


def test_a_level_above_asks_for_quiet_too(capsys: pytest.CaptureFixture[str]) -> None:
    logger = MLLogger("still", level="WARNING")
    logger.log_metrics({"loss": 0.5})
    logger.end_experiment()

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("made", "lines"),
    [
        ([], 3),
        ([("train", "WARNING")], 0),
        ([("train", "ERROR"), ("eval", "METRIC")], 0),
        ([("train", "WARNING"), ("eval", "INFO")], 3),
        ([("refunc", "WARNING")], 0),
        ([("train", "INFO"), ("refunc", "WARNING")], 0),
    ],
)
def test_a_run_without_a_logger_of_its_own_is_announced_where_a_logger_of_the_script_would(
    made: list[tuple[str, str]], lines: int, capsys: pytest.CaptureFixture[str]
) -> None:
    loggers = [MLLogger(name, level=level) for name, level in made]

    with experiment_context("digits", "silent") as run:
        run.log_metric("loss", 0.5)

    shown = [line for line in said(capsys) if line.startswith(("run ", "best: "))]
    assert len(shown) == lines, loggers


def test_what_setup_logging_said_of_the_default_logger_comes_before_the_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    setup_logging(level="INFO")
    quiet = MLLogger("train", level="WARNING")

    with experiment_context("digits", "said"):
        quiet.log_metric("loss", 0.5)

    assert len(said(capsys)) == 3


def test_why_installed_plugins_are_not_used_is_said_once_at_the_next_start(
    install: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install("needy", "fine")
    monkeypatch.setenv("REFUNC_PLUGINS", "needy")
    auto_configure_integrations()
    for name in ("one", "two"):
        with experiment_context("digits", name):
            pass

    lines = [line for line in said(capsys) if line.startswith("not delivering to ")]
    assert len(lines) == 1
    assert lines[0].startswith("not delivering to fine")
    assert ": REFUNC_PLUGINS='needy'; needy: key is not set. " in lines[0]


@pytest.mark.slow
def test_the_exit_says_what_is_still_to_be_delivered(finished: Callable[..., tuple[int, str, str]]) -> None:
    code = """
    open("down", "w").close()
    log.add_integration(ProbeIntegration())
    with experiment_context("e", "r"):
        log.log_metrics({"loss": 0.5})
    """

    _, _, errors = finished(code, REFUNC_EXIT_WAIT="0.2")

    assert re.search(r"delivering to probes?\b", errors)
    assert re.search(r"still to be delivered: \S*probe.* \d+ records", errors), errors


@pytest.mark.parametrize(
    ("name", "goal"),
    [
        ("loss", "min"),
        ("val/cross-entropy loss", "min"),
        ("Test_RMSE", "min"),
        ("val_accuracy", "max"),
        ("f1", "max"),
        ("glossary", None),
        ("lr", None),
        ("speed/gpu", "max"),
        ("speed/cpu", "min"),
    ],
)
def test_the_goal_is_what_was_defined_or_what_the_name_says(name: str, goal: str | None) -> None:
    defined: Definitions[str] = Definitions()
    for pattern, word in {"speed/cpu": "max", "speed/*": "max"}.items():
        defined.add(pattern, word)
    defined.add("speed/cpu", "min")  # said again, it is the later one

    assert goal_of(name, defined) == goal


def test_nan_and_what_is_no_number_are_never_the_best() -> None:
    bests = Bests()

    assert bests.see({"loss": float("nan"), "error": "none"}) == []
    assert bests.see({"loss": 2.0}) == []
    assert bests.see({"loss": 1.0}) == ["loss"]
    assert bests.see({"loss": 1.0}) == []
    assert bests.found == {"loss": (1.0, None)}
