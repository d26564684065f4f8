"""CatBoost, on processors: a callback for `fit`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from refunc.frameworks import caller
from refunc.frameworks.boosting import BoostingCallback
from refunc.frameworks.packages import imported_for

with imported_for(__name__, "catboost>=1.2"):
    from catboost.core import CatBoost, _TrainCallbacksWrapper

__all__ = ["RefuncCallback"]


class RefuncCallback(BoostingCallback):
    """
    Logs a training: `model.fit(data, callbacks=[RefuncCallback()])`.

    Recorded are the model's params, each metric of each data set at its iteration, counted from 0 as in CatBoost's own
    output, and, with a data set to evaluate on, the results `best_iteration` and `best/validation/Logloss`, the best
    value of each metric. CatBoost's snapshots go on at their iteration.

    The run is the one that is open, else one of its own, which ends when CatBoost has let its callbacks go:
    `completed`, also by the overfitting detector, and `failed` if the training raised. The console leaves metrics to
    CatBoost, unless the model has `verbose=False`. CatBoost takes no callbacks for trainings on GPUs.
    """

    _framework, _model_file = "catboost", "model.cbm"

    def _prepare(self) -> None:
        self._model: Any = None
        self._iterations = 0
        self._names: list[str] = []
        self._counts: list[int] = []
        self._results: dict[str, dict[str, list[float]]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_model": None, "_results": {}}

    def after_iteration(self, info: SimpleNamespace) -> bool:
        """Log the metrics of an iteration; True, which means to go on."""
        if self._model is None or info.iteration <= self._iterations:
            self._begin(info.iteration - 1)
        self._log(info.metrics, info.iteration - 1)
        self._iterations = info.iteration
        return True

    def _log(self, results: dict[str, dict[str, list[float]]], step: int) -> None:
        columns = [scores for scores_of in results.values() for scores in scores_of.values()]
        if len(columns) != len(self._names):
            self._names = [f"{self._prefix}{data}/{metric}" for data in results for metric in results[data]]
            self._counts = [0] * len(columns)
        counts = [len(scores) for scores in columns]
        # With `metric_period`, a metric is not computed in each iteration.
        columns_now = zip(self._names, columns, counts, self._counts, strict=True)
        metrics = {name: scores[-1] for name, scores, count, before in columns_now if count > before}
        if metrics:
            self._tracker.log_metrics(metrics, step=step)
        self._results, self._counts = results, counts

    def _begin(self, first: int) -> None:
        # CatBoost tells a callback neither its model nor an end: the training is over when its caller goes.
        wrapper, model = caller(_TrainCallbacksWrapper), caller(CatBoost)
        params = model.get_params() if model is not None else {}
        self._training.shows_metrics = params.get("verbose") in (False, 0) or params.get("logging_level") == "Silent"
        self._tracker = self._training.begin(wrapper, self._end, first_step=first)
        self._model, self._names, self._counts, self._results = model, [], [], {}
        self._tracker.log_params({name: params[name] for name in params if name != "callbacks"})

    def _end(self) -> None:
        model, self._model = self._model, None
        results = model.get_evals_result() if model is not None else {}
        if model is None or not self._is_of_this_training(results):
            self._training.end("failed")
            return
        self._log(results, self._iterations)  # if a callback before this one has stopped the training
        best = model.get_best_iteration()
        self._log_end(self._tracker, best, model.get_best_score(), model.save_model)
        self._training.end()

    def _is_of_this_training(self, results: dict[str, dict[str, list[float]]]) -> bool:
        """Whether *results* are those that were logged, or one more: a model keeps those of an earlier fit."""
        seen = [(data, metric, scores) for data, of in self._results.items() for metric, scores in of.items()]
        final = [results.get(data, {}).get(metric, []) for data, metric, _ in seen]
        return bool(seen) and all(
            each[: len(scores)] == scores and len(each) - len(scores) in (0, 1)
            for each, (_, _, scores) in zip(final, seen, strict=True)
        )
