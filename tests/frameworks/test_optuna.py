"""RefuncObjective: each trial a run, the study a run around them, in threads, pruned, with adapters inside."""

from __future__ import annotations

import gc
import logging
import math
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Barrier
from typing import Any

import optuna
import pytest
import xgboost
from tests.frameworks.boosters import TRAIN, VALID, X, Y

from refunc.frameworks.optuna import RefuncObjective
from refunc.frameworks.xgboost import RefuncCallback
from refunc.logging import MLLogger, experiment_context
from refunc.runs import open_store
from refunc.runs.run import Run

pytestmark = pytest.mark.usefixtures("optuna_logger", "clean_process")


@pytest.fixture
def optuna_logger() -> Iterator[None]:
    """Give Optuna's logger back its handler and level, which `clean_process` takes away."""
    optuna.logging.set_verbosity(optuna.logging.INFO)
    logger = logging.getLogger("optuna")
    handlers = logger.handlers[:]
    yield
    logger.handlers[:] = handlers
    logger.setLevel(logging.INFO)


def runs() -> tuple[Run, list[Run]]:
    """Return the run of the study, and those of its trials in their order."""
    found = list(open_store(Path("experiments")).runs())
    trials = sorted((run for run in found if run.run_name.startswith("trial_")), key=lambda run: run.run_name)
    (study,) = (run for run in found if run not in trials)
    return study, trials


def square(trial: optuna.Trial) -> float:
    x = trial.suggest_float("x", -1, 1)
    trial.suggest_categorical("kind", ["a", "b"])
    for step in range(3):
        trial.report(x**2 + step, step * 10)
        if trial.number == 1 and step == 1:
            raise optuna.TrialPruned
    trial.set_user_attr("team", "vision")
    return x**2


def test_a_trial_of_no_study_has_no_run() -> None:
    objective = RefuncObjective(square)

    assert objective(optuna.trial.FixedTrial({"x": 0.5, "kind": "a"})) == 0.25  # type: ignore[arg-type]
    assert list(open_store().runs()) == []


def test_each_trial_is_a_child_of_the_studys_run() -> None:
    study = optuna.create_study(study_name="search", sampler=optuna.samplers.RandomSampler(0))
    study.optimize(RefuncObjective(square), n_trials=3)
    gc.collect()

    parent, trials = runs()
    assert (parent.experiment_name, parent.run_name, parent.status) == ("search", "search", "completed")
    assert [trial.parent_id for trial in trials] == [parent.run_id] * 3
    assert [trial.status for trial in trials] == ["completed", "pruned", "completed"]
    for trial, run in zip(study.trials, trials, strict=True):
        assert trial.user_attrs["refunc_run"] == run.run_id
        assert run.params == trial.params
        reported = run.metrics("intermediate_value")
        assert dict(zip(reported.steps, reported.values, strict=True)) == trial.intermediate_values
        assert run.results == ({} if run.status == "pruned" else {"value": trial.value})
    assert trials[0].tags == {"team": "vision"}
    assert study.user_attrs["refunc_run"] == parent.run_id
    assert (parent.results["best_value"], parent.results["best_trial"]) == (study.best_value, study.best_trial.number)
    assert list(parent.metrics("value").steps) == [0, 2]
    assert any(entry.message.startswith("Trial 1 pruned") for entry in parent.entries())


def test_trials_in_threads_are_children_and_keep_their_records_apart() -> None:
    logger, together = MLLogger("script"), Barrier(4)

    def objective(trial: optuna.Trial) -> float:
        together.wait()
        trial.suggest_float("x", 0, 1)
        for step in range(5):
            logger.log_metrics({"mine": trial.number}, step=step)
        return float(trial.number)

    study = optuna.create_study(direction="maximize")
    with experiment_context("outer"), experiment_context("study") as around:
        study.optimize(RefuncObjective(objective), n_trials=8, n_jobs=4)

    found = {run.run_id: run for run in open_store(Path("experiments")).runs()}
    trials = [found[trial.user_attrs["refunc_run"]] for trial in study.trials]
    assert len(found) == 10
    assert {run.parent_id for run in trials} == {around.run_id}
    for trial, run in zip(study.trials, trials, strict=True):
        assert run.params == trial.params
        assert list(run.metrics("mine").values) == [trial.number] * 5
    parent = found[str(around.run_id)]
    assert (parent.results["best_value"], parent.results["best_trial"]) == (7.0, 7.0)
    assert sum("finished with value" in entry.message for entry in parent.entries()) == 8


def test_an_adapter_in_the_objective_logs_to_the_trials_run(capsys: pytest.CaptureFixture[str]) -> None:
    def objective(trial: optuna.Trial) -> float:
        params = {
            "eta": trial.suggest_float("learning_rate", 0.1, 0.5),
            "max_depth": trial.suggest_int("max_depth", 1, 3),
        }
        data = [xgboost.DMatrix(X[rows], Y[rows]) for rows in (TRAIN, VALID)]
        history: Any = {}
        xgboost.train(
            {"objective": "binary:logistic", "nthread": 1, **params},
            data[0],
            3,
            evals=[(data[1], "valid")],
            callbacks=[RefuncCallback()],
            evals_result=history,
            verbose_eval=False,
        )
        return float(history["valid"]["logloss"][-1])

    study = optuna.create_study()
    study.optimize(RefuncObjective(objective), n_trials=4, n_jobs=2)

    _, trials = runs()
    for trial, run in zip(study.trials, trials, strict=True):
        assert list(run.metrics("valid/logloss").steps) == [0, 1, 2]
        assert run.params["learning_rate"] == pytest.approx(trial.params["learning_rate"])
        assert (run.params["max_depth"], run.params["objective"]) == (trial.params["max_depth"], "binary:logistic")
    assert "had another value" not in capsys.readouterr().err


def test_several_objectives_have_their_names_and_no_best() -> None:
    study = optuna.create_study(directions=["minimize", "maximize"])
    study.set_metric_names(["loss", "speed"])
    study.optimize(RefuncObjective(lambda trial: (trial.suggest_float("x", 0, 1), 2.0)), n_trials=2)

    parent, trials = runs()
    assert trials[0].results == {"loss": study.trials[0].values[0], "speed": 2.0}
    assert (parent.metric_summaries()["loss"].goal, parent.metric_summaries()["speed"].goal) == ("min", "max")
    assert parent.results == {}


@pytest.mark.parametrize("value", [math.nan, None, (1.0, 2.0), "much"])
def test_a_value_that_optuna_does_not_take_is_a_failed_trial(value: Any) -> None:
    study = optuna.create_study()
    study.optimize(RefuncObjective(lambda trial: value), n_trials=1)
    gc.collect()

    parent, (trial,) = runs()
    assert (study.trials[0].state.name, trial.status, trial.results) == ("FAIL", "failed", {})
    assert parent.status == "completed"


FAULTS = """
import optuna
from refunc.frameworks.optuna import RefuncObjective
def broken(trial):
    trial.suggest_float("x", 0, 1)
    raise ZeroDivisionError
for name, catch in (("caught", (ZeroDivisionError,)), ("raised", ())):
    try:
        optuna.create_study(study_name=name).optimize(RefuncObjective(broken), n_trials=1, catch=catch)
    except ZeroDivisionError:
        pass
"""


def test_a_fault_ends_the_study_unless_optuna_catches_it() -> None:
    subprocess.run([sys.executable, "-c", FAULTS], check=True, cwd=Path.cwd(), capture_output=True)

    found = {(run.experiment_name, run.run_name): run for run in open_store(Path("experiments")).runs()}
    assert {name: run.status for name, run in found.items()} == {
        ("caught", "caught"): "completed",
        ("caught", "trial_0"): "failed",
        ("raised", "raised"): "failed",
        ("raised", "trial_0"): "failed",
    }
    assert set(found["raised", "trial_0"].params) == {"x"}


def test_a_study_of_a_storage_goes_on_in_its_run() -> None:
    for _ in range(2):
        study = optuna.create_study(storage="sqlite:///study.db", study_name="stored", load_if_exists=True)
        study.optimize(RefuncObjective(square, log_dir="experiments"), n_trials=2)
        gc.collect()

    parent, trials = runs()
    assert (parent.attempt, parent.status, len(trials)) == (2, "completed", 4)
    assert parent.results["best_value"] == study.best_value


class CountingStorage(optuna.storages.InMemoryStorage):
    """Counts the trials that are read."""

    read = 0

    def get_all_trials(self, *args: Any, **kwargs: Any) -> Any:
        trials = super().get_all_trials(*args, **kwargs)
        self.read += len(trials)
        return trials

    def get_trial(self, *args: Any) -> Any:
        self.read += 1
        return super().get_trial(*args)


def trials_read(objective: Any, trials: int) -> int:
    storage = CountingStorage()
    study = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(0), study_name=f"of {trials}")
    study.optimize(objective, n_trials=trials)
    return storage.read


def test_the_cost_of_a_trial_does_not_grow_with_the_trials_before_it() -> None:
    few, many = (trials_read(RefuncObjective(square), trials) - trials_read(square, trials) for trials in (5, 40))
    assert 0 < few < 40
    assert (many - few) / 35 == pytest.approx(few / 5, abs=0.5), "each trial reads itself"


def test_another_process_of_a_study_makes_its_trials_children_of_the_same_run() -> None:
    study = optuna.create_study(storage="sqlite:///study.db", study_name="shared")
    first = RefuncObjective(square)
    study.optimize(first, n_trials=1)  # its run is open as long as `first`
    other = optuna.load_study(storage="sqlite:///study.db", study_name="shared")
    other.optimize(pickle.loads(pickle.dumps(first)), n_trials=1)

    parent, trials = runs()
    assert [trial.parent_id for trial in trials] == [parent.run_id] * 2


def test_what_is_no_function_is_told_at_once() -> None:
    with pytest.raises(TypeError, match="not a function of a trial"):
        RefuncObjective(3)  # type: ignore[arg-type]


def test_the_console_has_no_lines_of_trials(capsys: pytest.CaptureFixture[str]) -> None:
    study = optuna.create_study(direction="maximize")
    study.optimize(RefuncObjective(lambda trial: -trial.number), n_trials=5)

    said = capsys.readouterr().err
    assert "trial_" not in said
    assert said.count("RESULT") == 1
