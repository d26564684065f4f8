"""
A study of Optuna that tunes XGBoost on scikit-learn's table of breast cancers: each trial is a run.

    python examples/frameworks/tune_optuna.py
    refunc ls

Two trials run at a time. XGBoost's callback logs to the run of its trial.
"""

from __future__ import annotations

import optuna
import xgboost
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from refunc.frameworks.optuna import RefuncObjective
from refunc.frameworks.xgboost import RefuncCallback


def objective(trial: optuna.Trial) -> float:
    data = load_breast_cancer()
    x_train, x_test, y_train, y_test = train_test_split(data.data, data.target, test_size=0.25, random_state=7)
    params = {
        "objective": "binary:logistic",
        "max_depth": trial.suggest_int("max_depth", 1, 4),
        "learning_rate": trial.suggest_float("learning_rate", 0.05, 0.5, log=True),
        "nthread": 1,
    }
    history: dict[str, dict[str, list[float]]] = {}
    xgboost.train(
        params,
        xgboost.DMatrix(x_train, y_train),
        20,
        evals=[(xgboost.DMatrix(x_test, y_test), "test")],
        callbacks=[RefuncCallback()],
        evals_result=history,
        verbose_eval=False,
    )
    for step, loss in enumerate(history["test"]["logloss"]):
        trial.report(loss, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return history["test"]["logloss"][-1]


def main() -> None:
    study = optuna.create_study(
        study_name="cancers",
        sampler=optuna.samplers.RandomSampler(7),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=4),
    )
    study.optimize(RefuncObjective(objective), n_trials=8, n_jobs=2)


if __name__ == "__main__":
    main()
