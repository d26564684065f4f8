"""Progress trackers: the steps they count, the lines they write, and their output off a terminal."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from refunc.logging.bars.loops import ProgressTracker, TqdmProgressTracker, progress_context
from refunc.logging.bars.pace import Pace


class Recorder:
    """Stands in for the logger, which has tests of its own: keeps the lines that it is asked to write."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any], dict[str, Any]]] = []

    def progress(self, message: str, *, metrics: Mapping[str, Any], extra: Mapping[str, Any] | None = None) -> None:
        self.lines.append((message, dict(metrics), dict(extra or {})))

    @property
    def messages(self) -> list[str]:
        return [message for message, _, _ in self.lines]


@pytest.fixture
def logger(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("TQDM_DISABLE", "1")
    return Recorder()


@pytest.mark.parametrize("kind", [ProgressTracker, TqdmProgressTracker, progress_context])
@pytest.mark.parametrize(
    ("args", "values", "completed", "metrics"),
    [
        ((), {}, 1, {}),
        ((3,), {}, 3, {}),
        ((0.5,), {}, 0.5, {}),
        (({"loss": 0.5},), {}, 1, {"loss": 0.5}),
        ((2, {"loss": 0.5}), {}, 2, {"loss": 0.5}),
        ((1,), {"loss": 0.5}, 1, {"loss": 0.5}),
        (({"loss": 0.5},), {"lr": 0.1}, 1, {"loss": 0.5, "lr": 0.1}),
        ((1, {"loss": 0.5}), {"lr": 0.1}, 1, {"loss": 0.5, "lr": 0.1}),
        ((1, None), {}, 1, {}),
    ],
)
def test_ways_to_call_update(
    kind: Any, args: tuple[Any, ...], values: dict[str, float], completed: float, metrics: dict[str, float], logger: Any
) -> None:
    with kind(total=10, logger=logger) as progress:
        progress.update(*args, **values)

        assert (progress.completed, progress.metrics) == (completed, metrics)


def test_update_without_metrics_keeps_those_shown(logger: Any) -> None:
    progress = ProgressTracker(10, logger=logger)

    progress.update(1, loss=0.5)
    progress.update(1)

    assert progress.metrics == {"loss": 0.5}


def test_numpy_counts_are_counts(logger: Any) -> None:
    numpy = pytest.importorskip("numpy")
    progress = ProgressTracker(numpy.int64(10), logger=logger)

    progress.update(numpy.int64(4))

    assert (progress.completed, progress.total) == (4, 10)


@pytest.mark.parametrize("metrics", [0.5, "loss", object()])
def test_metrics_that_are_no_mapping_are_not_shown(metrics: Any, logger: Any) -> None:
    progress = ProgressTracker(10, logger=logger)

    progress.update(1, metrics)

    assert (progress.completed, progress.metrics) == (1, {})


def test_count_that_is_none_is_one_step_and_a_warning(logger: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A logged one: `python -W error` must not end a training."""
    progress: Any = ProgressTracker(10, logger=logger)

    progress.update("loss")
    progress.update("loss")

    assert progress.completed == 2
    assert caplog.messages.count("update: 'loss' is neither a count nor metrics; one step is counted.") == 1


@pytest.mark.parametrize("total", [-1, math.nan, "100", True, object(), -math.inf])
def test_wrong_total_is_refused_at_once(total: Any) -> None:
    with pytest.raises(ValueError, match="total: "):
        ProgressTracker(total)


def test_iterable_given_as_total_is_told_about_track() -> None:
    with pytest.raises(ValueError, match=r"track\(iterable\)"):
        TqdmProgressTracker([1, 2, 3])  # type: ignore[arg-type]


def test_infinite_total_is_an_unknown_one() -> None:
    assert ProgressTracker(math.inf).total is None


def test_going_past_the_total_is_allowed(logger: Any) -> None:
    with ProgressTracker(2, "Work", logger) as progress:
        progress.update(5)

    assert logger.messages[-1].startswith("Work: 5/2 in ")


def test_track_counts_items_and_learns_the_total(logger: Any) -> None:
    progress = ProgressTracker(logger=logger)

    items = list(progress.track(["a", "b", "c"]))

    assert (items, progress.completed, progress.total) == (["a", "b", "c"], 3, 3)


def test_track_takes_iterables_without_a_length(logger: Any) -> None:
    progress = ProgressTracker(logger=logger)

    for _ in progress.track(iter("abc")):
        pass

    assert (progress.completed, progress.total) == (3, None)


def test_update_inside_track_shows_metrics_and_counts_nothing(logger: Any) -> None:
    with ProgressTracker(logger=logger) as progress:
        for i in progress.track(range(5)):
            progress.update(7, {"i": i})

    assert (progress.completed, progress.metrics) == (5, {"i": 4})


def test_leaving_track_early_finishes_the_tracker(logger: Any) -> None:
    progress = ProgressTracker(10, "Work", logger)

    for i in progress.track(range(10)):
        if i == 3:
            break

    assert logger.messages[-1].startswith("Work: 3/10 in ")


def test_two_loops_in_one_with_block_add_up(logger: Any) -> None:
    with ProgressTracker(6, logger=logger) as progress:
        for _ in progress.track(range(3)):
            pass
        for _ in progress.track(range(3)):
            pass

    assert progress.completed == 6


def test_log_progress_writes_message_metrics_and_numbers(logger: Any) -> None:
    tracker = ProgressTracker(total=1000, description="Training", logger=logger)

    tracker.update(250, {"loss": 0.5})
    tracker.log_progress()

    message, metrics, extra = logger.lines[-1]
    assert message.startswith("Training: 250/1000 (25 %), ")
    assert metrics == {"loss": 0.5}
    assert (extra["completed"], extra["total"], set(extra)) == (250, 1000, {"completed", "total", "rate"})


def test_finish_says_one_last_line_however_often_it_is_called(logger: Any) -> None:
    tracker = ProgressTracker(2, "Work", logger)
    tracker.update(2)

    tracker.finish()
    tracker.finish()
    tracker.close()
    tracker.update()

    assert len(logger.lines) == 1


def test_tracker_that_was_never_used_says_nothing(logger: Any) -> None:
    ProgressTracker(2, "Work", logger).finish()

    assert logger.lines == []


def test_exception_passes_through_and_the_last_line_says_where(logger: Any) -> None:
    def train() -> None:
        with progress_context("Work", 10, logger=logger) as progress:
            progress.update(4)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train()

    assert logger.messages[-1].startswith("Work: 4/10 in ")


def test_disable_shows_nothing_anywhere(logger: Any) -> None:
    with TqdmProgressTracker(10, logger=logger, disable=True) as progress:
        progress.update(10)

    assert logger.lines == []


def test_initial_count_is_no_progress_of_this_run(logger: Any) -> None:
    progress = TqdmProgressTracker(10, initial=6, logger=logger)

    assert (progress.completed, progress.rate) == (6, 0)


def test_broken_logger_does_not_reach_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TQDM_DISABLE", "1")

    with ProgressTracker(10, logger=object()) as progress:  # type: ignore[arg-type]
        progress.update(10)

    assert progress.completed == 10


def said(pace: Pace, seconds_per_step: float, steps: int) -> list[tuple[int, float]]:
    """Count *steps* at a constant speed, as the tracker would; return when a line was due: count and time."""
    result: list[tuple[int, float]] = []
    look = 0.0
    for count in range(1, steps + 1):
        if count >= look:
            due, look = pace.look(count, count * seconds_per_step)
            if due:
                result.append((count, round(count * seconds_per_step)))
    return result


def test_line_at_each_tenth_but_the_last() -> None:
    counts = [count for count, _ in said(Pace(1000, 0, 0.0), 0.02, 1000)]

    assert counts == [100, 200, 300, 400, 500, 600, 700, 800, 900]


def test_short_loop_has_no_lines_on_the_way() -> None:
    assert said(Pace(1_000_000, 0, 0.0), 5e-7, 1_000_000) == []


def test_slow_loop_has_a_line_after_half_a_minute_then_rarer() -> None:
    times = [moment for _, moment in said(Pace(None, 0, 0.0), 1.0, 3000)]

    assert times == [30, 90, 210, 450, 930, 1530, 2130, 2730]


def test_million_steps_of_ten_milliseconds_make_at_most_25_lines() -> None:
    assert 9 <= len(said(Pace(1_000_000, 0, 0.0), 0.01, 1_000_000)) <= 25


def test_loop_that_gets_slower_is_not_forgotten() -> None:
    """A first step of no time at all must not put the next look at the clock far away."""
    pace = Pace(10_000, 0, 0.0)
    _, look = pace.look(1, 1e-9)

    assert look <= 2


OFF_TERMINAL = """
import sys
from refunc.logging.bars.loops import ProgressTracker
class Logger:
    def progress(self, message, *, metrics, extra):
        print(message, file=sys.stderr)
with ProgressTracker(1_000_000, "Training", Logger()) as progress:
    for i in range(1_000_000):
        progress.update({"loss": 0.5})
assert "tqdm" not in sys.modules
"""


def test_million_iterations_into_a_pipe_are_a_few_clean_lines() -> None:
    process = subprocess.run([sys.executable, "-c", OFF_TERMINAL], capture_output=True, check=True, timeout=60)

    lines = process.stderr.decode().splitlines()
    assert lines[-1].startswith("Training: 1000000/1000000 in ")
    assert len(lines) <= 25
    assert b"\r" not in process.stderr
    assert b"\x1b" not in process.stderr
