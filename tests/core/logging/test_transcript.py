"""Log files have the records of the journal, in its order, whatever the console shows."""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.writer import JournalWriter
from refunc.logging import MLLogger, RunHandler, experiment_context
from refunc.logging.active.loose_lines import loose_lines
from refunc.logging.console.thinning import FREE
from refunc.outlets.count import Count
from refunc.runs import open_store


def quiet(name: str = "train", **options: Any) -> MLLogger:
    """Return a logger that shows nothing."""
    logger = MLLogger(name, **options)
    for handler in logger.handlers:
        logger.remove_handler(handler)
    logger.add_handler(logging.NullHandler())
    return logger


def entries(name: str = "train") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(f"logs/{name}.jsonl").read_text().splitlines()]


def lines(name: str = "train") -> list[str]:
    """Return the lines of the text file, without their dates."""
    return [line.partition(" ")[2] for line in Path(f"logs/{name}.log").read_text().splitlines()]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1_700_000_000.0]
    for target in ("recording.time", "lines.calls.time", "active.run.time.time"):
        monkeypatch.setattr(f"refunc.logging.{target}", lambda: now[0])
    return now


CALLS: dict[str, tuple[Callable[[MLLogger], object], str, object]] = {
    "metrics": (lambda logger: logger.log_metrics({"loss": 0.5}, step=3), "metrics", {"loss": 0.5}),
    "params": (lambda logger: logger.log_hyperparams({"lr": 0.1, "net": {"width": 8}}), "params",
               {"lr": 0.1, "net": {"width": 8}}),
    "tags": (lambda logger: logger.set_tag("split", "val"), "tags", {"split": "val"}),
    "artifact": (lambda logger: logger.log_artifact("script.txt"), "artifacts", ["script.txt"]),
    "result": (lambda logger: logger.log_result("acc", 0.9), "metrics", {"acc": 0.9}),
    "definition": (lambda logger: logger.define_metric("loss", goal="min"), "extra", {"goal": "min"}),
}  # fmt: skip


@pytest.mark.parametrize("kind", CALLS)
def test_a_data_call_alone_makes_the_log_files_and_stands_in_them_under_its_own_key(kind: str) -> None:
    Path("script.txt").write_text("x")
    logger = quiet(json_logging=True)
    call, key, value = CALLS[kind]
    call(logger)
    assert logger.flush()
    with_end = logger.get_experiment_context()
    logger.end_experiment()

    assert with_end is not None
    start, entry, end = entries()
    assert start["status"] == "running"
    assert end["status"] == "completed"
    assert end["duration"] >= 0
    assert entry[key] == value
    assert {start["run_id"], entry["run_id"], end["run_id"]} == {with_end.run_id}
    assert [line.split()[1] for line in lines()] == ["train"] * 3


def test_a_run_that_no_logger_writes_to_makes_no_file() -> None:
    logger = quiet()
    with experiment_context("e", logger=logger):
        pass

    assert not Path("logs").exists()


def test_the_json_file_has_each_point_and_the_text_file_the_first_ones_and_then_one_in_ten_seconds(
    clock: list[float],
) -> None:
    logger = quiet(json_logging=True)
    for step in range(100):
        logger.log_metrics({"loss": float(step)}, step=step)
        if step % 10 == 0:
            logger.log_metrics({"val_loss": 1.0}, step=step)  # rare: never thinned
        clock[0] += 0.5
    logger.end_experiment()

    assert [entry["metrics"]["loss"] for entry in entries() if "loss" in entry.get("metrics", {})] == list(range(100))
    shown = [line for line in lines() if " loss=" in line]
    # 20 at once; then one 10 s after the last one, and so on; at the end the last one.
    steps = [*range(FREE), 39, 59, 79, 99]
    assert [int(line.partition("[step ")[2].partition("]")[0]) for line in shown] == steps
    assert not any("more since" in line for line in shown[:FREE])
    assert [line.partition("  (")[2] for line in shown[FREE:]] == ["19 more since)"] * 4
    assert sum(" val_loss=" in line for line in lines()) == 10


def test_the_last_point_that_was_left_out_stands_before_the_end(clock: list[float]) -> None:
    logger = quiet()
    for step in range(FREE + 5):
        logger.log_metrics({"loss": 1.0}, step=step)
    logger.end_experiment()

    assert "[step 24]" in lines()[-2]
    assert lines()[-2].endswith("(4 more since)")
    assert "completed" in lines()[-1]


def test_a_clock_that_is_set_back_silences_no_metric(clock: list[float]) -> None:
    logger = quiet()
    for step in range(FREE + 3):
        logger.log_metrics({"loss": 1.0}, step=step)
        clock[0] -= 3_600
    logger.flush()

    assert sum("loss=" in line for line in lines()) == FREE + 3


def test_the_order_is_the_journals_whoever_logs_what() -> None:
    chance = random.Random(3)
    loggers = [quiet(name, json_logging=True) for name in ("one", "two")]
    foreign = logging.getLogger("elsewhere")
    foreign.addHandler(RunHandler())
    calls: list[Callable[[MLLogger, int], object]] = [
        lambda logger, number: logger.info("n", extra={"n": number}),
        lambda logger, number: logger.log_metrics({"n": number}),
        lambda logger, number: logger.log_hyperparams({"n": number}),
        lambda logger, number: logger.error("n", extra={"n": number}),
        lambda logger, number: foreign.warning("n"),
        lambda logger, number: time.sleep(0.0005),
    ]
    with experiment_context("order", logger=loggers[0]) as run:
        for number in range(300):
            logger = chance.choice(loggers)
            chance.choice(calls)(logger, number)
    assert run.run_name is None

    def number_of(fields: dict[str, Any]) -> Any:
        return next((part["n"] for key in ("extra", "metrics", "params") if "n" in (part := fields.get(key, {}))), None)

    journal = [entry.to_dict() for entry in next(iter(open_store())).entries()]
    for name in ("one", "two"):
        expected = [number_of(entry) for entry in journal if entry["logger_name"] == name]
        written = [number_of(entry) for entry in entries(name)]
        assert [n for n in written if n is not None] == [n for n in expected if n is not None]


def test_what_a_handler_does_to_a_record_is_not_in_the_files() -> None:
    class Shouting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            record.msg, record.args, record.exc_text, record.levelno = "CHANGED", ("x",), "CHANGED", 10

    logger = quiet(json_logging=True)
    logger.add_handler(Shouting())
    for level in ("info", "error"):
        getattr(logger, level)("as it was", exc_info=ValueError("whole"))
    logger.flush()

    assert "CHANGED" not in Path("logs/train.log").read_text() + Path("logs/train.jsonl").read_text()
    assert [entry["message"] for entry in entries()] == ["as it was"] * 2
    assert all("ValueError: whole" in entry["exception"] for entry in entries())


def test_lines_that_a_run_takes_as_its_head_are_written_once() -> None:
    logger = quiet(json_logging=True)
    for number in range(50):
        logger.info("%d", number)
        if number == 25:
            logger.error("in between")
    logger.log_metrics({"loss": 1.0})
    logger.flush()

    messages = [entry["message"] for entry in entries()]
    assert messages[:51] == [*map(str, range(26)), "in between", *map(str, range(26, 50))]
    assert [entry.message for entry in next(iter(open_store())).entries()][1:52] == messages[:51]
    assert len(messages) == 53


def test_lines_that_another_run_takes_meanwhile_are_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loose = loose_lines
    before = loose._appended
    first, second = quiet(json_logging=True), quiet("other", json_logging=True)

    class Interposed(Count):
        """Asked when a run has looked at how many lines wait, and has taken none yet."""

        @property
        def value(self) -> int:
            loose._appended = before
            second.start_experiment("second")
            return before.value

    for number in range(20):
        first.info("line %d", number)
    monkeypatch.setattr(loose, "_appended", Interposed())
    first.start_experiment("first")
    first.info("behind")
    writer = first._place.writer
    assert first.flush()
    assert second.flush()

    expected = [f"line {number}" for number in range(20)]
    assert [entry["message"] for entry in entries() if entry["message"].startswith("line ")] == expected
    found = {run.experiment_name: [entry.message for entry in run.entries()] for run in open_store()}
    assert [message for message in found["second"] if message.startswith("line ")] == expected
    assert found["first"] == ["run started", "behind"]
    assert isinstance(writer, JournalWriter)
    assert not writer._handed


def test_what_the_journals_disk_refuses_is_in_the_log_files_once_and_in_the_journal_later() -> None:
    Path("experiments").write_text("a file where the store should be")
    logger = quiet(json_logging=True)
    logger.info("before")
    for number in range(100):
        logger.log_metrics({"loss": number}, step=number)
        if number % 10 == 0:
            logger.error("failed %d", number)  # in the log file when the call returns
            assert entries()[-1]["message"] == f"failed {number}"
    assert not logger.flush()
    written = entries()

    Path("experiments").unlink()
    assert logger.flush()
    logger.info("again")
    logger.end_experiment()
    found = [entry.message for entry in next(iter(open_store())).entries()]
    assert len([message for message in found if message == "metrics"]) == 100
    assert entries()[: len(written)] == written
    messages = [entry["message"] for entry in entries()]
    assert messages.count("loss") == 100
    assert [entry["step"] for entry in entries() if entry["message"] == "loss"] == list(range(100))
    failures = [f"failed {number}" for number in range(0, 100, 10)]
    others = [message for message in messages if message != "loss"]
    assert others == ["before", messages[1], *failures, "again", messages[-1]]


def test_the_level_keeps_data_out_of_log_files_too() -> None:
    logger = quiet(level="WARNING", json_logging=True)
    logger.log_metrics({"loss": 1.0})
    logger.log_hyperparams({"lr": 0.1})
    logger.warning("kept")
    logger.set_level("RESULT")
    logger.log_result("acc", 0.5)
    logger.log_metrics({"loss": 2.0})
    logger.log_hyperparams({"lr": 0.2})
    logger.flush()

    assert [entry["message"] for entry in entries()] == ["kept", "acc", "loss"]


def test_a_file_has_the_start_of_the_run_before_its_loggers_first_record() -> None:
    one, two = quiet("one"), quiet("two")
    with experiment_context("shared", "shared run", logger=one):
        one.info("first")
        one.flush()
        two.info("late")

    for name, line in (("one", "first"), ("two", "late")):
        start, own, end = lines(name)
        assert "run shared run started" in start
        assert line in own
        assert "run shared run completed" in end


@pytest.mark.parametrize("call", ["params", "tags", "artifact", "result", "definition"])
def test_what_is_written_through_is_in_the_log_file_when_the_call_returns(call: str) -> None:
    Path("script.txt").write_text("x")
    logger = quiet(json_logging=True)
    CALLS[call][0](logger)

    assert len(entries()) == 2


def test_secrets_are_masked_in_both_files() -> None:
    logger = quiet(json_logging=True)
    logger.info("password=hunter2222")
    logger.log_hyperparams({"api_key": "abcdefgh12345678", "lr": 0.1})
    logger.error("again password=hunter2222", stack_info=True)
    logger.flush()

    text = Path("logs/train.log").read_text() + Path("logs/train.jsonl").read_text()
    assert "hunter2222" not in text
    assert "abcdefgh12345678" not in text
    assert text.count("Stack (most recent call last)") == 2
