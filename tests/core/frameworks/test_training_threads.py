"""Trainings of several threads: the run that one of them opened is around none of the others, up to its very end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from refunc.frameworks import training as training_module
from refunc.frameworks.training import Training, run_around
from refunc.logging import ExperimentTracker, active_run, experiment_context

pytestmark = pytest.mark.usefixtures("own_folder")


def test_a_run_that_is_just_ending_is_around_no_other_training(monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training("one")
    training.begin()
    seen: list[Any] = []
    end_run = ExperimentTracker.end_run

    def end(tracker: ExperimentTracker, *given: Any, **options: Any) -> None:
        with ThreadPoolExecutor(1) as pool:
            seen.append(pool.submit(run_around).result())
        end_run(tracker, *given, **options)

    monkeypatch.setattr(ExperimentTracker, "end_run", end)
    training.end("completed")

    assert seen == [None]


def test_a_run_that_ends_while_another_training_looks_for_its_own_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training("one")
    training.begin()

    def look() -> ExperimentTracker | None:
        found = active_run()
        training.end("completed")
        return found

    monkeypatch.setattr(training_module, "active_run", look)

    assert run_around() is None


def test_a_run_that_goes_on_after_its_training_is_around_the_next_one() -> None:
    training = Training("one")
    run_id = training.begin().run_id
    training.tracker.end_run()

    with experiment_context("one", resume=run_id) as run:
        around = run_around()
        assert around is not None
        assert (around.run_id, around.status) == (run.run_id, "running")
