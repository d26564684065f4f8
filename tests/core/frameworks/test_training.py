"""The run of a training: the one around it, or one of its own, with its end."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest

from refunc.frameworks import Training
from refunc.logging import ExperimentTracker, MLLogger, active_run, experiment_context
from refunc.runs import open_store


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REFUNC_DIR", str(tmp_path / "experiments"))
    return tmp_path / "experiments"


def statuses(store: Path) -> dict[str, str]:
    return {run.experiment_name: run.status for run in open_store(store).runs()}


def test_it_opens_a_run_and_ends_it(store: Path) -> None:
    training = Training("boosting")
    training.begin().log_metrics({"loss": 0.5}, step=1)
    assert statuses(store) == {"boosting": "running"}
    training.end()
    assert statuses(store) == {"boosting": "completed"}


def test_it_is_a_part_of_the_run_around_it_and_does_not_end_it(store: Path) -> None:
    training = Training("boosting")
    with experiment_context("outer") as run:
        assert training.begin().run_id == run.run_id
        training.end("failed")
        assert run.status == "running"
    assert statuses(store) == {"outer": "completed"}


def test_a_run_that_a_logger_started_is_around_it_too(store: Path) -> None:
    logger = MLLogger("train")
    logger.start_experiment("outer")
    assert Training("boosting").begin().run_id == logger.get_experiment_context().run_id
    logger.end_experiment()


def test_a_given_tracker_comes_before_all_and_stays_open(store: Path) -> None:
    tracker = ExperimentTracker("mine")
    training = Training("boosting", tracker=tracker)
    with experiment_context("outer"):
        training.begin().log_metrics({"loss": 1.0})
    training.end()
    assert tracker.status == "running"
    tracker.end_run()


def test_a_training_that_raised_is_failed_when_the_next_begins(store: Path) -> None:
    training = Training("boosting")
    first = training.begin()
    second = training.begin()
    training.end()
    assert (first.status, second.status) == ("failed", "completed")
    assert first.run_id != second.run_id


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda training: pickle.loads(pickle.dumps(training))])
def test_a_copy_logs_to_the_same_run(store: Path, copied: object) -> None:
    training = Training("boosting")
    tracker = training.begin()
    assert copied(training).tracker.run_id == tracker.run_id  # type: ignore[operator]
    training.end()


def test_active_run_opens_nothing(store: Path) -> None:
    assert active_run() is None
    assert not store.exists()
    with experiment_context("outer") as run:
        inner = active_run()
        assert inner is not None
        assert inner.run_id == run.run_id
        inner.log_metrics({"loss": 1.0}, step=3)
    assert active_run() is None
    assert list(open_store(store)[run.run_id].metrics("loss").steps) == [3]
