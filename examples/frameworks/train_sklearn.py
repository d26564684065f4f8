"""
A search for the settings of a pipeline on scikit-learn's handwritten digits, as runs of refunc.

    python examples/frameworks/train_sklearn.py
    refunc ls

The best candidates of the search are runs of their own within the search's, and the chosen model has its scores.
"""

from __future__ import annotations

from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline

from refunc.frameworks.sklearn import log_estimator, log_search
from refunc.logging import experiment_context


def main() -> None:
    digits = load_digits()
    x_train, x_test, y_train, y_test = train_test_split(digits.data / 16, digits.target, test_size=0.5, random_state=7)
    pipeline = Pipeline([("reduce", PCA(random_state=7)), ("classify", LogisticRegression(max_iter=500))])
    search = GridSearchCV(pipeline, {"reduce__n_components": [8, 24], "classify__C": [0.1, 1.0]}, cv=3)

    with experiment_context("digits", "search"):
        search.fit(x_train, y_train)
        log_search(search, candidates=2)
    with experiment_context("digits", "chosen"):
        log_estimator(search.best_estimator_, x_test, y_test, log_model=True)


if __name__ == "__main__":
    main()
