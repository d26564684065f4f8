"""CatBoost's own: iterations counted from 0, metrics of some iterations only, snapshots, failures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import catboost
import pytest
from tests.frameworks.boosters import TRAIN, VALID, Mistake, X, Y
from tests.frameworks.stored import runs

from refunc.frameworks.catboost import RefuncCallback

pytestmark = pytest.mark.usefixtures("clean_process")


def model(**params: Any) -> Any:
    return catboost.CatBoostClassifier(
        **{"iterations": 7, "depth": 2, "thread_count": 1, "verbose": False, "allow_writing_files": False, **params}
    )


def test_the_iterations_of_catboost_are_counted_from_0_and_metrics_come_at_theirs() -> None:
    fitted = model(metric_period=3, eval_metric="AUC")
    fitted.fit(X[TRAIN], Y[TRAIN], eval_set=(X[VALID], Y[VALID]), callbacks=[RefuncCallback()])

    (run,) = runs()
    auc = run.metrics("validation/AUC")
    assert (list(auc.steps), list(auc.values)) == ([0, 3, 6], fitted.get_evals_result()["validation"]["AUC"])
    assert run.results["best/validation/AUC"] == fitted.get_best_score()["validation"]["AUC"]
    assert run.params == {
        "iterations": 7,
        "depth": 2,
        "thread_count": 1,
        "verbose": False,
        "allow_writing_files": False,
        "metric_period": 3,
        "eval_metric": "AUC",
    }


class Stop:
    def after_iteration(self, info: Any) -> bool:
        return bool(info.iteration < 4)


@pytest.mark.parametrize("order", [1, -1])
def test_a_training_that_a_callback_stops_is_completed_with_its_last_iteration(order: int) -> None:
    model().fit(X, Y, callbacks=[RefuncCallback(), Stop()][::order])

    (run,) = runs()
    assert (run.status, list(run.metrics("learn/Logloss").steps)) == ("completed", [0, 1, 2, 3])


def test_a_snapshot_goes_on_at_its_iteration_and_in_its_run() -> None:
    options = {"save_snapshot": True, "snapshot_file": "snapshot", "snapshot_interval": 0}
    paths = {"train_dir": "info", "allow_writing_files": True}
    model(**paths).fit(X, Y, callbacks=[RefuncCallback("boosting", "mine"), Stop()], **options)
    model(**paths).fit(X, Y, callbacks=[RefuncCallback("boosting", "mine", resume=True)], **options)

    (run,) = runs()
    assert (run.attempt, run.status) == (2, "completed")
    assert list(run.metrics("learn/Logloss").steps) == [0, 1, 2, 3, 4, 5, 6]


def test_a_fit_that_raises_is_not_taken_for_the_one_before() -> None:
    class Fault:
        def after_iteration(self, info: Any) -> bool:
            if info.iteration == 3:
                raise Mistake
            return True

    callback, fitted = RefuncCallback(), model()
    fitted.fit(X, Y, callbacks=[callback])
    with pytest.raises(catboost.CatBoostError):
        fitted.fit(X, Y, callbacks=[callback, Fault()])
    fitted.fit(X, Y, callbacks=[callback])

    assert [run.status for run in runs()] == ["completed", "failed", "completed"]


def test_a_training_that_raised_has_failed_with_a_process_that_goes_on_to_its_end() -> None:
    script = """
import catboost
from refunc.frameworks.catboost import RefuncCallback
class Fault:
    def after_iteration(self, info):
        raise ValueError
try:
    catboost.CatBoostClassifier(iterations=3, verbose=False, allow_writing_files=False).fit(
        [[0], [1]], [0, 1], callbacks=[RefuncCallback(), Fault()]
    )
except catboost.CatBoostError:
    pass
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path.cwd())

    assert [run.status for run in runs()] == ["failed"]


@pytest.mark.parametrize("verbose", [True, False])
def test_metrics_are_shown_once(verbose: bool, capfd: pytest.CaptureFixture[str]) -> None:
    model(verbose=verbose).fit(X, Y, callbacks=[RefuncCallback()])

    out, err = capfd.readouterr()
    assert (out.count("learn:"), err.count("learn/Logloss=")) == ((7, 0) if verbose else (0, 7))
