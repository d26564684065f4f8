"""XGBoost: a callback for `xgboost.train`, `xgboost.cv` and the scikit-learn interface."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from refunc.frameworks import caller
from refunc.frameworks.boosting import BoostingCallback
from refunc.frameworks.packages import imported_for
from refunc.logging import ExperimentTracker

with imported_for(__name__, "xgboost>=3", "xgboost", "numpy"):
    import numpy
    from xgboost.callback import CallbackContainer, EvaluationMonitor, TrainingCallback
    from xgboost.collective import get_rank
    from xgboost.core import Booster

__all__ = ["RefuncCallback"]

#: Second names of params, of which the scikit-learn interface's are kept, and params that no user sets.
_LEFT_OUT = frozenset({"eta", "alpha", "lambda", "min_split_loss", "nthread", "seed", "updater_seq", "rng_state"})


class RefuncCallback(BoostingCallback, TrainingCallback):
    """
    Logs a training: `xgboost.train(params, data, evals=evals, callbacks=[RefuncCallback()])`.

    Recorded are the params that XGBoost trains with, each metric of each data set at its round, counted from 0 and on
    from the rounds of `xgb_model`, and, with early stopping, the results `best_iteration` and `best/val/logloss`, each
    metric there. `xgboost.cv` has a mean and a standard deviation: `test/rmse/mean` and `test/rmse/std`.

    The run is the one that is open, else one of its own, which ends with the training: `completed`, also by early
    stopping, and `failed` if the training raised. Of several workers, the first logs. The console leaves metrics to
    XGBoost, unless its `verbose_eval` is off.
    """

    _framework, _model_file = "xgboost", "model.ubj"

    def _prepare(self) -> None:
        self._tracker: ExperimentTracker | None = None
        self._logged = self._first_round = 0
        self._columns: list[tuple[str, list[Any]]] = []

    def before_training(self, model: Any) -> Any:
        """Begin."""
        self._tracker = None
        if get_rank() == 0:
            self._logged, self._first_round, self._columns = 0, model.num_boosted_rounds(), []
            container = caller(CallbackContainer)
            others = container.callbacks if container is not None else ()
            self._training.shows_metrics = not any(isinstance(other, EvaluationMonitor) for other in others)
            self._tracker = self._training.begin(container, first_step=self._first_round)
        return model

    def after_iteration(self, model: Any, epoch: int, evals_log: dict[str, dict[str, Any]]) -> bool:
        """Log the metrics of a round."""
        if self._tracker is not None:
            if epoch == 0:
                self._columns = [
                    (f"{self._prefix}{data}/{metric}", scores)
                    for data, scores_of in evals_log.items()
                    for metric, scores in scores_of.items()
                ]
                self._tracker.log_params(_params_of(_booster_of(model)))
            self._log_round(self._tracker, epoch)
        return False

    def _log_round(self, tracker: ExperimentTracker, at: int) -> None:
        if self._columns:
            tracker.log_metrics(self._scores(at), step=self._first_round + at)
        self._logged = at + 1

    def _scores(self, at: int) -> dict[str, float]:
        """Return the metrics of a round, which XGBoost keeps in lists; in `cv` they are pairs."""
        if not self._columns or not isinstance(self._columns[0][1][at], tuple):
            return {name: scores[at] for name, scores in self._columns}
        means = {f"{name}/mean": float(scores[at][0]) for name, scores in self._columns}
        return means | {f"{name}/std": float(scores[at][1]) for name, scores in self._columns}

    def after_training(self, model: Any) -> Any:
        """End, with the best iteration."""
        tracker, self._tracker = self._tracker, None
        if tracker is not None:
            rounds = len(self._columns[0][1]) if self._columns else 0
            for at in range(self._logged, rounds):  # the last one, if a callback before this one stopped the training
                self._log_round(tracker, at)
            booster = _booster_of(model)
            found = booster.attr("best_iteration")
            best = int(found) if found is not None else None
            scores = self._scores(best - self._first_round) if best is not None else None
            self._log_end(tracker, best, scores, booster.save_model if model is booster else None)
            self._columns = []
            self._training.end()
        return model


def _booster_of(model: Any) -> Booster:
    """Return the model, or the first of those that `cv` trains."""
    return model if isinstance(model, Booster) else model.cvfolds[0].bst


def _params_of(booster: Booster) -> dict[str, Any]:
    """Return the params that *booster* trains with. It describes them as texts, in parts."""
    learner = json.loads(booster.save_config())["learner"]
    params = {
        "objective": learner["objective"]["name"],
        "booster": learner["gradient_booster"]["name"],
        "eval_metric": [metric["name"] for metric in learner.get("metrics", ())],
    }
    for name, text in _settings_in({"gradient_booster": learner["gradient_booster"], **learner}):
        if name not in _LEFT_OUT:
            params.setdefault(name, _typed(text))
    return params


def _settings_in(config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for part, inner in config.items():
        if isinstance(inner, dict):
            is_set = part.endswith(("train_param", "loss_param", "generic_param"))
            yield from inner.items() if is_set else _settings_in(inner)


def _typed(text: str) -> Any:
    """Return the number that *text* is. XGBoost writes all digits of 32 bits, so 0.3 as 0.300000012."""
    for kind in (int, lambda digits: float(str(numpy.float32(digits)))):
        try:
            return kind(text)
        except (ValueError, OverflowError):
            pass
    return text
