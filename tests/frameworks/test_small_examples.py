"""The examples of boosted trees, Keras, scikit-learn, Optuna and Hydra run, and leave the runs that they promise."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tests.frameworks.stored import EXAMPLES, run_example, runs


@pytest.mark.usefixtures("clean_process")
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train_xgboost", {"folds": "best/test/logloss/mean", "trees": ""}),
        ("train_lightgbm", {"leaves": "best/test/rmse"}),
        ("train_catboost", {"wines": "best/validation/Accuracy"}),
        ("train_sklearn", {"search": "best_score", "candidate_3": "mean_test_score", "chosen": "test/accuracy"}),
        ("tune_optuna", {"cancers": "best_value", "trial_0": "value"}),
        ("train_keras", {"network": "test/accuracy"}),
    ],
)
def test_an_example_leaves_its_runs(name: str, expected: dict[str, str]) -> None:
    run_example(name)

    found = {run.run_name: run for run in runs()}
    assert {run.status for run in found.values()} <= {"completed", "pruned", "running"}
    assert [name for name, result in expected.items() if result and result not in found[name].results] == []
    assert expected.keys() <= found.keys()


def test_the_example_of_hydra_leaves_a_run_for_each_job() -> None:
    subprocess.run(
        [sys.executable, str(EXAMPLES / "train_hydra.py"), "-m", "lr=0.1,0.2"], check=True, capture_output=True
    )

    parent, *jobs = runs()
    assert [(run.experiment_name, run.status) for run in (parent, *jobs)] == [("slopes", "completed")] * 3
    assert [job.params["lr"] for job in jobs] == [0.1, 0.2]
