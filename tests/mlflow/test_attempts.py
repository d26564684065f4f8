"""
A training of several ranks that is killed and requeued, and MLflow: one run, which ends once all have ended.

`REQUEUES` in the environment makes it as many kills as one likes; CI has two.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.launched import variables

from refunc.runs import open_store

REQUEUES = int(os.environ.get("REQUEUES", "2"))
pytestmark = [pytest.mark.trackers, pytest.mark.timeout(400 + 100 * REQUEUES)]

TRAINING = """
import os
from refunc.logging import MLflowIntegration, MLLogger, experiment_context
rank, attempt = int(os.environ["RANK"]), int(os.environ["SLURM_RESTART_COUNT"])
begin, stop = int(os.environ["BEGIN"]), int(os.environ["STOP"])
log = MLLogger("train", "CRITICAL")
log.add_integration(MLflowIntegration(tracking_uri=os.environ["STORE"], experiment_name="e"))
with experiment_context("e", "ranks", logger=log) as run:
    run.log_hyperparams({"lr": 0.1, "rank": rank})
    if attempt: run.load_state_dict({"run_id": run.run_id, "step": begin - 1})
    for step in range(begin, 20 * int(os.environ["CHECKPOINTS"])):
        run.log_metrics({"loss": float(attempt)}, step=step)
        if step == stop: run.flush(); os.kill(os.getpid(), 9)
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own use of SQLAlchemy, in this process here
def test_kills_of_four_ranks_are_one_mlflow_run_with_every_step(own_folder: Path, tools: Any) -> None:
    """Each attempt is cut off up to 20 steps beyond the next checkpoint, and the next one goes on from there."""
    mlflow = pytest.importorskip("mlflow")
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    store = f"sqlite:///{own_folder / 'mlflow.db'}"
    path = own_folder / "train.py"
    path.write_text(TRAINING)
    environ = {"SLURM_JOB_ID": "812", "STORE": store, "CHECKPOINTS": str(REQUEUES + 1)}
    for attempt in range(REQUEUES + 1):
        is_last = attempt == REQUEUES
        stop = -1 if is_last else 20 * attempt + 20 + chance.randrange(19)
        of_attempt = {"SLURM_RESTART_COUNT": str(attempt), "BEGIN": str(20 * attempt), "STOP": str(stop)}
        wait = {"REFUNC_EXIT_WAIT": "100"} if is_last else {}
        processes = [
            subprocess.Popen([sys.executable, str(path)], env=variables(rank, 4, **environ, **of_attempt, **wait))
            for rank in range(4)
        ]
        assert [process.wait() for process in processes] == [0 if is_last else -9] * 4

    client = mlflow.tracking.MlflowClient(tracking_uri=store)

    def runs() -> Any:
        experiment = client.get_experiment_by_name("e")
        return client.search_runs([experiment.experiment_id])

    tools.until(lambda: [run.info.status for run in runs()] == ["FINISHED"], 100 + REQUEUES)
    [run] = runs()
    [ours] = open_store()
    history = client.get_metric_history(run.info.run_id, "loss")
    newest = {point.step: point.value for point in sorted(history, key=lambda point: point.timestamp)}
    curve = ours.metrics("loss")
    assert list(curve.steps) == list(range(20 * (REQUEUES + 1)))
    assert newest == dict(zip(curve.steps, curve.values, strict=True)), f"of two values, the later one; seed {seed}"
    assert run.data.params == {"lr": "0.1", "rank": "0"}
    assert run.data.tags["refunc.attempt"] == str(REQUEUES + 1)
    assert (ours.attempt, ours.status, ours.ranks) == (REQUEUES + 1, "completed", [0, 1, 2, 3])
