"""A training of several ranks that is killed and requeued, and MLflow: one run, which ends once all have ended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.launched import variables

from refunc.runs import open_store

pytestmark = pytest.mark.trackers

TRAINING = """
import os
from refunc.logging import MLflowIntegration, MLLogger, experiment_context
rank, attempt = int(os.environ["RANK"]), int(os.environ["SLURM_RESTART_COUNT"])
log = MLLogger("train", "CRITICAL")
log.add_integration(MLflowIntegration(tracking_uri=os.environ["STORE"], experiment_name="e"))
with experiment_context("e", "ranks", logger=log) as run:
    run.log_hyperparams({"lr": 0.1, "rank": rank})
    if attempt: run.load_state_dict({"run_id": run.run_id, "step": 20 * attempt - 1})
    for step in range(20 * attempt, 60):
        run.log_metrics({"loss": float(attempt)}, step=step)
        if attempt < 2 and step == 20 * attempt + 29: run.flush(); os.kill(os.getpid(), 9)
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own use of SQLAlchemy, in this process here
def test_two_kills_of_four_ranks_are_one_mlflow_run_with_every_step(own_folder: Path, tools: Any) -> None:
    mlflow = pytest.importorskip("mlflow")
    store = f"sqlite:///{own_folder / 'mlflow.db'}"
    path = own_folder / "train.py"
    path.write_text(TRAINING)
    for attempt in range(3):
        environ = {"SLURM_JOB_ID": "812", "SLURM_RESTART_COUNT": str(attempt), "STORE": store, "REFUNC_EXIT_WAIT": "60"}
        processes = [
            subprocess.Popen([sys.executable, str(path)], env=variables(rank, 4, **environ)) for rank in range(4)
        ]
        assert [process.wait(100) for process in processes] == [-9 if attempt < 2 else 0] * 4

    client = mlflow.tracking.MlflowClient(tracking_uri=store)

    def only_run() -> Any:
        experiment = client.get_experiment_by_name("e")
        return client.search_runs([experiment.experiment_id])

    tools.until(lambda: [run.info.status for run in only_run()] == ["FINISHED"], 60)
    [run] = only_run()
    [ours] = open_store()
    history = client.get_metric_history(run.info.run_id, "loss")
    newest = {point.step: point.value for point in sorted(history, key=lambda point: point.timestamp)}
    curve = ours.metrics("loss")
    assert newest == dict(zip(curve.steps, curve.values, strict=True)), "of two values of a step, the later one"
    assert run.data.params == {"lr": "0.1", "rank": "0"}
    assert run.data.tags["refunc.attempt"] == "3"
    assert (ours.attempt, ours.status, ours.ranks) == (3, "completed", [0, 1, 2, 3])
