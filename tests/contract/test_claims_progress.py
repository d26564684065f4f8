"""The reference's claims about progress: three trackers and two contexts, in a terminal, in a file and in the run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from refunc.logging import (
    EpochTracker,
    MLLogger,
    ProgressTracker,
    TqdmProgressTracker,
    epoch_context,
    progress_context,
)

SGR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def logger(user: Any) -> MLLogger:
    """Return a logger with a run open, whose announcement has been seen."""
    logger = MLLogger("training")
    logger.start_experiment("image_classification", "run_001")
    user.console()
    return logger


def progress(user: Any) -> list[str]:
    """Return the PROGRESS lines on the console, without time, level and logger."""
    return [line.split(maxsplit=3)[3] for line in user.console() if line.split()[1] == "PROGRESS"]


# -- ProgressTracker


def test_a_tracker_says_what_is_done_and_how_far(logger: MLLogger, user: Any) -> None:
    """`tracker = ProgressTracker(`, `total=1000`, `description="Training"`: "Basic progress tracking"."""
    tracker = ProgressTracker(total=1000, description="Training", logger=logger)
    for _ in range(1000):
        tracker.update(1, {"loss": 0.5})
    tracker.finish()

    lines = progress(user)
    assert lines[-1].startswith("Training: 1000/1000 in ")
    assert lines[-1].endswith("loss=0.5")
    assert len(lines) <= 13


def test_lines_of_a_tracker_are_those_of_its_logger(logger: MLLogger, user: Any) -> None:
    """`logger=logger`: the lines come from it, and are in its run."""
    tracker = ProgressTracker(total=10, description="Training", logger=logger)
    tracker.update(5)
    tracker.log_progress()

    assert all(line.split()[2] == "training" for line in user.console())
    (entry,) = logger.get_log_entries(level="PROGRESS", last_n=1)
    assert entry.logger_name == "training"


def test_progress_is_logged_when_asked_for(logger: MLLogger, user: Any) -> None:
    """`tracker.log_progress()`: a line with the count and the metrics that `tracker.update(1, {"loss":` brought."""
    tracker = ProgressTracker(total=1000, description="Training", logger=logger)
    tracker.update(250, {"loss": 0.5})
    user.console()
    tracker.log_progress()

    assert progress(user)[-1].startswith("Training: 250/1000 (25 %)")
    (entry,) = logger.get_log_entries(level="PROGRESS", last_n=1)
    assert (entry.metrics, entry.extra["completed"], entry.extra["total"]) == ({"loss": 0.5}, 250, 1000)


def test_a_finished_tracker_says_no_more(logger: MLLogger, user: Any) -> None:
    """`tracker.finish()`: one last line, however far it came."""
    tracker = ProgressTracker(total=1000, description="Training", logger=logger)
    tracker.update(300)
    user.console()
    tracker.finish()
    tracker.finish()

    (line,) = progress(user)
    assert line.startswith("Training: 300/1000 in ")


UPDATES: dict[str, Callable[[Any], None]] = {
    '`progress.update({"loss": loss})`': lambda progress: progress.update({"loss": 0.5}),
    '`progress.update(1, {"loss": loss})`': lambda progress: progress.update(1, {"loss": 0.5}),
    '`tracker.update(1, {"loss": current_loss})`': lambda progress: progress.update(1, {"loss": 0.5}),
}
MADE: dict[str, Callable[[MLLogger], Any]] = {
    "`ProgressTracker(`": lambda logger: ProgressTracker(total=10, description="Training", logger=logger),
    '`TqdmProgressTracker(total=1000, desc="Training")`': lambda logger: TqdmProgressTracker(
        total=10, desc="Training", logger=logger
    ),
    '`progress_context("Training", total=1000)`': lambda logger: progress_context("Training", total=10, logger=logger),
}


@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("update", UPDATES)
def test_each_way_to_update_counts_one_and_shows_its_metrics(
    update: str, made: str, logger: MLLogger, user: Any
) -> None:
    """`update`: the reference calls it in two ways, on whatever tracks progress."""
    with MADE[made](logger) as tracker:
        for _ in range(3):
            UPDATES[update](tracker)
    (line,) = progress(user)[-1:]

    assert line.startswith("Training: 3/10 in ")
    assert line.endswith("loss=0.5")
    assert (tracker.completed, dict(tracker.metrics)) == (3, {"loss": 0.5})


def test_a_context_shows_it_from_the_start_and_closes_it(user: Any) -> None:
    """ "Progress context": the block's end is the end of the display, an exception's too, which goes on."""

    def train() -> None:
        with progress_context("Training", total=1000) as tracker:
            for step in range(1000):
                tracker.update(1, {"step": step})
                if step == 99:
                    raise RuntimeError("in the loop")

    with pytest.raises(RuntimeError, match="in the loop"):
        train()
    assert progress(user)[-1].startswith("Training: 100/1000 in ")


def test_what_is_only_shown_opens_no_run(user: Any) -> None:
    """`progress_context`: it displays; a run is for values that are logged."""
    with progress_context("Training", total=10) as tracker:
        tracker.update({"loss": 0.5})

    assert user.runs() == []


# -- EpochTracker


def test_epochs_and_steps_are_counted_and_shown(logger: MLLogger, user: Any) -> None:
    """`epoch_tracker = EpochTracker(`, `total_epochs=100`, `steps_per_epoch=1000`: "for training epochs"."""
    tracker = EpochTracker(total_epochs=2, steps_per_epoch=4, logger=logger)
    for epoch in range(2):
        tracker.start_epoch(epoch)
        for _ in range(4):
            tracker.update_step({"loss": 0.5})
        tracker.end_epoch({"val_accuracy": 0.9})

    assert (tracker.total, tracker.completed) == (2, 2)
    ends = [line for line in progress(user) if line.startswith("Epoch")]
    assert [re.match(r"Epoch \d took", line) is not None for line in ends if "took" in line] == [True, True]


def test_an_epoch_has_the_means_of_its_steps_and_what_it_is_given(logger: MLLogger, user: Any) -> None:
    """`epoch_tracker.update_step({"loss": loss})`, `epoch_tracker.end_epoch({"val_accuracy": val_acc})`."""
    tracker = EpochTracker(total_epochs=2, steps_per_epoch=2, logger=logger)
    for epoch, losses in enumerate([(4.0, 2.0), (1.0, 0.0)]):
        tracker.start_epoch(epoch)
        for loss in losses:
            tracker.update_step({"loss": loss})
        tracker.end_epoch({"val_accuracy": 0.8 + epoch / 10})
    logger.flush()

    assert [(epoch, values) for _, epoch, values in user.points()] == [
        (0, {"loss": 3.0, "val_accuracy": 0.8}),
        (1, {"loss": 0.5, "val_accuracy": 0.9}),
    ]


def test_what_is_logged_inside_an_epoch_belongs_to_it(logger: MLLogger, user: Any) -> None:
    """`epoch_tracker.start_epoch(epoch)`: from then on that is the epoch of the logger's calls."""
    tracker = EpochTracker(total_epochs=10, logger=logger)
    tracker.start_epoch(3)
    logger.info("a line")
    logger.log_metrics({"loss": 0.5})
    logger.flush()

    assert logger.get_log_entries(level="INFO")[0].epoch == 3
    assert [epoch for _, epoch, _ in user.points()] == [3]


def test_an_epoch_context_gives_the_epochs_and_logs_for_each(user: Any) -> None:
    """`with epoch_context(total_epochs=10) as epochs:`, `epochs.log({"accuracy": current_acc})`: "Epoch context"."""
    logger = MLLogger("training")
    logger.start_experiment("image_classification", "run_001")
    seen = []
    with epoch_context(total_epochs=3) as epochs:
        for epoch in epochs:
            seen.append(epoch)
            epochs.log({"accuracy": epoch / 10})
    logger.flush()

    assert seen == [0, 1, 2]
    assert [(epoch, values) for _, epoch, values in user.points()] == [
        (0, {"accuracy": 0.0}),
        (1, {"accuracy": 0.1}),
        (2, {"accuracy": 0.2}),
    ]


# -- on a terminal

ON_A_TERMINAL = """
from refunc.logging import MLLogger, TqdmProgressTracker, EpochTracker
logger = MLLogger("training")
with TqdmProgressTracker(total=1000, desc="Training", unit="img", colour="green") as progress:
    for i in range(1000):
        progress.update(1, {"loss": 0.5, "lr": 0.001})
        if i == 500: logger.warning("halfway")
epochs = EpochTracker(total_epochs=2, steps_per_epoch=3, logger=logger)
for epoch in range(2):
    epochs.start_epoch(epoch)
    for step in range(3): epochs.update_step({"loss": 0.5})
    epochs.end_epoch({"val_accuracy": 0.9})
epochs.finish()
logger.info("done")
"""


@pytest.fixture(scope="module")
def terminal(tools: Any) -> str:
    """Return all that the script sends to a terminal."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    environ = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-c", ON_A_TERMINAL],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "24", "REFUNC_MODE": "disabled"},
    )
    os.close(theirs)
    sent = tools.shown_on(ours)
    assert process.wait(60) == 0, sent
    return sent.decode()


def test_lines_on_a_terminal_are_coloured_and_stand_above_bars(terminal: str) -> None:
    """ "Rich Output": "Colored console output with progress bars and indicators"."""
    before, _, after = terminal.partition("halfway")
    assert "\x1b[33mWARNING" in before
    assert "Training:" in after
    assert "\x1b[94mINFO" in after


def test_a_bar_is_tqdms_and_takes_its_options(terminal: str) -> None:
    """`with TqdmProgressTracker(total=1000, desc="Training") as progress:`: "tqdm integration"."""
    plain = SGR.sub("", terminal)

    assert re.search(r"Training: 100%\|█+\| 1000/1000 \[\d\d:\d\d<00:00,.*img/s, loss=0\.5, lr=0\.001\]", plain)
    assert "\x1b[32m" in terminal


def test_epochs_and_steps_have_a_bar_each(terminal: str) -> None:
    """ "Built-in progress tracking for training epochs and steps"."""
    plain = SGR.sub("", terminal)

    assert re.search(r"Epochs: 100%\|█+\| 2/2 ", plain)
    assert re.search(r"Epoch 1: +\d+%\|", plain)
