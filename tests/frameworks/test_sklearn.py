"""log_estimator and log_search: params of nested estimators as they are, scores, and candidates as runs."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import joblib
import numpy
import pytest
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from tests.frameworks.stored import runs

from refunc.frameworks.sklearn import log_estimator, log_search
from refunc.logging import ExperimentTracker, experiment_context

pytestmark = pytest.mark.usefixtures("clean_process")

_random = numpy.random.default_rng(0)
X = _random.random((80, 3))
Y = (X[:, 0] + 0.4 * _random.random(80) > 0.7).astype(int)


def pipeline() -> Pipeline:
    scaled = ColumnTransformer([("scale", StandardScaler(with_mean=False), [0, 1])], remainder="passthrough")
    return Pipeline([("prepare", scaled), ("classify", LogisticRegression(C=0.5))])


def test_the_params_of_estimators_in_an_estimator_are_nested_and_typed() -> None:
    with experiment_context("study"):
        log_estimator(pipeline())

    params = runs()[0].params
    assert params["class"] == "Pipeline"
    assert params["steps"]["classify"]["C"] == 0.5
    assert params["steps"]["prepare"]["transformers"]["scale"]["with_mean"] is False
    assert params["steps"]["prepare"]["remainder"] == "passthrough"


def test_a_classifier_has_its_scores_and_the_file() -> None:
    model = pipeline().fit(X, Y)
    with experiment_context("study") as tracker:
        scores = log_estimator(model, X, Y, data="train", log_model=True)

    (run,) = runs()
    assert scores == run.results
    assert scores["train/accuracy"] == accuracy_score(Y, model.predict(X))
    assert scores["train/f1"] == f1_score(Y, model.predict(X), average="macro")
    (artifact,) = run.artifacts
    assert (artifact.name, artifact.type) == ("model.joblib", "model")
    assert tracker.folder is not None
    assert (joblib.load(tracker.folder / str(artifact.stored)).predict(X) == model.predict(X)).all()


def test_a_regressor_and_others_have_theirs() -> None:
    ridge = Ridge().fit(X, X[:, 0])
    with experiment_context("study"):
        scores = log_estimator(ridge, X, X[:, 0])
        others = log_estimator(KMeans(2, n_init=1).fit(X), X, data="train")

    assert scores["test/mae"] == mean_absolute_error(X[:, 0], ridge.predict(X))
    assert set(scores) == {"test/r2", "test/mae", "test/rmse"}
    assert set(others) == {"train/score"}


def test_a_score_that_cannot_be_computed_is_one_warning(capsys: pytest.CaptureFixture[str]) -> None:
    with experiment_context("study"):
        assert log_estimator(Ridge(), X, Y) == {}

    assert capsys.readouterr().err.count("there are no scores on test") == 1
    assert runs()[0].params["alpha"] == 1.0


@pytest.mark.parametrize("wrong", [LogisticRegression, "model", None])
def test_what_is_no_estimator_is_told(wrong: Any) -> None:
    with pytest.raises(TypeError, match="not an estimator"):
        log_estimator(wrong)
    with pytest.raises(TypeError, match="not a search that was fitted"):
        log_search(GridSearchCV(Ridge(), {"alpha": [1]}))
    assert not Path("experiments").exists()


def test_a_search_has_its_candidates() -> None:
    search = GridSearchCV(pipeline(), {"classify__C": [0.01, 1.0, 100.0]}, cv=2).fit(X, Y)
    with experiment_context("study") as tracker:
        log_search(search, candidates=2)

    first, *children = runs()
    scores = search.cv_results_["mean_test_score"]
    assert first.params["best_params"] == search.best_params_
    assert first.params["estimator"]["steps"]["classify"]["class"] == "LogisticRegression"
    assert (first.results["best_score"], first.results["best_index"]) == (search.best_score_, search.best_index_)
    assert list(first.metrics("mean_test_score").values) == list(scores)
    assert list(first.metrics("mean_test_score").steps) == [0, 1, 2]
    assert [child.parent_id for child in children] == [tracker.run_id] * 2
    assert [child.results["mean_test_score"] for child in children] == sorted(scores, reverse=True)[:2]
    assert children[0].params == search.best_params_
    (artifact,) = first.artifacts
    assert tracker.folder is not None
    with (tracker.folder / str(artifact.stored)).open(encoding="utf-8") as file:
        assert [float(row["mean_test_score"]) for row in csv.DictReader(file)] == list(scores)


def test_a_search_by_several_scores_ranks_by_the_one_that_it_is_refitted_for() -> None:
    search = RandomizedSearchCV(
        Ridge(), {"alpha": [0.1, 10.0]}, n_iter=2, scoring=["neg_mean_absolute_error", "r2"], refit="r2", cv=2
    ).fit(X, X[:, 0])
    tracker = ExperimentTracker("mine")
    log_search(search, candidates=1, tracker=tracker)
    tracker.end_run()

    first, child = runs()
    assert child.params == search.best_params_
    assert child.parent_id == first.run_id
    assert first.metric_summaries()["mean_test_neg_mean_absolute_error"].goal == "max"


def test_without_a_run_the_implicit_one_is_used() -> None:
    log_estimator(Ridge())

    assert [run.experiment_name for run in runs()] == ["refunc"]
