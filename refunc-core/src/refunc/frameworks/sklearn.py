"""scikit-learn: calls that log a fitted estimator, its scores, and a search. Nothing is patched."""

from __future__ import annotations

import csv
from typing import Any

from refunc import frameworks
from refunc.frameworks.packages import imported_for
from refunc.logging import ExperimentTracker, MLLogger, active_run, experiment_context, get_logger, warning

with imported_for(__name__, "scikit-learn>=1.5", "sklearn", "joblib", "numpy"):
    import joblib
    import numpy
    from sklearn.base import is_classifier, is_regressor
    from sklearn.metrics import (
        accuracy_score,
        mean_absolute_error,
        mean_squared_error,
        precision_recall_fscore_support,
        r2_score,
    )

__all__ = ["log_estimator", "log_search"]


def log_estimator(
    estimator: Any,
    X: Any = None,  # noqa: N803  # scikit-learn's name
    y: Any = None,
    *,
    data: str = "test",
    log_model: bool = False,
    tracker: ExperimentTracker | None = None,
) -> dict[str, float]:
    """
    Log an estimator's params, with those of the estimators in it, and scores: `log_estimator(model, X_test, y_test)`.

    The run is the one that is open, else the implicit one. A classifier has `accuracy`, and `precision`, `recall` and
    `f1` as the mean of all classes; a regressor `r2`, `mae` and `rmse`; any other its `score`, as `score`.

    Args:
        X: The data to score it on; without any, only the params are logged.
        data: The name of that data, which stands before each score, as in `test/accuracy`.
        log_model: Keep the estimator as the artifact `model.joblib`.
        tracker: The run to log to, if not the one that is open.

    Returns:
        The scores. If they cannot be computed, one warning says why, and there are none.

    Raises:
        TypeError: It is not an estimator.
    """
    _check(estimator, "get_params")
    run = _run(tracker)
    run.log_params(_params_of(estimator))
    scores: dict[str, float] = {}
    if X is not None:
        try:
            scores = {f"{data}/{name}": float(score) for name, score in _scores(estimator, X, y).items()}
            run.log_result(type(estimator).__name__, scores)
        except Exception as error:  # the estimator may have taken a night, and the script has not saved it yet
            warning("log_estimator: there are no scores on %s: %s", data, error)
    if log_model:
        frameworks.log_model(run, "model.joblib", lambda path: joblib.dump(estimator, path))
    return scores


def log_search(search: Any, *, candidates: int = 10, tracker: ExperimentTracker | None = None) -> None:
    """
    Log a fitted search, such as `GridSearchCV`: `log_search(search)`.

    The run, found as by `log_estimator`, has the params of the search and `best_params`, the result `best_score`, the
    scores and times of each candidate, whose number is the step, and `cv_results_` as the artifact `cv_results.csv`.

    Args:
        candidates: How many of the candidates, from the best on, have a run of their own, a child of the run.

    Raises:
        TypeError: It is not a search, or was not fitted.
    """
    _check(search, "cv_results_")
    run = _run(tracker)
    results = search.cv_results_
    best = {"best_params": search.best_params_} if hasattr(search, "best_params_") else {}
    run.log_params({**_params_of(search), **best})
    _define(run)
    rows = [{name: values[at] for name, values in results.items()} for at in range(len(results["params"]))]
    for at, row in enumerate(rows):
        run.log_metrics(_figures(row), step=at)
    if hasattr(search, "best_score_"):
        run.log_result("search", {"best_score": search.best_score_, "best_index": search.best_index_})
    frameworks.log_model(run, "cv_results.csv", lambda path: _write(path, rows))
    refit = f"rank_test_{search.refit}" if isinstance(search.refit, str) else ""
    rank = refit if refit in results else next(name for name in results if name.startswith("rank_test_"))
    context = run.context if isinstance(run, ExperimentTracker) else run.get_experiment_context()
    store = context.folder.parent if context is not None and context.folder is not None else None
    quiet = MLLogger("refunc.sklearn", "WARNING")
    for at in numpy.argsort(results[rank], kind="stable")[:candidates]:
        experiment = context.experiment_name if context is not None else "sklearn"
        with experiment_context(experiment, f"candidate_{at}", parent=context, log_dir=store, logger=quiet) as child:
            child.log_params(rows[at]["params"])
            _define(child)
            child.log_result("search", _figures(rows[at]))


def _define(run: ExperimentTracker | MLLogger) -> None:
    run.define_metric("mean_*_time", goal="min")
    for scores in ("mean_test_*", "mean_train_*"):
        run.define_metric(scores, goal="max")  # by scikit-learn's convention, also of errors


def _run(tracker: ExperimentTracker | None) -> ExperimentTracker | MLLogger:
    return tracker or active_run() or get_logger()


def _check(value: Any, attribute: str) -> None:
    if isinstance(value, type) or not hasattr(value, attribute):
        wanted = "an estimator" if attribute == "get_params" else "a search that was fitted, such as GridSearchCV"
        raise TypeError(f"{value!r} is not {wanted}.")


def _params_of(value: Any) -> Any:
    """Return the params of an estimator, nested, and *value* itself if it is not one."""
    if hasattr(value, "get_params") and not isinstance(value, type):
        params = value.get_params(deep=False)
        return {"class": type(value).__name__, **{name: _params_of(param) for name, param in params.items()}}
    if isinstance(value, list) and value and all(isinstance(each, tuple) and len(each) > 1 for each in value):
        return {str(name): _params_of(step) for name, step, *_ in value}  # the steps of a pipeline, and the like
    return value


def _scores(estimator: Any, X: Any, y: Any) -> dict[str, Any]:  # noqa: N803
    if is_classifier(estimator):
        found = estimator.predict(X)
        precision, recall, f1, _ = precision_recall_fscore_support(y, found, average="macro", zero_division=0)
        accuracy = accuracy_score(y, found)
        return {"accuracy": accuracy, "precision": precision, "recall": recall, "f1": f1}
    if is_regressor(estimator):
        found = estimator.predict(X)
        error = mean_squared_error(y, found) ** 0.5
        return {"r2": r2_score(y, found), "mae": mean_absolute_error(y, found), "rmse": error}
    return {"score": estimator.score(X, y)}


def _figures(row: dict[str, Any]) -> dict[str, float]:
    """Return the mean and deviation of each score and time; those of single splits are in the file."""
    return {name: float(value) for name, value in row.items() if name.startswith(("mean_", "std_"))}


def _write(path: str, rows: list[dict[str, Any]]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
