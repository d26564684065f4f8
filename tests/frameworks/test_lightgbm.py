"""LightGBM's own: cross-validation, the scikit-learn interface, training that goes on, its log lines."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import lightgbm
import lightgbm.basic
import pytest
from tests.frameworks.boosters import TRAIN, VALID, X, Y
from tests.frameworks.stored import runs

from refunc.frameworks.lightgbm import RefuncCallback, register_logger
from refunc.logging import experiment_context

pytestmark = pytest.mark.usefixtures("clean_process")

PARAMS: dict[str, Any] = {"objective": "binary", "metric": ["auc", "binary_logloss"], "verbose": -1, "num_threads": 1}


def test_cv_has_means_and_deviations() -> None:
    table = lightgbm.cv(
        PARAMS,
        lightgbm.Dataset(X, Y),
        60,
        nfold=3,
        callbacks=[RefuncCallback(), lightgbm.early_stopping(2, verbose=False)],
    )

    (run,) = runs()
    best = int(run.results["best_iteration"])
    assert run.status == "completed"
    assert best == len(table["valid auc-mean"])
    assert list(run.metrics("valid/auc/mean").values)[:best] == pytest.approx(table["valid auc-mean"])
    assert run.results["best/valid/auc/std"] == pytest.approx(table["valid auc-stdv"][-1])


def test_lightgbm_says_which_way_is_better() -> None:
    model = lightgbm.LGBMRegressor(n_estimators=2, n_jobs=1, verbose=-1)
    model.fit(X[TRAIN], Y[TRAIN], eval_set=[(X[VALID], Y[VALID])], callbacks=[RefuncCallback()])

    (run,) = runs()
    assert run.status == "completed"
    assert run.metric_summaries()["valid_0/l2"].goal == "min"
    assert run.params["num_iterations"] == 2


def test_without_data_to_evaluate_on_there_are_params_and_an_end() -> None:
    lightgbm.train(PARAMS, lightgbm.Dataset(X, Y), 3, callbacks=[RefuncCallback()])

    (run,) = runs()
    assert (run.status, run.params["metric"], run.summary.metrics) == ("completed", ["auc", "binary_logloss"], {})


def test_a_model_that_is_trained_on_goes_on_in_its_steps_and_its_run() -> None:
    def train(rounds: int, callback: RefuncCallback, model: Any = None) -> Any:
        data = lightgbm.Dataset(X[TRAIN], Y[TRAIN], free_raw_data=False)
        valid = lightgbm.Dataset(X[VALID], Y[VALID], reference=data, free_raw_data=False)
        return lightgbm.train(PARAMS, data, rounds, valid_sets=[valid], callbacks=[callback], init_model=model)

    first = train(6, RefuncCallback("boosting", "mine"))
    checkpoint = lightgbm.Booster(model_str=first.model_to_string(num_iteration=4))
    train(3, RefuncCallback("boosting", "mine", resume=True), checkpoint)

    (run,) = runs()
    assert (run.attempt, run.status) == (2, "completed")
    assert list(run.metrics("valid_0/auc").steps) == [0, 1, 2, 3, 4, 5, 6]


def test_a_training_that_raised_has_no_best_iteration() -> None:
    def raises(env: Any) -> None:
        assert env.iteration < 1

    raises.order = 40  # type: ignore[attr-defined]
    with experiment_context("study") as tracker:
        with pytest.raises(AssertionError):
            lightgbm.train(PARAMS, lightgbm.Dataset(X, Y), 3, callbacks=[RefuncCallback(), raises])
        gc.collect()

    assert tracker.params["num_iterations"] == 3
    assert "best_iteration" not in runs()[0].results


@pytest.fixture
def lightgbm_logger() -> Iterator[None]:
    before = lightgbm.basic._LOGGER
    yield
    lightgbm.register_logger(before)


@pytest.mark.usefixtures("lightgbm_logger")
def test_its_lines_are_in_the_run_at_their_levels(capfd: pytest.CaptureFixture[str]) -> None:
    register_logger()
    params = {**PARAMS, "verbose": 1, "min_data_in_leaf": 1000}
    with experiment_context("study"):
        lightgbm.train(params, lightgbm.Dataset(X, Y), 2, callbacks=[RefuncCallback()])

    lines = [(entry.level, entry.message) for entry in runs()[0].entries() if entry.level in ("INFO", "WARNING")]
    assert ("INFO", "Number of positive: 184, number of negative: 116") in lines
    assert any(level == "WARNING" and "no more leaves" in message for level, message in lines)
    assert not any("[LightGBM]" in message for _, message in lines)
    out, err = capfd.readouterr()
    assert (out, err.count("Number of positive")) == ("", 1)
