"""The callbacks of XGBoost, LightGBM and CatBoost: their records, and the end of a run, are the same."""

from __future__ import annotations

import copy
import gc
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from tests.frameworks.boosters import BOOSTERS, Mistake, best_iteration
from tests.frameworks.stored import runs

from refunc.logging import ExperimentTracker, MLLogger, experiment_context

pytestmark = [
    pytest.mark.usefixtures("clean_process"),
    pytest.mark.parametrize("name", list(BOOSTERS)),
]


@pytest.fixture
def train(name: str) -> Callable[..., Any]:
    return BOOSTERS[name][0]


@pytest.fixture
def make(name: str) -> Callable[..., Any]:
    return BOOSTERS[name][1]


def test_a_training_is_a_run_of_its_own(name: str, train: Any, make: Any) -> None:
    train(make())

    (run,) = runs()
    metric = run.metrics(BOOSTERS[name][2])
    assert (run.experiment_name, run.status) == (name, "completed")
    assert list(metric.steps) == [0, 1, 2, 3]
    assert list(metric.values) == sorted(metric.values, reverse=True)
    assert run.params["learning_rate"] == 0.3
    summary = run.metric_summaries()[BOOSTERS[name][2]]
    assert (summary.goal or summary.guessed_goal) == "min"


def test_the_best_iteration_is_a_result_after_early_stopping(name: str, train: Any, make: Any) -> None:
    model = train(make(log_model=True), rounds=60, stop=2)

    (run,) = runs()
    metric = run.metrics(BOOSTERS[name][2])
    best = run.results["best_iteration"]
    assert run.status == "completed"
    assert len(metric.values) < 60
    assert best == best_iteration(model)
    assert run.results[f"best/{BOOSTERS[name][2]}"] == min(metric.values)
    assert run.metric_summaries()["best_iteration"].last_step == list(metric.values).index(min(metric.values))
    assert [(each.name, each.type) for each in run.artifacts] == [(BOOSTERS[name][3], "model")]


def test_in_a_block_the_training_is_a_part_of_its_run(name: str, train: Any, make: Any) -> None:
    with experiment_context("study") as run:
        train(make(prefix="first/"), rounds=60, stop=2)
        train(make(prefix="second/"))
        assert run.status == "running"

    (run_,) = runs()
    assert run_.status == "completed"
    assert list(run_.metrics(f"second/{BOOSTERS[name][2]}").steps) == [0, 1, 2, 3]
    assert run_.results["best_iteration"] > 0
    late = [entry.message for entry in run_.entries() if "has ended" in entry.message]
    assert late == []


def test_one_callback_may_be_used_for_several_trainings(train: Any, make: Any) -> None:
    callback = make()
    train(callback)
    with pytest.raises(Exception, match=r"Mistake|^$"):
        train(callback, fault=Mistake)
    gc.collect()
    train(callback)

    assert [run.status for run in runs()] == ["completed", "failed", "completed"]


def test_a_training_that_raised_has_failed_as_soon_as_its_exception_is_gone(name: str, train: Any, make: Any) -> None:
    with pytest.raises(Exception, match=r"Mistake|^$"):
        train(make(), fault=Mistake)
    gc.collect()

    # CatBoost keeps the exception: its run has failed with the next training, or with the process.
    assert [run.status for run in runs()] == ["running" if name == "catboost" else "failed"]


def test_a_callback_is_pickled_and_copied_before_and_after(train: Any, make: Any) -> None:
    callback = make("pickled", prefix="a/")
    train(pickle.loads(pickle.dumps(callback)))
    train(copy.deepcopy(callback))
    train(callback)
    train(pickle.loads(pickle.dumps(callback)))
    train(copy.deepcopy(callback))

    assert [(run.experiment_name, run.status) for run in runs()] == [("pickled", "completed")] * 5


def test_trainings_in_threads_have_runs_of_their_own(name: str, train: Any, make: Any) -> None:
    together = Barrier(3)

    def run_one(_: int) -> None:
        together.wait()
        train(make())

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(run_one, range(3)))

    assert [len(run.metrics(BOOSTERS[name][2]).values) for run in runs()] == [4, 4, 4]
    assert [run.status for run in runs()] == ["completed"] * 3


def test_a_given_tracker_is_used_and_stays_open(name: str, train: Any, make: Any) -> None:
    tracker = ExperimentTracker("mine")
    with experiment_context("around"):
        train(make(tracker=tracker))
    assert tracker.status == "running"
    tracker.end_run()

    by_name = {run.experiment_name: run for run in runs()}
    assert list(by_name["mine"].metrics(BOOSTERS[name][2]).steps) == [0, 1, 2, 3]
    assert by_name["around"].summary.metrics == {}


def test_what_is_no_tracker_is_told_at_once(make: Any) -> None:
    with pytest.raises(TypeError, match="not an ExperimentTracker"):
        make(tracker=MLLogger("mine"))


def test_a_model_that_cannot_be_written_is_one_warning(
    train: Any, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))

    assert train(make(log_model=True)) is not None
    assert capsys.readouterr().err.count("the model is not in the run") == 1
    assert [run.status for run in runs()] == ["completed"]


def test_a_store_that_cannot_be_written_does_not_reach_the_training(train: Any, make: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert train(make("x", None, tmp_path / "file/store", log_model=True)) is not None


def test_disabled_nothing_is_written(train: Any, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFUNC_MODE", "disabled")
    train(make(), rounds=60, stop=2)

    assert not Path("experiments").exists()
