"""Ray on one machine: tasks and actors find the run of their driver; Tune's trials and Train's reports are in runs."""

from __future__ import annotations

import os
import pickle
import runpy
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray import cloudpickle, tune
from tests.frameworks.stored import EXAMPLES, error_of

from refunc.frameworks.ray import RefuncLoggerCallback, RefuncTrainCallback
from refunc.logging import ExperimentTracker, MLLogger, experiment_context
from refunc.runs import Run, open_store

logger = MLLogger("fit", level="WARNING")


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One cluster for the file: it takes seconds to start. It starts before any run, and in a folder of its own."""
    folder = tmp_path_factory.mktemp("driver")
    before = os.getcwd()
    os.chdir(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "500")
        patch.delenv("REFUNC_DIR", raising=False)
        cloudpickle.register_pickle_by_value(sys.modules[__name__])  # as a script's functions are
        ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
        yield folder
        ray.shutdown()
    os.chdir(before)


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a store, which the processes of the cluster do not know of."""
    monkeypatch.setenv("REFUNC_DIR", str(tmp_path / "experiments"))
    return tmp_path / "experiments"


@ray.remote
def task(number: int) -> int:
    logger.log_metrics({"task": float(number)}, step=number)
    logger.warning("task %d", number)
    return os.getpid()


@ray.remote
def trial_of_a_task() -> None:
    with experiment_context("search", logger=logger) as run:
        run.log_metrics({"inner": 1.0})


@ray.remote
class Actor:
    def __init__(self, tracker: ExperimentTracker) -> None:
        self.tracker = tracker

    def log(self, number: int) -> None:
        self.tracker.log_metrics({"actor": float(number)}, step=number)


def runs(store: Path, experiment: str) -> list[Run]:
    return [run for run in open_store(store) if run.experiment_name == experiment]


def test_tasks_and_actors_log_to_the_run_that_the_driver_has_open(store: Path, cluster: Path) -> None:
    run_ids = []
    for name in ("first", "second"):  # the workers are the same processes
        with experiment_context("tasks", name, logger=logger) as run:
            pids = set(ray.get([task.remote(number) for number in range(10)]))
            actor = Actor.remote(run)
            ray.get([actor.log.remote(number) for number in range(3)])
            ray.get(trial_of_a_task.remote())
            run_ids.append(run.run_id)

    assert os.getpid() not in pids
    for run in runs(store, "tasks"):
        assert sorted(run.metrics("task").values) == [float(number) for number in range(10)]
        assert sorted(run.metrics("actor").values) == [0.0, 1.0, 2.0]
        assert len([entry for entry in run.entries() if entry.message.startswith("task ")]) == 10
        assert run.status == "completed"
    opened = list(open_store(cluster / "experiments"))
    assert [run.parent_id for run in opened] == run_ids, "the runs that tasks opened, and no others"


def fit(config: dict[str, Any]) -> None:
    for step in range(3):
        tune.report({"loss": config["rate"] / (step + 1), "nested": {"accuracy": 0.5}})
    if config["rate"] > 1:
        raise ValueError("the rate is too large")


def tuner(store: Path, *callbacks: tune.Callback, rates: list[float]) -> tune.Tuner:
    config = tune.RunConfig("mine", storage_path=str(store.parent / "ray"), verbose=0, callbacks=[*callbacks])
    return tune.Tuner(fit, param_space={"rate": tune.grid_search(rates)}, run_config=config)


def test_each_trial_is_a_run_within_the_search_and_goes_on_when_it_is_restored(store: Path) -> None:
    callback = RefuncLoggerCallback(tags={"team": "vision"})
    assert pickle.loads(pickle.dumps(callback)).get_state() == {}
    tuner(store, callback, rates=[0.5, 2.0]).fit()

    search, *trials = runs(store, "mine")
    good, bad = sorted(trials, key=lambda run: run.summary.params["rate"])
    assert (search.status, good.status, bad.status) == ("completed", "completed", "failed")
    assert {good.parent_id, bad.parent_id} == {search.run_id}
    assert list(good.metrics("loss").steps) == [1, 2, 3]
    assert sorted(good.summary.metrics) == ["loss", "nested/accuracy"]
    assert good.summary.tags["team"] == "vision"
    assert "the rate is too large" in error_of(bad)

    restored = tune.Tuner.restore(str(store.parent / "ray" / "mine"), fit, resume_errored=True)
    restored.fit()
    again = {run.run_id: run for run in runs(store, "mine")}
    assert sorted(again) == sorted(run.run_id for run in (search, good, bad))
    assert (again[search.run_id].attempt, again[good.run_id].attempt, again[bad.run_id].attempt) == (2, 1, 2)


class CtrlC(tune.Callback):
    def on_trial_result(self, **info: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)


def fit_slowly(config: dict[str, Any]) -> None:
    fit(config)
    time.sleep(600)


def test_a_search_that_is_interrupted(store: Path) -> None:
    tune.Tuner(
        fit_slowly,
        param_space={"rate": 0.1},
        run_config=tune.RunConfig(
            "stopped", storage_path=str(store.parent / "ray"), verbose=0, callbacks=[RefuncLoggerCallback(), CtrlC()]
        ),
    ).fit()
    assert [run.status for run in open_store(store)] == ["interrupted", "interrupted"]


def test_the_example_in_a_block(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that has no run of its own, and the reports and lines of two workers of Train."""
    monkeypatch.chdir(tmp_path)
    with experiment_context("outer", logger=logger) as outer:
        runpy.run_path(str(EXAMPLES / "train_ray.py"), run_name="example")["search_and_train"]()
        assert outer.status == "running"

    _, *trials, training = open_store(store)
    assert [run.status for run in (*trials, training)] == ["completed"] * 3
    assert {run.parent_id for run in (*trials, training)} == {outer.run_id}
    assert training.summary.params == {"rate": 0.3}
    assert [len(training.metrics(name)) for name in ("loss", "rank_1/loss")] == [3, 3]
    assert {"worker 0 begins", "worker 1 begins"} <= {entry.message for entry in training.entries()}


def test_the_callback_of_train_opens_a_run_if_there_is_none(store: Path) -> None:
    callback = RefuncTrainCallback("vision", all_ranks=False)
    copied = pickle.loads(pickle.dumps(callback))
    copied.after_report(SimpleNamespace(train_loop_config={"rate": 0.5}), [{"loss": 1.0, "step": 7}, None], None)
    copied.after_exception(None, {1: ValueError("no data")})
    RefuncTrainCallback("vision").tracker.end_run()

    first, second = open_store(store)
    assert (first.status, second.status) == ("completed", "completed"), "the next training ends it"
    assert (list(first.metrics("loss").steps), first.summary.params) == ([7], {"rate": 0.5})
    assert [entry.message for entry in first.entries() if entry.level == "ERROR"] == ["rank 1: no data"]
