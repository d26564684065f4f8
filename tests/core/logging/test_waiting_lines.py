"""Lines before the first run wait for it, within bounds."""

from __future__ import annotations

from pathlib import Path

from refunc.logging import MLLogger
from refunc.logging.active.loose_lines import loose_lines
from refunc.logging.active.waiting import MAX_BYTES
from refunc.runs import Run, open_store


def only_run() -> Run:
    (run,) = open_store()
    return run


def test_lines_before_the_first_run_become_its_head() -> None:
    logger = MLLogger("early")
    logger.info("first")
    logger.metric("second", {"lr": 0.1})
    assert not Path("experiments").exists()

    logger.log_metrics({"loss": 1.0})
    logger.flush()

    assert [entry.message for entry in only_run().entries()] == ["run started", "first", "second", "metrics"]


def test_only_the_last_thousand_early_lines_are_kept() -> None:
    logger = MLLogger("chatty")
    for number in range(1_500):
        logger.info("line %d", number)

    logger.log_metrics({"loss": 1.0})
    logger.flush()

    lines = [entry.message for entry in only_run().entries() if entry.level == "INFO"]
    said, *lines = lines
    assert said == "500 lines before these are not in the run: too many were logged before it"
    assert lines == [f"line {number}" for number in range(500, 1_500)]


def test_early_lines_are_bounded_in_bytes_too() -> None:
    logger = MLLogger("wordy")
    for number in range(300):
        logger.info("%d %s", number, "x" * (1_000_000 if number == 0 else 60_000))

    assert sum(len(item[3]) for item in loose_lines.items) < MAX_BYTES
    logger.log_metrics({"loss": 1.0})
    logger.flush()
    said, *lines = [entry.message for entry in only_run().entries() if entry.level == "INFO"]
    assert said.startswith(f"{300 - len(lines)} lines before these")
    assert 80 < len(lines) < 200
    assert lines[-1].startswith("299 ")


def test_plain_lines_ml_lines_and_steps_open_no_run() -> None:
    logger = MLLogger("plain")

    logger.error("even an error")
    logger.result("a result", {"accuracy": 1.0})
    assert (logger.step(), logger.step(), logger.set_step(100), logger.epoch()) == (1, 2, 100, 1)

    assert not Path("experiments").exists()
    assert logger.get_experiment_context() is None
