"""The reference's claims under "Advanced Usage": levels, structure, reading back, and export."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path
from typing import Any

import pytest

from refunc.logging import LogLevel, MLLogger, experiment_context


@pytest.fixture
def logger(user: Any) -> MLLogger:
    """Return a logger with a run open, whose announcement has been seen."""
    logger = MLLogger("training")
    logger.start_experiment("exp_001")
    user.console()
    return logger


# -- custom log levels

BY_LEVEL: dict[str, tuple[str, str, dict[str, Any]]] = {
    '`logger.log(LogLevel.METRIC, "Custom metric", extra={"value": 0.95})`': (
        "METRIC",
        "Custom metric",
        {"value": 0.95},
    ),
    '`logger.log(LogLevel.EXPERIMENT, "Experiment milestone")`': ("EXPERIMENT", "Experiment milestone", {}),
    '`logger.log(LogLevel.RESULT, "Final result achieved")`': ("RESULT", "Final result achieved", {}),
}


@pytest.mark.parametrize("call", BY_LEVEL)
def test_a_line_can_be_logged_at_a_level_by_its_name(call: str, logger: MLLogger, user: Any) -> None:
    """ "Using custom levels": the level is on the console and in the run, and `extra` beside the text."""
    exec(call.strip("`"), {"logger": logger, "LogLevel": LogLevel})
    level, message, extra = BY_LEVEL[call]

    (line,) = user.console()
    assert line.split(maxsplit=3)[1::2][0] == level
    assert f"{message}  value=0.95" in line if extra else line.endswith(message)
    (entry,) = [entry for entry in logger.get_log_entries(level=level) if entry.message == message]
    assert (entry.level, entry.extra) == (level, extra)


# -- structured logging

STRUCTURE: dict[str, tuple[str, str]] = {
    '`metrics={"loss": 0.234, "accuracy": 0.92}`': ("metrics", "loss=0.234 accuracy=0.92"),
    '`tags={"phase": "training", "model": "resnet"}`': ("tags", "phase=training model=resnet"),
    '`artifacts=["checkpoint.pkl"]`': ("artifacts", "artifact=checkpoint.pkl"),
    '`extra={"gpu_memory": "8.2GB", "batch_time": 0.15}`': ("extra", "gpu_memory=8.2GB batch_time=0.15"),
    '`metrics={"accuracy": 0.95, "loss": 0.234}`': ("metrics", "accuracy=0.95 loss=0.234"),
    '`tags={"model": "resnet", "dataset": "imagenet"}`': ("tags", "model=resnet dataset=imagenet"),
}


@pytest.mark.parametrize("part", STRUCTURE)
@pytest.mark.parametrize("method", ["debug", "info", "error"])
def test_a_part_of_a_line_is_shown_written_and_read_back(part: str, method: str, user: Any) -> None:
    """ "Complex structured data", "Good: Structured data": beside the text, in the file, and as data in the run."""
    logger = MLLogger("training", level="DEBUG", json_logging=True)
    logger.start_experiment("exp_001")
    user.console()
    name, shown = STRUCTURE[part]
    given = eval(f"dict({part.strip('`')})")[name]
    getattr(logger, method)("Training step completed", **{name: given})

    (line,) = user.console()
    assert line.endswith(f"Training step completed  {shown}")
    (entry,) = logger.get_log_entries(level=method)
    assert {each: getattr(entry, each) for each in ("metrics", "tags", "artifacts", "extra")} == {
        "metrics": {},
        "tags": {},
        "artifacts": [],
        "extra": {},
        name: given,
    }
    written = [json.loads(each) for each in user.file(logger, "logs/training.jsonl")]
    (found,) = [each for each in written if each["message"] == "Training step completed"]
    assert found[name] == given


def test_an_unstructured_line_is_text_alone(logger: MLLogger) -> None:
    """ "Avoid: Unstructured strings": allowed, and then there is nothing to be read back but text."""
    logger.info("Training completed with accuracy 0.95 and loss 0.234")

    (entry,) = logger.get_log_entries(level="INFO")
    assert (entry.metrics, entry.extra) == ({}, {})


# -- log analysis


def test_all_entries_are_read_back(logger: MLLogger) -> None:
    """`entries = logger.get_log_entries()`: "Access log entries", oldest first, the line logged last included."""
    for number in range(100):
        logger.info("line %d", number)

    entries = logger.get_log_entries()
    assert [entry.message for entry in entries][1:] == [f"line {number}" for number in range(100)]


def test_the_newest_errors_are_read_back(logger: MLLogger) -> None:
    """`recent_errors = logger.get_log_entries(level="ERROR", last_n=10)`."""
    for number in range(12):
        logger.error("error %d", number)
        logger.info("info %d", number)
        logger.critical("critical %d", number)

    recent_errors = logger.get_log_entries(level="ERROR", last_n=10)
    assert [entry.message for entry in recent_errors] == [f"error {number}" for number in range(2, 12)]
    assert len(logger.get_log_entries(last_n=10)) == 10


def test_entries_are_those_of_an_experiment(logger: MLLogger) -> None:
    """`experiment_id="exp_001"`: "Filter logs"; of another run than the current one too."""
    logger.info("of the first")
    logger.start_experiment("exp_002")
    logger.info("of the second")

    of_first = logger.get_log_entries(experiment_id="exp_001")
    assert "of the first" in [entry.message for entry in of_first]
    assert {entry.experiment_id for entry in of_first} == {"exp_001"}
    assert logger.get_log_entries(experiment_id="exp_003") == []


def test_entries_begin_at_a_time(logger: MLLogger) -> None:
    """`start_time=start_timestamp`."""
    logger.info("before")
    start_timestamp = time.time()
    while time.time() == start_timestamp:
        pass
    logger.info("after")

    assert [entry.message for entry in logger.get_log_entries(start_time=start_timestamp)] == ["after"]


def test_entries_have_a_tag_of_their_own_or_of_their_run(logger: MLLogger) -> None:
    """`tags={"phase": "training"}`."""
    logger.info("its own", tags={"phase": "training", "model": "resnet"})
    logger.info("another", tags={"phase": "validation"})
    assert [entry.message for entry in logger.get_log_entries(tags={"phase": "training"})] == ["its own"]

    logger.start_experiment("exp_002")
    logger.set_tag("phase", "training")
    logger.info("of the run")
    assert "of the run" in [entry.message for entry in logger.get_log_entries(tags={"phase": "training"})]


def test_filters_are_joined(logger: MLLogger) -> None:
    """`training_logs = logger.get_log_entries(` takes an experiment, a time and tags at once."""
    logger.info("too early", tags={"phase": "training"})
    start_timestamp = time.time()
    while time.time() == start_timestamp:
        pass
    logger.info("it", tags={"phase": "training"})
    logger.info("another phase", tags={"phase": "test"})

    training_logs = logger.get_log_entries(
        experiment_id="exp_001", start_time=start_timestamp, tags={"phase": "training"}
    )
    assert [entry.message for entry in training_logs] == ["it"]


@pytest.mark.parametrize("format", ["json", "csv"])
def test_logs_are_exported(format: str, logger: MLLogger) -> None:
    """`logger.export_logs("experiment_logs.json", format="json")`, `format="csv"`: "Export logs"."""
    logger.info("line, one", metrics={"loss": 0.5}, tags={"phase": "training"})
    logger.log_metrics({"loss": 0.25}, step=3)
    logger.log_result("accuracy", 0.95)
    count = logger.export_logs(f"experiment_logs.{format}", format=format)

    entries = logger.get_log_entries()
    with open(f"experiment_logs.{format}", newline="", encoding="utf-8") as file:
        exported = json.load(file) if format == "json" else list(csv.DictReader(file))
    assert count == len(exported) == len(entries) == 4
    assert [each["message"] for each in exported] == [entry.message for entry in entries]
    if format == "json":
        assert [each["metrics"] for each in exported] == [entry.metrics for entry in entries]
    else:
        assert [each["metrics.loss"] for each in exported] == ["", "0.5", "0.25", ""]
        assert exported[1]["tags.phase"] == "training"


@pytest.mark.parametrize("logs", ["itself", "by the block"])
def test_the_entries_after_a_block_are_those_of_the_block(logs: str, user: Any) -> None:
    """`entries = logger.get_log_entries()` behind a `with experiment_context(`: of the run that was last."""
    logger = MLLogger("training")
    logger.info("begin")
    with experiment_context("exp_001", "run_001") as experiment:
        (logger if logs == "itself" else experiment).log_metrics({"loss": 0.5})

    messages = [entry.message for entry in logger.get_log_entries()]
    assert {"begin", "metrics", "run ended: completed"} <= set(messages)
    assert logger.export_logs("experiment_logs.json", format="json") == len(messages)


def test_a_path_for_an_export_may_be_a_path(logger: MLLogger) -> None:
    """`logger.export_logs("experiment_logs.csv", format="csv")`: text as in the reference, or a `Path`."""
    logger.info("begin")

    assert logger.export_logs(Path("experiment_logs.csv"), format="csv") == 2
    assert Path("experiment_logs.csv").read_text("utf-8").startswith("timestamp,level,logger_name,message,")
