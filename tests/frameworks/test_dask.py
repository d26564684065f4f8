"""Workers of dask find the run of the process that made the cluster, and its next run after that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dask.distributed  # noqa: F401  # the script below needs it

from refunc.runs import open_store

#: In a process of its own, as a user has it: a cluster within a test run would inherit state of other frameworks.
SCRIPT = """
from dask.distributed import Client, LocalCluster
from refunc.logging import MLLogger, experiment_context

logger = MLLogger("worker", level="WARNING")


def work(number):
    logger.log_metrics({"n": float(number)}, step=number)


def work_with(tracker, number):
    tracker.log_metrics({"given": float(number)}, step=number)


if __name__ == "__main__":
    client = None
    for name in ("first", "second"):  # the second run's cluster was made within the first
        with experiment_context("dask", name, logger=logger) as run:
            client = client or Client(LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None))
            client.gather(client.map(work, range(10), pure=False))
            client.gather([client.submit(work_with, run, number, pure=False) for number in range(3)])
    client.cluster.close()
    client.close()
"""


def test_workers_log_to_the_run_that_is_open(tmp_path: Path) -> None:
    script, store = tmp_path / "script.py", tmp_path / "experiments"
    script.write_text(SCRIPT)
    environment = {**os.environ, "REFUNC_DIR": str(store)}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr

    runs = list(open_store(store))
    assert [run.run_name for run in runs] == ["first", "second"]
    for run in runs:
        assert sorted(run.metrics("n").values) == [float(number) for number in range(10)]
        assert sorted(run.metrics("given").values) == [0.0, 1.0, 2.0]
