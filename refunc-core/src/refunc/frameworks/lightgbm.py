"""LightGBM: a callback for `lightgbm.train`, `lightgbm.cv` and the scikit-learn interface, and its log lines."""

from __future__ import annotations

import logging
import sys
from typing import Any

from refunc.frameworks.boosting import BoostingCallback
from refunc.frameworks.packages import imported_for
from refunc.logging import MLLogger

with imported_for(__name__, "lightgbm>=4.4"):
    import lightgbm.basic
    from lightgbm.basic import Booster
    from lightgbm.callback import CallbackEnv

__all__ = ["RefuncCallback", "register_logger"]


class RefuncCallback(BoostingCallback):
    """
    Logs a training: `lightgbm.train(params, data, valid_sets=[valid], callbacks=[RefuncCallback()])`.

    Recorded are the params, each metric of each data set at its iteration, counted from 0 and on from the iterations of
    `init_model`, and, with early stopping, the results `best_iteration`, which LightGBM counts from 1, and
    `best/valid_0/auc`, each metric there.
    `lightgbm.cv` has a mean and a standard deviation: `valid/auc/mean` and `valid/auc/std`.

    The run is the one that is open, else one of its own, which ends when LightGBM has let its callbacks go:
    `completed`, also by early stopping, and `failed` if the training raised.
    """

    _framework, _model_file = "lightgbm", "model.txt"

    def _prepare(self) -> None:
        # LightGBM reads both from the instance. Before early stopping, whose exception keeps later callbacks from the
        # last iteration.
        self.order = 25
        self.before_iteration = False
        self._model: Any = None
        self._names: list[str] = []
        self._first = 0
        self._is_cv = False
        self._is_last = False
        self._history: list[dict[str, float]] = []

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_model": None, "_history": []}

    def __call__(self, env: CallbackEnv) -> None:
        """Log the metrics of an iteration."""
        results = env.evaluation_result_list or ()
        if env.iteration == env.begin_iteration:
            self._begin(env)
        metrics = {name: float(result[2]) for name, result in zip(self._names, results, strict=True)}
        if self._is_cv:
            means = {f"{name}/mean": mean for name, mean in metrics.items()}
            stds = zip(self._names, results, strict=True)
            metrics = means | {f"{name}/std": float(result[4]) for name, result in stds}
        if metrics:
            self._tracker.log_metrics(metrics, step=env.iteration)
        self._history.append(metrics)
        self._is_last = env.iteration == env.end_iteration - 1

    def _begin(self, env: CallbackEnv) -> None:
        # LightGBM tells of no end. The set of callbacks is a variable of its function, and goes with the training.
        variables = sys._getframe(2).f_locals.values()
        callbacks = next((each for each in variables if isinstance(each, set) and self in each), None)
        self._tracker = self._training.begin(callbacks, self._end, first_step=env.begin_iteration)
        self._model, self._first, self._history = env.model, env.begin_iteration, []
        self._tracker.log_params(env.params)
        results = [tuple(result) for result in env.evaluation_result_list or ()]
        self._names = [f"{self._prefix}{data}/{metric}" for data, metric, *_ in results]
        self._is_cv = any(len(result) > 4 for result in results)
        for name, (_, _, _, is_higher_better, *_) in zip(self._names, results, strict=True):
            for each in (name, f"best/{name}"):
                self._tracker.define_metric(
                    f"{each}/mean" if self._is_cv else each, goal="max" if is_higher_better else "min"
                )

    def _end(self) -> None:
        model, self._model = self._model, None
        best = model.best_iteration  # counted from 1; not above 0 without early stopping
        scores = self._history[best - 1 - self._first] if best > 0 else None
        save = model.save_model if isinstance(model, Booster) else None
        self._log_end(self._tracker, best if best > 0 else None, scores, save, step=best - 1)
        self._training.end("completed" if best > 0 or self._is_last else "failed")


class _Lines:
    """A logger in LightGBM's sense: it has all lines of its library logged at INFO, with the level in the text."""

    def __init__(self) -> None:
        self._logger = MLLogger("lightgbm")

    def info(self, message: str) -> None:
        text = message.removeprefix("[LightGBM] ")
        for level in ("Info", "Debug", "Warning", "Fatal"):
            if text.startswith(f"[{level}] "):
                self._logger.log(_LEVELS[level], "%s", text[len(level) + 3 :])
                return
        self._logger.info("%s", text)

    def warning(self, message: str) -> None:
        self._logger.warning("%s", message)


_LEVELS = {"Info": logging.INFO, "Debug": logging.DEBUG, "Warning": logging.WARNING, "Fatal": logging.ERROR}


def register_logger() -> None:
    """Send LightGBM's lines, also those of its library, to the logger `lightgbm` and with it to the run."""
    lightgbm.basic.register_logger(_Lines())
