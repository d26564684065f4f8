"""
Boosted trees on scikit-learn's table of wines, as a run of refunc: no download, some seconds.

    python examples/frameworks/train_catboost.py
    refunc show wines
"""

from __future__ import annotations

from catboost import CatBoostClassifier
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split

from refunc.frameworks.catboost import RefuncCallback


def main() -> None:
    data = load_wine()
    x_train, x_test, y_train, y_test = train_test_split(data.data, data.target, test_size=0.25, random_state=7)
    model = CatBoostClassifier(
        iterations=100,
        depth=4,
        eval_metric="Accuracy",
        early_stopping_rounds=10,
        random_seed=7,
        verbose=False,
        allow_writing_files=False,
    )
    model.fit(
        x_train,
        y_train,
        eval_set=(x_test, y_test),
        callbacks=[RefuncCallback("wines", "wines", log_model=True)],
    )


if __name__ == "__main__":
    main()
