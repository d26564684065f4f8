"""One run for one integration, without threads: windows, from the start to the end."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from refunc.delivery.custody import load_cursor
from refunc.delivery.waiting import health_at, is_done_at
from refunc.journal import kinds
from refunc.journal.encoded import MetricsRow
from refunc.logging.active.opening import new_run
from refunc.logging.active.run import ActiveRun
from refunc.plugins import Retry


def test_a_run_is_delivered_from_start_to_end(logged: Callable[..., ActiveRun], fake: Any) -> None:
    run = logged()
    run.put_through("params", {"params": {"lr": 0.1}})
    logged(*range(5), run=run)
    subscription = fake.subscribe(run)
    fake.deliver(subscription)
    assert not subscription.is_done
    run.end("failed", error="Traceback…")

    fake.deliver(subscription)

    assert fake.hooks() == ["start", "params", "metrics", "log", "end"]
    assert fake.metrics == [0, 1, 2, 3, 4]
    start, end = fake.calls[0][1], fake.calls[-1][1]
    assert (start.run_name, start.params) == ("made", {"lr": 0.1})
    assert (end.status, end.error) == ("failed", "Traceback…")
    assert subscription.is_done
    assert health_at(subscription.cursor).waiting == 0


def test_names_with_half_a_character_reach_hooks_as_text(own_folder: Path, fake: Any) -> None:
    run = new_run(experiment="lab\udce9", run_name="caf\udce9", store=own_folder / "experiments", logger="train")
    run.end("completed")

    fake.deliver(fake.subscribe(run))

    given = fake.calls[0][1]
    assert (given.experiment_name, given.run_name, given.name) == ("lab\\udce9", "caf\\udce9", "caf\\udce9")


def test_a_window_has_a_thousand_records_at_most(logged: Callable[..., ActiveRun], fake: Any) -> None:
    run = logged(*range(2500))

    fake.deliver(fake.subscribe(run))

    assert fake.metrics == list(range(2500))
    assert [len(what) for hook, what in fake.calls if hook == "metrics"] == [999, 1000, 501]


def test_an_epoch_alone_is_the_step_and_progress_lines_are_no_points(
    logged: Callable[..., ActiveRun], fake: Any
) -> None:
    run = logged()
    run.writer.append(MetricsRow(0, time.time(), kinds.METRICS, epoch=3, metrics={"n": 1}))
    run.put("log", {"level": "PROGRESS", "message": "half", "metrics": {"n": 2}})
    run.put("log", {"level": "RESULT", "message": "best", "metrics": {"n": 3}})
    run.writer.flush()

    fake.deliver(fake.subscribe(run))

    [records] = [what for hook, what in fake.calls if hook == "metrics"]
    assert [(record.metrics["n"], record.step) for record in records] == [(1, 3), (3, None)]


def test_a_run_whose_process_is_gone_ends_as_crashed(logged: Callable[..., ActiveRun], fake: Any) -> None:
    run = logged(0)
    subscription = fake.subscribe(run)
    fake.deliver(subscription)
    assert "end" not in fake.hooks()
    run.writer.release()  # as the kernel does when the process dies

    fake.deliver(subscription)

    assert fake.calls[-1][0] == "end"
    assert fake.calls[-1][1].status == "crashed"
    assert subscription.is_done


def test_what_comes_behind_an_end_that_was_told_brings_no_other_end(
    logged: Callable[..., ActiveRun], fake: Any
) -> None:
    """A child of the training may log on, and its parent is gone by then."""
    run = logged()
    run.end("completed")
    subscription = fake.subscribe(run)
    fake.deliver(subscription, "at-most-once")
    logged(7, run=run)

    fake.deliver(subscription, "at-most-once")

    assert fake.metrics == [7]
    assert [what.status for hook, what in fake.calls if hook == "end"] == ["completed"]
    assert is_done_at(load_cursor(run.folder, fake.KEY, "fake"))


def test_records_behind_the_end_are_delivered_and_the_end_once(logged: Callable[..., ActiveRun], fake: Any) -> None:
    run = logged()
    subscription = fake.subscribe(run)
    run.end("completed")
    fake.deliver(subscription)
    assert subscription.is_done
    logged(7, run=run)

    assert not subscription.is_done
    fake.deliver(subscription)

    assert fake.metrics == [7]
    assert fake.hooks().count("end") == 1


def test_an_end_that_was_not_taken_is_left_to_be_told(logged: Callable[..., ActiveRun], fake: Any) -> None:
    run = logged(0)
    run.end("completed")
    fake.fails = lambda hook, what: Retry("busy", after=60.0) if hook == "end" else None
    fake.deliver(fake.subscribe(run), "at-most-once")
    assert not is_done_at(load_cursor(run.folder, fake.KEY, "fake"))
    fake.fails = lambda hook, what: None

    fake.deliver(fake.subscribe(run), "at-most-once")  # the lock is free although the first one waits

    assert fake.hooks().count("end") == 2
    assert is_done_at(load_cursor(run.folder, fake.KEY, "fake"))


def test_a_folder_that_is_removed_ends_its_delivery(logged: Callable[..., ActiveRun], fake: Any) -> None:
    run = logged(0)
    subscription = fake.subscribe(run)
    fake.deliver(subscription)
    run.end("completed")
    shutil.rmtree(run.folder)

    fake.deliver(subscription)

    assert subscription.is_done
    assert not Path(run.folder).exists()
