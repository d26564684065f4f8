"""Lines: levels, payloads, arguments, fields, and where they come from."""

from __future__ import annotations

import logging
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import refunc.logging
from refunc.logging import LogLevel, MLLogger, RunHandler, experiment_context
from refunc.runs import LogEntry, Run, open_store

LEVELS = {
    "trace": 5,
    "debug": 10,
    "info": 20,
    "experiment": 22,
    "progress": 23,
    "result": 24,
    "metric": 25,
    "warning": 30,
    "error": 40,
    "critical": 50,
}


def last(logger: MLLogger) -> LogEntry:
    (entry,) = logger.get_log_entries(last_n=1)
    return entry


@pytest.mark.parametrize(("method", "number"), LEVELS.items())
def test_every_level_method_logs_at_its_level(method: str, number: int) -> None:
    logger = MLLogger("levels", level="TRACE")

    getattr(logger, method)("a message")

    entry = last(logger)
    assert (entry.level, entry.message) == (method.upper(), "a message")
    assert LogLevel[method.upper()] == number


def test_lines_at_levels_of_somebody_elses_are_read_back_by_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(logging._levelToName, 35, "NOTICE")
    monkeypatch.setitem(logging._nameToLevel, "NOTICE", 35)
    logger = MLLogger("levels")

    logger.log(27, "between")
    logger.log(35, "a library's")
    logger.info("below")

    found = logger.get_log_entries(min_level=27)
    assert [(entry.level, entry.message) for entry in found] == [("Level 27", "between"), ("NOTICE", "a library's")]
    assert [entry.message for entry in logger.get_log_entries(min_level="ERROR")] == []


def test_lines_below_the_level_are_dropped_entirely(caplog: pytest.LogCaptureFixture) -> None:
    logger = MLLogger("quiet", level="WARNING")

    logger.info("not this")
    logger.result("nor this", {"accuracy": 1.0})

    assert logger.get_log_entries() == []
    assert caplog.records == []


def test_data_calls_are_recorded_whatever_the_level() -> None:
    logger = MLLogger("quiet", level="CRITICAL")

    logger.log_metrics({"loss": 0.5}, step=3)

    (entry,) = logger.get_log_entries(level="METRIC")
    assert entry.metrics == {"loss": 0.5}


def test_percent_arguments_are_merged_on_every_level() -> None:
    logger = MLLogger("args", level="TRACE")

    logger.info("epoch %d of %s", 3, "ten")
    assert last(logger).message == "epoch 3 of ten"
    logger.metric("loss %.2f", 0.123)
    assert last(logger).message == "loss 0.12"
    logger.info("%(a)s and %(b)s", {"a": 1, "b": 2})
    assert last(logger).message == "1 and 2"


@pytest.mark.parametrize("arguments", [("%d", "text"), ("%s %s", 1), ("no place", 1)])
def test_arguments_that_do_not_fit_are_kept_and_raise_nothing(arguments: tuple[Any, ...]) -> None:
    logger = MLLogger("misfit")

    logger.info(*arguments)

    assert repr(arguments[1]) in last(logger).message


def test_a_payload_on_metric_and_result_is_metrics_and_on_the_others_extra() -> None:
    logger = MLLogger("payload")

    logger.metric("m", {"loss": 0.5, "note": "text"})
    assert (last(logger).metrics, last(logger).extra) == ({"loss": 0.5}, {"note": "text"})
    logger.experiment("e", {"stage": "validation", "fold": 3})
    assert (last(logger).metrics, last(logger).extra) == ({}, {"stage": "validation", "fold": 3})


GUESSES: dict[str, tuple[Any, ...]] = {
    "a name and its value": ("loss", 0.5),
    "a number of another type": ("loss", Fraction(1, 2)),
    "a mapping alone": ({"loss": 0.5},),
}


@pytest.mark.parametrize("guess", GUESSES)
@pytest.mark.parametrize("level", ["metric", "result", "progress", "experiment"])
def test_numbers_given_as_one_would_guess_are_the_payload_with_one_warning(
    level: str, guess: str, caplog: pytest.LogCaptureFixture
) -> None:
    logger = MLLogger("guessed", "TRACE")

    for _ in range(2):
        getattr(logger, level)(*GUESSES[guess], step=3)

    entry = last(logger)
    payload, other = (entry.metrics, entry.extra) if level in ("metric", "result") else (entry.extra, entry.metrics)
    assert (entry.message, payload, other, entry.step) == ("loss", {"loss": 0.5}, {}, 3)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "log_metrics({" in warnings[0]


@pytest.mark.parametrize("arguments", [("loss %s", 0.5), ("100%%", 1), ("loss", "low"), ("loss", 1, 2), ("loss",)])
def test_a_line_with_arguments_of_its_text_has_no_payload(arguments: tuple[Any, ...]) -> None:
    logger = MLLogger("text")

    logger.metric(*arguments)

    assert (last(logger).metrics, last(logger).extra) == ({}, {})


@pytest.mark.parametrize("by", ["logger", "tracker"])
@pytest.mark.parametrize("status", [(), ("failed",)])
def test_metrics_in_the_place_of_the_status_are_the_final_ones_with_one_warning(
    status: tuple[str, ...], by: str, caplog: pytest.LogCaptureFixture
) -> None:
    logger = MLLogger("ended")
    if by == "logger":
        logger.start_experiment("e", "r")
        logger.end_experiment({"acc": 0.9}, *status)  # type: ignore[arg-type]
    else:
        tracker = refunc.logging.ExperimentTracker("e", "r", logger=logger)
        tracker.start_run()
        tracker.end_run({"acc": 0.9}, *status)  # type: ignore[arg-type]

    [run] = open_store()
    assert (run.status, run.summary.last["acc"]) == (status[0] if status else "completed", 0.9)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "final_metrics={" in warnings[0]


def test_structured_fields_of_a_line_are_read_back_as_given() -> None:
    logger = MLLogger("fields")

    logger.info(
        "step done",
        metrics={"loss": 0.25},
        tags={"phase": "train", "fold": 2},
        artifacts=["checkpoint.pkl", Path("plots/a.png")],
        extra={"gpu": "8GB", "name": "taken in the stdlib", "shape": (2, 3)},
        step=7,
        epoch=2,
    )

    entry = last(logger)
    assert (entry.metrics, entry.tags) == ({"loss": 0.25}, {"phase": "train", "fold": "2"})
    assert entry.artifacts == ["checkpoint.pkl", "plots/a.png"]
    assert entry.extra == {"gpu": "8GB", "name": "taken in the stdlib", "shape": [2, 3]}
    assert (entry.step, entry.epoch) == (7, 2)


def test_an_unknown_keyword_is_the_callers_mistake_who_is_told_what_there_is() -> None:
    with pytest.raises(
        TypeError, match=r"^a line does not take 'colour'\. Allowed: metrics, extra, tags, .*stacklevel;"
    ):
        MLLogger("typo").info("text", step=1, colour="red")  # type: ignore[call-arg]


def test_mutable_values_are_taken_at_the_call() -> None:
    logger = MLLogger("snapshot")
    shapes = [1, 2]

    logger.info("before %s", shapes, extra={"shapes": shapes})
    shapes.append(3)

    assert (last(logger).message, last(logger).extra) == ("before [1, 2]", {"shapes": [1, 2]})


def test_exception_keeps_the_traceback_in_the_journal() -> None:
    logger = MLLogger("errors")

    try:
        raise ValueError("bad batch")
    except ValueError:
        logger.exception("operation failed", extra={"step": 3})

    entry = last(logger)
    assert entry.level == "ERROR"
    assert "ValueError: bad batch" in entry.extra["exception"]
    assert entry.extra["step"] == 3


def test_exc_info_takes_an_exception_that_is_not_being_handled() -> None:
    logger = MLLogger("errors")

    logger.warning("late", exc_info=RuntimeError("from elsewhere"))

    assert "RuntimeError: from elsewhere" in last(logger).extra["exception"]


def test_log_takes_a_level_by_number_name_and_enum() -> None:
    logger = MLLogger("log")

    for level in (25, "metric", LogLevel.METRIC):
        logger.log(level, "at %s", "metric")
        assert (last(logger).level, last(logger).message) == ("METRIC", "at metric")
    with pytest.raises(ValueError, match=r"level: 'LOUD' is not a log level\. Allowed: TRACE, DEBUG"):
        logger.log("LOUD", "text")


@pytest.mark.parametrize("method", [*LEVELS, "exception"])
def test_the_callers_file_and_line_are_the_users(method: str, caplog: pytest.LogCaptureFixture) -> None:
    logger = MLLogger("caller", level="TRACE")

    getattr(logger, method)("from here")

    assert [(record.filename, record.funcName) for record in caplog.records] == [
        ("test_lines.py", "test_the_callers_file_and_line_are_the_users")
    ]


def test_module_level_functions_act_on_the_default_logger_and_name_their_caller(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refunc.logging.info("hello %s", "there")
    refunc.logging.metric("loss", {"loss": 0.5})
    refunc.logging.log_metrics({"loss": 0.25}, step=1)

    assert {record.name for record in caplog.records} == {"refunc"}
    assert {record.filename for record in caplog.records} == {"test_lines.py"}
    assert caplog.records[0].getMessage() == "hello there"


def test_stacklevel_names_the_caller_of_a_wrapper(caplog: pytest.LogCaptureFixture) -> None:
    logger = MLLogger("wrapped")

    def wrapper() -> None:
        logger.info("through a wrapper", stacklevel=2)

    wrapper()

    assert caplog.records[0].funcName == "test_stacklevel_names_the_caller_of_a_wrapper"


def test_data_calls_show_lines_that_name_their_caller(caplog: pytest.LogCaptureFixture) -> None:
    logger = MLLogger("data")

    logger.log_hyperparams({"lr": 0.1})
    logger.log_metrics({"loss": 0.5})
    logger.log_result("accuracy", 0.9)

    shown = [record for record in caplog.records if record.name == "data"]
    assert len(shown) == 4  # the implicit run's opening too
    assert {record.filename for record in shown} == {"test_lines.py"}


def test_lines_from_a_thread_are_lines_of_the_only_open_run() -> None:
    logger = MLLogger("threads")

    with experiment_context("e", "r") as run:
        thread = threading.Thread(target=logger.info, args=("from a thread",))
        thread.start()
        thread.join()
        messages = [(entry.message, entry.run_id) for entry in logger.get_log_entries(level="INFO")]

    assert messages == [("from a thread", run.run_id)]


def test_stack_info_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    MLLogger("stack").info("where", stack_info=True)

    assert "test_stack_info_is_shown" in capsys.readouterr().err


def test_logging_disable_silences_handlers_not_the_journal(caplog: pytest.LogCaptureFixture) -> None:
    logger = MLLogger("disabled")
    logging.disable(logging.CRITICAL)
    try:
        logger.info("kept")
    finally:
        logging.disable(logging.NOTSET)

    assert caplog.records == []
    assert last(logger).message == "kept"


def test_a_trackers_line_names_the_script_that_tracks(caplog: pytest.LogCaptureFixture) -> None:
    from refunc.logging import ProgressTracker

    tracker = ProgressTracker(total=10, description="Training", logger=MLLogger("tracked"))
    tracker.update(5)
    tracker.log_progress()

    assert {record.filename for record in caplog.records} == {"test_lines.py"}


def test_a_huge_traceback_is_cut_in_the_middle_so_that_it_can_be_read_back() -> None:
    logger = MLLogger("huge")
    with experiment_context("e", "r"):
        try:
            raise ValueError("x" * 70_000_000 + "the end")
        except ValueError:
            logger.exception("failed")
        entry = last(logger)

    assert entry.message == "failed"
    trace = entry.extra["exception"]
    assert trace.startswith("Traceback")
    assert trace.endswith("the end")
    assert len(trace) < 70_000


@pytest.mark.parametrize("source", ["logger", "library"])
def test_the_stack_of_a_call_is_in_the_journal_and_in_the_log_files(source: str) -> None:
    logger = MLLogger("stack", json_logging=True)
    library = logging.getLogger("library")
    library.addHandler(RunHandler())
    with experiment_context("e", logger=logger) as run:
        where = logger if source == "logger" else library
        where.warning("how did it come here?", stack_info=True)  # type: ignore[attr-defined]  # both have it
    assert run.folder is not None

    (entry,) = [entry for entry in Run.open(run.folder).entries() if entry.level == "WARNING"]
    assert entry.extra["stack"].startswith("Stack (most recent call last):\n")
    assert "test_lines.py" in entry.extra["stack"]
    assert "exception" not in entry.extra
    if source == "logger":
        for name in ("stack.log", "stack.jsonl"):
            assert "Stack (most recent call last)" in Path("logs", name).read_text()
