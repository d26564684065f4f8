"""Small trainings of XGBoost, LightGBM and CatBoost, all by the same call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import catboost
import lightgbm
import numpy
import xgboost

from refunc.frameworks.catboost import RefuncCallback as OfCatBoost
from refunc.frameworks.lightgbm import RefuncCallback as OfLightGBM
from refunc.frameworks.xgboost import RefuncCallback as OfXGBoost

_random = numpy.random.default_rng(0)
X = _random.random((300, 4))
Y = (X[:, 0] + 0.3 * _random.random(300) > 0.6).astype(int)
TRAIN, VALID = slice(0, 200), slice(200, 300)


class Mistake(Exception):
    """Raised in a training."""


def train_xgboost(callback: Any, *, rounds: int = 4, stop: int = 0, fault: type[BaseException] | None = None) -> Any:
    class Fault(xgboost.callback.TrainingCallback):
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            if fault is not None and epoch == 1:
                raise fault
            return False

    data = [xgboost.DMatrix(X[rows], Y[rows]) for rows in (TRAIN, VALID)]
    return xgboost.train(
        {"objective": "binary:logistic", "learning_rate": 0.3, "max_depth": 2, "nthread": 1},
        data[0],
        rounds,
        evals=[(data[1], "valid")],
        callbacks=[callback, Fault()],
        early_stopping_rounds=stop or None,
        verbose_eval=False,
    )


def train_lightgbm(callback: Any, *, rounds: int = 4, stop: int = 0, fault: type[BaseException] | None = None) -> Any:
    def raises(env: Any) -> None:
        if fault is not None and env.iteration == 1:
            raise fault

    raises.order = 28  # type: ignore[attr-defined]
    data = lightgbm.Dataset(X[TRAIN], Y[TRAIN])
    return lightgbm.train(
        {"objective": "binary", "learning_rate": 0.3, "num_leaves": 4, "verbose": -1, "num_threads": 1},
        data,
        rounds,
        valid_sets=[lightgbm.Dataset(X[VALID], Y[VALID], reference=data)],
        valid_names=["valid"],
        callbacks=[callback, raises, *([lightgbm.early_stopping(stop, verbose=False)] if stop else [])],
    )


def train_catboost(callback: Any, *, rounds: int = 4, stop: int = 0, fault: type[BaseException] | None = None) -> Any:
    class Fault:
        def after_iteration(self, info: Any) -> bool:
            if fault is not None and info.iteration == 2:
                raise fault
            return True

    model = catboost.CatBoostClassifier(
        iterations=rounds,
        learning_rate=0.3,
        depth=2,
        early_stopping_rounds=stop or None,
        thread_count=1,
        verbose=False,
        allow_writing_files=False,
    )
    return model.fit(X[TRAIN], Y[TRAIN], eval_set=(X[VALID], Y[VALID]), callbacks=[callback, Fault()])


#: How each trains, its callback, and its names for the validation's metric, the learning rate and the model's file.
BOOSTERS: dict[str, tuple[Callable[..., Any], Callable[..., Any], str, str]] = {
    "xgboost": (train_xgboost, OfXGBoost, "valid/logloss", "model.ubj"),
    "lightgbm": (train_lightgbm, OfLightGBM, "valid/binary_logloss", "model.txt"),
    "catboost": (train_catboost, OfCatBoost, "validation/Logloss", "model.cbm"),
}


def best_iteration(model: Any) -> int:
    """Return the number that the framework itself has for the best iteration."""
    return int(model.get_best_iteration() if isinstance(model, catboost.CatBoost) else model.best_iteration)
