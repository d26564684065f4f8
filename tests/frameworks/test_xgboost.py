"""XGBoost's own: cross-validation, the scikit-learn interface, training that goes on, other callbacks."""

from __future__ import annotations

import pickle
from typing import Any

import numpy
import pytest
import xgboost
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from tests.frameworks.boosters import TRAIN, VALID, X, Y, train_xgboost
from tests.frameworks.stored import runs

from refunc.frameworks.xgboost import RefuncCallback
from refunc.logging import experiment_context

pytestmark = pytest.mark.usefixtures("clean_process")

PARAMS = {"objective": "binary:logistic", "eta": 0.3, "alpha": 0.5, "eval_metric": ["auc", "logloss"], "nthread": 1}


def test_params_are_those_that_xgboost_trains_with_as_numbers() -> None:
    train_xgboost(RefuncCallback())

    (run,) = runs()
    assert run.params["objective"] == "binary:logistic"
    assert (run.params["learning_rate"], run.params["max_depth"], run.params["n_jobs"]) == (0.3, 2, 1)
    assert {"eta", "rng_state"}.isdisjoint(run.params)
    assert run.params["tree_method"] == "auto"


@pytest.mark.parametrize(("booster", "own"), [("gblinear", "feature_selector"), ("dart", "rate_drop")])
def test_params_of_other_boosters(booster: str, own: str) -> None:
    xgboost.train({**PARAMS, "booster": booster}, xgboost.DMatrix(X, Y), 2, callbacks=[RefuncCallback()])

    (run,) = runs()
    assert {own, "learning_rate", "reg_alpha", "objective"} <= set(run.params)


def test_cv_has_means_and_deviations() -> None:
    table = xgboost.cv(
        PARAMS, xgboost.DMatrix(X, Y), 60, nfold=3, early_stopping_rounds=2, callbacks=[RefuncCallback()]
    )

    (run,) = runs()
    mean = run.metrics("test/auc/mean")
    best = int(run.results["best_iteration"])
    assert run.status == "completed"
    assert list(mean.values)[: best + 1] == pytest.approx(table["test-auc-mean"])
    assert list(run.metrics("test/auc/std").values)[: best + 1] == pytest.approx(table["test-auc-std"])
    assert run.results["best/test/logloss/mean"] == min(run.metrics("test/logloss/mean").values)
    assert (run.metric_summaries()["test/auc/std"].goal, run.metric_summaries()["test/auc/std"].guessed_goal) == (
        None,
        None,
    )


def test_a_fitted_classifier_is_pickled_cloned_and_searched() -> None:
    model = xgboost.XGBClassifier(n_estimators=2, n_jobs=1, callbacks=[RefuncCallback("fits")])
    model.fit(X[TRAIN], Y[TRAIN], eval_set=[(X[VALID], Y[VALID])], verbose=False)
    again = pickle.loads(pickle.dumps(model))

    assert (again.predict(X) == model.predict(X)).all()
    search = GridSearchCV(clone(model), {"max_depth": [1, 2]}, cv=2).fit(X, Y)
    assert pickle.loads(pickle.dumps(search)).best_params_ == search.best_params_
    assert [run.status for run in runs()] == ["completed"] * 6
    assert list(runs()[0].metrics("validation_0/logloss").steps) == [0, 1]


def test_a_model_that_is_trained_on_goes_on_in_its_steps_and_its_run() -> None:
    data = xgboost.DMatrix(X, Y)
    first = xgboost.train(PARAMS, data, 6, evals=[(data, "train")], callbacks=[RefuncCallback("boosting", "mine")])
    checkpoint = first[:4]
    xgboost.train(
        PARAMS,
        data,
        3,
        evals=[(data, "train")],
        xgb_model=checkpoint,
        callbacks=[RefuncCallback("boosting", "mine", resume=True)],
    )

    (run,) = runs()
    assert (run.attempt, run.status) == (2, "completed")
    assert list(run.metrics("train/auc").steps) == [0, 1, 2, 3, 4, 5, 6]
    assert len(run.metrics("train/auc", attempts="all").steps) == 9


class Stop(xgboost.callback.TrainingCallback):
    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        return epoch == 2


def test_the_last_round_is_there_if_a_callback_before_stops_the_training() -> None:
    data = xgboost.DMatrix(X, Y)
    xgboost.train(PARAMS, data, 9, evals=[(data, "train")], callbacks=[Stop(), RefuncCallback()])

    assert list(runs()[0].metrics("train/auc").steps) == [0, 1, 2]


@pytest.mark.parametrize("verbose", [True, False])
def test_metrics_are_shown_once(verbose: bool, capsys: pytest.CaptureFixture[str]) -> None:
    data = xgboost.DMatrix(X, Y)
    with experiment_context("study"):
        xgboost.train(PARAMS, data, 3, evals=[(data, "train")], callbacks=[RefuncCallback()], verbose_eval=verbose)

    out, err = capsys.readouterr()
    assert (out.count("train-auc"), err.count("train/auc=")) == ((3, 0) if verbose else (0, 3))


def test_nothing_that_xgboost_has_is_changed() -> None:
    history: dict[str, Any] = {}
    data = xgboost.DMatrix(X, Y)
    params = dict(PARAMS)
    plain = xgboost.train(params, data, 3, verbose_eval=False)
    logged = xgboost.train(
        params, data, 3, evals=[(data, "train")], callbacks=[RefuncCallback()], evals_result=history, verbose_eval=False
    )

    assert params == PARAMS
    assert numpy.array_equal(plain.predict(data), logged.predict(data))
    assert len(history["train"]["auc"]) == 3
