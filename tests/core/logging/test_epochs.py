"""Epochs: the values that are written for each, which value wins, and how one ends."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from refunc.logging.bars.epochs import EpochTracker, epoch_context
from refunc.logging.logger import MLLogger


class Recorder:
    """Stands in for the logger, which has tests of its own: keeps the values that it is asked to write."""

    def __init__(self) -> None:
        self.epochs: list[int] = []
        self.metrics: list[tuple[int | None, dict[str, Any]]] = []
        self.lines: list[tuple[str, dict[str, Any], dict[str, Any]]] = []

    def set_epoch(self, epoch: int) -> None:
        self.epochs.append(epoch)

    def log_metrics(self, metrics: Mapping[str, Any], *, epoch: int | None) -> None:
        self.metrics.append((epoch, dict(metrics)))

    def progress(self, message: str, *, metrics: Mapping[str, Any], extra: Mapping[str, Any] | None = None) -> None:
        self.lines.append((message, dict(metrics), dict(extra or {})))


@pytest.fixture
def logger(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("TQDM_DISABLE", "1")
    return Recorder()


def test_end_epoch_writes_the_means_and_what_it_is_given(logger: Any) -> None:
    tracker = EpochTracker(total_epochs=2, steps_per_epoch=3, logger=logger)

    tracker.start_epoch(0)
    for loss in (1.0, 2.0, 6.0):
        tracker.update_step({"loss": loss})
    tracker.end_epoch({"val_accuracy": 0.9})

    assert logger.epochs == [0]
    assert logger.metrics == [(0, {"loss": 3.0, "val_accuracy": 0.9})]


def test_end_epoch_says_one_line_with_the_duration(logger: Any) -> None:
    tracker = EpochTracker(2, logger=logger)

    tracker.start_epoch(4)
    tracker.update_step({"loss": 1.0})
    tracker.end_epoch()

    ((message, metrics, extra),) = logger.lines
    assert message.startswith("Epoch 4 took ")
    assert metrics == {"loss": 1.0}
    assert extra == {}


def test_the_line_says_what_is_best_so_far(logger: Any) -> None:
    with EpochTracker(4, 1, logger) as epochs:
        for number, (loss, accuracy, other) in enumerate([(0.5, 0.8, 1), (0.4, 0.7, 2), (0.6, 0.9, 3), (0.3, 0.95, 4)]):
            epochs.start_epoch(number)
            epochs.update_step(train_loss=-number)
            epochs.end_epoch({"val_loss": loss, "val/accuracy": accuracy, "seen": other})

    ends = [message.partition(" s")[2] for message, *_ in logger.lines]
    assert ends == [
        *("", ", best val_loss (lowest)", ", best val/accuracy (highest)"),
        ", best val_loss (lowest), val/accuracy (highest)",
    ]


def test_a_mean_is_best_where_nothing_else_was_given(logger: Any) -> None:
    with EpochTracker(2, 1, logger) as epochs:
        for number in range(2):
            epochs.start_epoch(number)
            epochs.update_step(loss=1 - number)
            epochs.end_epoch()

    assert logger.lines[-1][0].endswith(", best loss (lowest)")


def test_given_metrics_win_over_means(logger: Any) -> None:
    tracker = EpochTracker(logger=logger)

    tracker.update_step({"loss": 1.0})
    tracker.end_epoch({"loss": 0.25})

    assert logger.metrics == [(0, {"loss": 0.25})]


def test_logged_metrics_are_not_written_again_as_means(logger: Any) -> None:
    with epoch_context(1, logger=logger) as epochs:
        for _ in epochs:
            epochs.update_step({"loss": 1.0, "lr": 0.1})
            epochs.log({"loss": 0.25})

    assert logger.metrics == [(0, {"loss": 0.25}), (0, {"lr": 0.1})]
    assert logger.lines[-1][1] == {"loss": 0.25, "lr": 0.1}


def test_steps_that_count_more_weigh_more(logger: Any) -> None:
    tracker = EpochTracker(logger=logger)

    tracker.update_step(3, {"loss": 1.0})
    tracker.update_step(1, loss=5.0)
    tracker.end_epoch()

    assert logger.metrics == [(0, {"loss": 2.0})]


def test_metric_that_some_steps_lack_is_averaged_over_the_others(logger: Any) -> None:
    tracker = EpochTracker(logger=logger)

    tracker.update_step({"loss": 1.0, "penalty": 4.0})
    tracker.update_step({"loss": 3.0})
    tracker.end_epoch()

    assert logger.metrics == [(0, {"loss": 2.0, "penalty": 4.0})]


def test_step_and_epoch_have_no_mean(logger: Any) -> None:
    """`log_metrics` would take them for the position of the run."""
    tracker = EpochTracker(logger=logger)

    tracker.update_step({"loss": 1.0, "step": 7, "epoch": 3})
    tracker.end_epoch()

    assert logger.metrics == [(0, {"loss": 1.0})]


def test_constant_metric_has_itself_as_its_mean(logger: Any) -> None:
    tracker = EpochTracker(logger=logger)

    for _ in range(1000):
        tracker.update_step(lr=0.001)
    tracker.end_epoch()

    assert logger.metrics == [(0, {"lr": 0.001})]


@pytest.mark.parametrize("position", [0, 1])
def test_mean_of_an_infinite_loss_is_infinite(logger: Any, position: int) -> None:
    tracker = EpochTracker(logger=logger)
    losses = [1.0, 1.0]
    losses[position] = math.inf

    for loss in losses:
        tracker.update_step({"loss": loss})
    tracker.end_epoch()

    assert logger.metrics == [(0, {"loss": math.inf})]


def test_values_that_are_no_numbers_are_shown_only(logger: Any) -> None:
    tracker = EpochTracker(logger=logger)

    tracker.update_step({"loss": 1.0, "phase": "warm-up", "shape": [1, 2]})
    tracker.end_epoch()

    assert logger.metrics == [(0, {"loss": 1.0})]


def test_update_shows_and_is_in_no_mean(logger: Any) -> None:
    tracker = EpochTracker(logger=logger)

    tracker.update({"loss": 1.0})
    tracker.end_epoch()

    assert logger.metrics == []


def test_iteration_yields_starts_and_ends_each_epoch(logger: Any) -> None:
    with epoch_context(total_epochs=3, logger=logger) as epochs:
        numbers = []
        for epoch in epochs:
            numbers.append(epoch)
            epochs.log({"accuracy": epoch / 10})

    assert numbers == logger.epochs == [0, 1, 2]
    assert logger.metrics == [(0, {"accuracy": 0.0}), (1, {"accuracy": 0.1}), (2, {"accuracy": 0.2})]
    assert len(logger.lines) == 3


def test_without_a_total_iteration_does_not_end(logger: Any) -> None:
    with epoch_context(logger=logger) as epochs:
        for epoch in epochs:
            if epoch == 20:
                break

    assert logger.epochs == list(range(21))


def test_early_stop_writes_the_epoch_it_stopped_in(logger: Any) -> None:
    with epoch_context(10, logger=logger) as epochs:
        for _ in epochs:
            epochs.update_step({"loss": 1.0})
            break

    assert logger.metrics == [(0, {"loss": 1.0})]


def test_exception_leaves_the_unfinished_epoch_unwritten(logger: Any) -> None:
    def train() -> None:
        with epoch_context(10, logger=logger) as epochs:
            for _ in epochs:
                epochs.update_step({"loss": 1.0})
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train()

    assert (logger.metrics, logger.lines) == ([], [])


def test_epoch_ended_by_hand_inside_the_iteration_is_not_ended_twice(logger: Any) -> None:
    with epoch_context(2, logger=logger) as epochs:
        for _ in epochs:
            epochs.end_epoch({"accuracy": 0.5})

    assert len(logger.metrics) == len(logger.lines) == 2


def test_next_start_ends_the_epoch_that_is_open(logger: Any) -> None:
    tracker = EpochTracker(logger=logger)

    tracker.start_epoch()
    tracker.update_step({"loss": 1.0})
    tracker.start_epoch()

    assert (logger.epochs, logger.metrics) == ([0, 1], [(0, {"loss": 1.0})])


def test_track_counts_the_steps_of_an_epoch(logger: Any) -> None:
    with epoch_context(1, logger=logger) as epochs:
        for _ in epochs:
            for loss in epochs.track([1.0, 3.0]):
                epochs.update_step({"loss": loss})

    assert logger.metrics == [(0, {"loss": 2.0})]


def test_finish_may_be_called_again(logger: Any) -> None:
    tracker = EpochTracker(logger=logger)
    tracker.update_step({"loss": 1.0})

    tracker.finish()
    tracker.close()

    assert len(logger.lines) == 1


@pytest.mark.parametrize("option", ["total_epochs", "steps_per_epoch"])
def test_wrong_total_is_named(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option}: -1"):
        EpochTracker(**{option: -1})  # type: ignore[arg-type]


def test_real_logger_takes_what_an_epoch_writes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TQDM_DISABLE", "1")
    monkeypatch.setenv("REFUNC_DIR", str(tmp_path))
    ml_logger = MLLogger("epochs-with-a-real-logger", log_dir=tmp_path / "logs")
    ml_logger.start_experiment("epochs")

    with epoch_context(1, logger=ml_logger) as epochs:
        for _ in epochs:
            epochs.update_step({"loss": 1.0})
            epochs.log({"accuracy": 0.5})
    ml_logger.end_experiment()

    context = ml_logger.get_experiment_context()
    assert context is not None
    assert (context.epoch, context.metrics) == (0, {"accuracy": 0.5, "loss": 1.0})
    assert any(message.startswith("Epoch 0 took ") for message in caplog.messages)
