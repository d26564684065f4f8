"""Data calls: steps, params, results, and how they treat values that make no sense."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from refunc.logging import ExperimentTracker, MLLogger, current, epoch_context, experiment_context
from refunc.runs import Run, open_store


def only_run() -> Run:
    (run,) = open_store()
    return run


def test_steps_counted_before_a_run_are_its_first_ones() -> None:
    logger = MLLogger("counted")
    logger.set_step(41)
    logger.step()

    logger.log_metrics({"loss": 1.0})

    (entry,) = logger.get_log_entries(level="METRIC")
    assert entry.step == 42


def test_step_is_the_argument_else_the_key_else_the_counter_else_automatic() -> None:
    logger = MLLogger("steps")
    with experiment_context("steps", "run"):
        logger.log_metrics({"a": 1.0})
        logger.log_metrics({"a": 1.0})
        logger.log_metrics({"a": 1.0}, epoch=3)
        logger.log_metrics({"a": 1.0}, step=10)
        logger.log_metrics({"a": 1.0, "step": 20, "epoch": 4})
        logger.set_step(30)
        logger.log_metrics({"a": 1.0})
        steps = [(entry.step, entry.epoch) for entry in logger.get_log_entries(level="METRIC")]

    assert steps == [(0, None), (1, None), (None, 3), (10, None), (20, 4), (30, None)]


def test_step_and_epoch_live_per_run_and_logger() -> None:
    one, two = MLLogger("one"), MLLogger("two")
    with experiment_context("e", "outer"):
        one.set_step(5)
        two.set_step(6)
        with experiment_context("e", "inner"):
            assert one.step() == 1
        assert one.step() == 6
        context = two.get_experiment_context()
        assert context is not None
        assert (context.step, context.run_name) == (6, "outer")


def test_without_tracking_nothing_is_recorded_and_everything_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    logger = MLLogger("untracked", experiment_tracking=False)

    logger.info("a line")
    logger.log_metrics({"loss": 0.5})
    logger.log_hyperparams({"lr": 1})

    assert not Path("experiments").exists()
    assert "a line" in capsys.readouterr().err


def test_a_parameter_that_changes_is_one_warning_and_the_later_value_wins(caplog: pytest.LogCaptureFixture) -> None:
    logger = MLLogger("params")
    for lr in (0.1, 0.01, 0.001):
        logger.log_hyperparams({"lr": lr, "epochs": 3})

    assert only_run().summary.params == {"lr": 0.001, "epochs": 3}
    assert sum("lr had another value" in record.getMessage() for record in caplog.records) == 1
    assert [entry.extra["lr"] for entry in only_run().entries() if entry.message == "params"] == [0.1, 0.01, 0.001]


def test_a_result_is_a_line_and_a_metric() -> None:
    logger = MLLogger("results")
    logger.log_result("final_accuracy", 0.945, metadata={"dataset": "test"})
    logger.log_result("Training completed", {"f1": 0.9, "auc": 0.99})

    summary = only_run().summary
    assert summary.results == {"final_accuracy": 0.945, "f1": 0.9, "auc": 0.99}
    assert summary.last == summary.results
    first, _ = logger.get_log_entries(level="RESULT")
    assert (first.message, first.extra) == ("final_accuracy", {"metadata": {"dataset": "test"}})


def test_switched_off_nothing_is_written_and_nothing_breaks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REFUNC_MODE", "disabled")
    logger = MLLogger("off")
    Path("model.bin").write_bytes(b"weights")

    with experiment_context("e", "r") as run:
        logger.info("a line")
        logger.log_metrics({"loss": 0.5})
        logger.log_hyperparams({"lr": 1})
        logger.log_artifact("model.bin")
        assert run.context is not None
    assert logger.get_log_entries() == []
    assert logger.flush() is True

    assert [path.name for path in Path.cwd().iterdir()] == ["model.bin"]
    assert "a line" in capsys.readouterr().err


def test_entries_of_an_experiment_are_found_in_the_store_that_the_run_is_in() -> None:
    logger = MLLogger("elsewhere")
    with experiment_context("far", "one", log_dir="another_store"):
        logger.info("in another store")

        entries = logger.get_log_entries(experiment_id="far", level="INFO")

    assert [entry.message for entry in entries] == ["in another store"]


@pytest.mark.parametrize("step", [2**70, -(2**70), 1e300, float("nan"), float("inf"), "seven", None, [1]])
def test_a_step_that_is_no_number_of_64_bits_is_as_good_as_none(step: Any) -> None:
    logger = MLLogger("absurd")
    with experiment_context("e", "r"):
        logger.set_step(3)
        logger.log_metrics({"loss": 1.0}, step=step)
        logger.info("line", step=step)
        logger.log_result("accuracy", 1.0, step=step)
        steps = [entry.step for entry in logger.get_log_entries() if entry.metrics or entry.message == "line"]

    assert steps == [3, 3, 3]


def test_data_calls_with_no_sense_raise_nothing() -> None:
    logger = MLLogger("nonsense")

    logger.log_metrics(None)  # type: ignore[arg-type]
    logger.log_metrics([1, 2])  # type: ignore[arg-type]
    logger.log_hyperparams(None)
    logger.log_artifacts(None)  # type: ignore[arg-type]
    logger.log_artifact(None)  # type: ignore[arg-type]
    logger.add_tags(7)  # type: ignore[arg-type]
    logger.log_result(None, None)  # type: ignore[arg-type]
    logger.log_metrics({"a": object(), "b": "text", "c": None, "d": [1, 2], 5: 1.0, "e": 10**400})
    logger.flush()

    (entry,) = logger.get_log_entries(level="METRIC", last_n=1)
    assert entry.metrics["5"] == 1.0
    assert (entry.metrics["b"], entry.metrics["c"], entry.metrics["d"]) == ("text", None, [1, 2])


def test_a_progress_line_repeats_metrics_and_adds_none() -> None:
    logger = MLLogger("epochs")
    with experiment_context("e", "r"), epoch_context(2, logger=logger) as epochs:
        for epoch in epochs:
            epochs.log({"accuracy": float(epoch)})

    assert only_run().summary.metrics["accuracy"].count == 2


def test_asking_for_the_context_moves_no_step() -> None:
    logger = MLLogger("asking")
    logger.set_step(7)
    with experiment_context("e", "first"):
        assert logger.get_experiment_context() is not None

    logger.log_metrics({"loss": 1.0})
    (entry,) = logger.get_log_entries(level="METRIC")
    assert entry.step == 7


@pytest.mark.parametrize("kind", ["implicit", "only one"])
def test_a_metric_takes_no_lock_once_its_run_is_open(kind: str) -> None:
    """Neither in the implicit run, nor in a thread that is outside the context of the only one."""
    logger = MLLogger("lockless")
    tracker = ExperimentTracker("e", "only one")
    if kind == "only one":
        tracker.start_run()
    logger.log_metrics({"loss": 1.0})
    thread = threading.Thread(target=logger.log_metrics, args=({"loss": 2.0},), daemon=True)

    with current._opening:  # as a thread does that opens a run on a disk that hangs
        thread.start()
        thread.join(10)
        is_stuck = thread.is_alive()

    assert not is_stuck


@pytest.mark.parametrize("metrics", [{"loss": 1.0}, {"epoch": 1, "val_accuracy": 0.5}])
def test_the_first_twenty_points_of_a_set_are_shown_and_then_one_in_an_interval(
    metrics: dict[str, float], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [1_700_000_000.0]
    monkeypatch.setattr("refunc.logging.recording.time", lambda: now[0])
    logger = MLLogger("shown")
    name = list(metrics)[-1]

    def shown() -> int:
        return capsys.readouterr().err.count(f" {name}=")

    for _ in range(50):
        logger.log_metrics({"beside": 1.0, "step": 1})  # another set has its own
        logger.log_metrics(metrics)
    assert shown() == 20
    for _ in range(4):
        now[0] += 30.0  # off a terminal, one in 60 s
        logger.log_metrics(metrics)
    assert shown() == 2


def test_a_rare_set_is_never_thinned(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = [1_700_000_000.0]
    monkeypatch.setattr("refunc.logging.recording.time", lambda: now[0])
    logger = MLLogger("rare")
    for _ in range(40):
        logger.log_metrics({"val_accuracy": 0.5})
        now[0] += 61.0

    assert capsys.readouterr().err.count("val_accuracy=") == 40
