"""torch.multiprocessing, whose processes set the variables of a launcher themselves."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.launchers.reading import Launched, all_runs


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_that_name_their_rank_are_one_run(
    method: str, launched: Launched, script: Callable[[str], Path], needs: Callable[..., None]
) -> None:
    needs("torch")
    launched(sys.executable, script("spawn_ranks.py"), method)

    [run] = [run for run in all_runs() if run.experiment_name == "line"]
    assert (run.status, run.ranks) == ("completed", [0, 1])
    assert sorted(run.metrics("loss", rank="all").values) == [0.0, 1.0]
    for rank in range(2):
        assert list(run.metrics("worked", rank=rank).steps) == [0, 1]
    workers = [run for run in all_runs() if run.experiment_name == "worker"]
    assert [(worker.parent_id, worker.ranks) for worker in workers] == [(run.run_id, [])] * 4
