"""
Boosted trees on scikit-learn's table of diabetes patients, as a run of refunc: no download, some seconds.

    python examples/frameworks/train_lightgbm.py
    refunc show leaves

LightGBM's own lines are in the run too.
"""

from __future__ import annotations

import lightgbm
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

from refunc.frameworks.lightgbm import RefuncCallback, register_logger

PARAMS = {"objective": "regression", "metric": "rmse", "num_leaves": 8, "learning_rate": 0.1, "seed": 7}


def main() -> None:
    data = load_diabetes()
    x_train, x_test, y_train, y_test = train_test_split(data.data, data.target, test_size=0.25, random_state=7)
    train = lightgbm.Dataset(x_train, y_train)

    register_logger()
    lightgbm.train(
        PARAMS,
        train,
        200,
        valid_sets=[lightgbm.Dataset(x_test, y_test, reference=train)],
        valid_names=["test"],
        callbacks=[RefuncCallback("diabetes", "leaves", log_model=True), lightgbm.early_stopping(10)],
    )


if __name__ == "__main__":
    main()
