"""The reference's claims under "Error Handling", "Best Practices" and "Key Features", that no other chapter makes."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from refunc.logging import LogLevel, MLflowIntegration, MLLogger, WandBIntegration


def test_an_exception_is_logged_with_its_traceback_and_what_belongs_to_it(user: Any) -> None:
    """`logger.exception("Operation failed",`, `extra={"operation": "model_training", "step": current_step}`."""
    logger = MLLogger("training", json_logging=True)
    logger.start_experiment("exp_001")
    user.console()
    current_step = 7
    try:
        raise RuntimeError("out of memory")
    except Exception:
        logger.exception("Operation failed", extra={"operation": "model_training", "step": current_step})

    shown = user.console()
    assert shown[0].split(maxsplit=3)[1::2] == ["ERROR", "Operation failed  operation=model_training step=7"]
    assert shown[1].strip() == "Traceback (most recent call last):"
    assert shown[-1].strip() == "RuntimeError: out of memory"
    (entry,) = logger.get_log_entries(level="ERROR")
    assert {key: entry.extra[key] for key in ("operation", "step")} == {"operation": "model_training", "step": 7}
    assert "test_claims_practices.py" in entry.extra["exception"]
    assert entry.extra["exception"].endswith("RuntimeError: out of memory")
    written = [json.loads(line) for line in user.file(logger, "logs/training.jsonl")]
    (found,) = [line for line in written if line["message"] == "Operation failed"]
    assert found["exception"].endswith("RuntimeError: out of memory")


def test_an_exception_that_was_logged_is_still_the_users(user: Any) -> None:
    """ "Re-raise or handle as needed": logging it neither swallows it nor ends the run."""
    logger = MLLogger("training")
    logger.start_experiment("exp_001")

    def fail() -> None:
        try:
            raise RuntimeError("out of memory")
        except Exception:
            logger.exception("Operation failed")
            raise

    with pytest.raises(RuntimeError, match="out of memory"):
        fail()
    assert user.run().status == "running"


class Raises:
    """A value that fails at whatever is asked of it."""

    def __repr__(self) -> str:
        raise ZeroDivisionError

    __str__ = __float__ = __len__ = __iter__ = __repr__  # type: ignore[assignment]


@pytest.mark.parametrize(
    "value", [Raises(), float("nan"), object(), b"\xff", 10**400, "\ud800"], ids=lambda v: type(v).__name__
)
def test_no_value_raises_out_of_a_call(value: Any, user: Any, recwarn: pytest.WarningsRecorder) -> None:
    """`logger.log_metrics({"accuracy": 0.95})`, "Graceful Degradation": the values around a bad one are logged."""
    logger = MLLogger("training")
    logger.log_metrics({"accuracy": 0.95, "odd": value}, step=1)
    logger.log_hyperparams({"lr": 0.001, "odd": value})
    logger.info("line", extra={"good": 1, "odd": value})

    assert [(step, values["accuracy"]) for step, _, values in user.points()] == [(1, 0.95)]
    assert user.run().summary.params["lr"] == 0.001
    (entry,) = logger.get_log_entries(level="INFO")
    assert entry.extra["good"] == 1


def test_logging_goes_on_where_the_store_cannot_be_written(user: Any) -> None:
    """ "Graceful Degradation": a store that is a file costs the run, never the training, and is said."""
    Path("experiments").write_text("not a folder")
    logger = MLLogger("training")
    logger.log_metrics({"accuracy": 0.95})
    logger.warning("still here")
    logger.flush()

    shown = "\n".join(user.console())
    assert "still here" in shown
    assert "experiments" in shown


LEVELS: dict[str, str] = {
    '`logger.debug("Loading data batch")           # Development info`': "DEBUG",
    '`logger.info("Starting training epoch")       # General info`': "INFO",
    '`logger.metric("Epoch completed", metrics)    # ML metrics`': "METRIC",
    '`logger.warning("Low validation accuracy")    # Potential issues`': "WARNING",
    '`logger.error("Training failed")              # Errors`': "ERROR",
    '`logger.result("Training completed", result)  # Final results`': "RESULT",
}


@pytest.mark.parametrize("call", LEVELS)
def test_a_level_is_for_what_the_reference_says(call: str, user: Any) -> None:
    """ "Use appropriate levels": at the default level all are seen but DEBUG; at WARNING, WARNING and above."""
    code, level = call.strip("`"), LEVELS[call]
    for least in (LogLevel.INFO, LogLevel.WARNING):
        logger = MLLogger("training", level=least)
        exec(code, {"logger": logger, "metrics": {"loss": 0.5}, "result": {"accuracy": 0.9}})
        shown = user.console()
        assert [line.split()[1] for line in shown] == [level] * (LogLevel[level] >= least)


def test_the_level_of_a_handler_keeps_metrics_out_of_a_file_of_errors(user: Any) -> None:
    """ "Appropriate Log Levels": levels are stdlib's, so any handler of a user can have its own."""
    import logging

    lines: list[str] = []

    class Errors(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logger = MLLogger("training")
    logger.add_handler(Errors(logging.ERROR))
    logger.metric("Epoch completed", {"loss": 0.5})
    logger.error("Training failed")

    assert lines == ["Training failed"]


ENVIRONMENTS: dict[str, tuple[str, str]] = {
    '`if os.getenv("MLFLOW_TRACKING_URI"):`': ("MLFLOW_TRACKING_URI", "http://127.0.0.1:9"),
    '`if os.getenv("WANDB_API_KEY"):`': ("WANDB_API_KEY", "k" * 40),
}


@pytest.mark.parametrize("variable", ENVIRONMENTS)
def test_an_integration_takes_its_settings_from_the_environment(
    variable: str, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`def setup_experiment_logging(experiment_name: str) -> MLLogger:`: "Add integrations based on environment"."""
    for name, _ in ENVIRONMENTS.values():
        monkeypatch.delenv(name, raising=False)
    name, value = ENVIRONMENTS[variable]
    monkeypatch.setenv(name, value)
    logger = MLLogger("by_environment")
    if os.getenv("MLFLOW_TRACKING_URI"):
        logger.add_integration(MLflowIntegration())
    if os.getenv("WANDB_API_KEY"):
        logger.add_integration(WandBIntegration())

    (integration,) = logger.integrations
    assert value in (getattr(integration, "tracking_uri", None), getattr(integration, "api_key", None))
    assert ("k" * 40) not in repr(integration)


# -- key features


def test_an_entry_is_json_with_its_metadata(user: Any) -> None:
    """ "JSON-compatible log entries with metadata": each entry of a run, of whatever kind, is an object of JSON."""
    logger = MLLogger("training")
    logger.start_experiment("exp_001", "run_001")
    logger.log_hyperparams({"lr": 0.001})
    logger.log_metrics({"loss": 0.5})
    logger.info("begin", tags={"phase": "training"})
    logger.end_experiment()

    for entry in logger.get_log_entries():
        data = json.loads(entry.to_json())
        assert (data["experiment_id"], data["logger_name"]) == (entry.experiment_id, "training")
        assert data["run_id"] == user.run().run_id
        assert data["timestamp"] == entry.timestamp


def test_threads_log_without_waiting_for_each_other_and_lose_nothing(user: Any) -> None:
    """ "Non-blocking logging for high-performance applications"."""
    logger = MLLogger("training")
    logger.start_experiment("exp_001")

    def work(number: int) -> None:
        for step in range(500):
            logger.log_metrics({f"loss_{number}": 0.5}, step=step)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    logger.flush()

    points = user.points()
    assert [[step for step, _, values in points if f"loss_{number}" in values] for number in range(4)] == [
        list(range(500))
    ] * 4
