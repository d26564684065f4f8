"""Workers of dask find the run of the process that made the cluster, and its next run after that."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from dask.distributed import Client, LocalCluster
from distributed.protocol.pickle import cloudpickle

from refunc.logging import ExperimentTracker, MLLogger, experiment_context
from refunc.runs import open_store

logger = MLLogger("worker", level="WARNING")


def work(number: int) -> None:
    logger.log_metrics({"n": float(number)}, step=number)


def work_with(tracker: ExperimentTracker, number: int) -> None:
    tracker.log_metrics({"given": float(number)}, step=number)


@pytest.mark.timeout(300)
def test_workers_log_to_the_run_that_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REFUNC_DIR", str(tmp_path / "experiments"))
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # as a script's functions are
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with ExitStack() as stack:
        clients = []
        for name in ("first", "second"):  # the second run's cluster was made within the first
            with experiment_context("dask", name, logger=logger) as run:
                if not clients:
                    clients.append(stack.enter_context(Client(stack.enter_context(LocalCluster(**options)))))
                clients[0].gather(clients[0].map(work, range(10), pure=False))
                given = [clients[0].submit(work_with, run, number, pure=False) for number in range(3)]
                clients[0].gather(given)

    runs = list(open_store(tmp_path / "experiments"))
    assert [run.run_name for run in runs] == ["first", "second"]
    for run in runs:
        assert sorted(run.metrics("n").values) == [float(number) for number in range(10)]
        assert sorted(run.metrics("given").values) == [0.0, 1.0, 2.0]
