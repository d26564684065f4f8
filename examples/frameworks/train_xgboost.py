"""
Boosted trees on scikit-learn's table of breast cancers, as a run of refunc: no download, some seconds.

    python examples/frameworks/train_xgboost.py
    refunc show trees

A cross-validation chooses the number of rounds, and the model is trained with it: one run for each.
"""

from __future__ import annotations

import xgboost
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from refunc.frameworks.xgboost import RefuncCallback

PARAMS = {"objective": "binary:logistic", "eval_metric": ["auc", "logloss"], "max_depth": 3, "eta": 0.2, "seed": 7}


def main() -> None:
    data = load_breast_cancer()
    x_train, x_test, y_train, y_test = train_test_split(data.data, data.target, test_size=0.25, random_state=7)
    train, test = xgboost.DMatrix(x_train, y_train), xgboost.DMatrix(x_test, y_test)

    table = xgboost.cv(
        PARAMS, train, 30, nfold=3, early_stopping_rounds=5, callbacks=[RefuncCallback("cancers", "folds")]
    )
    xgboost.train(
        PARAMS,
        train,
        len(table),
        evals=[(train, "train"), (test, "test")],
        callbacks=[RefuncCallback("cancers", "trees", log_model=True)],
        verbose_eval=10,
    )


if __name__ == "__main__":
    main()
