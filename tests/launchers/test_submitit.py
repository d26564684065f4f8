"""submitit's executor on this machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from tests.launchers.reading import Launched, all_runs


def test_each_job_is_a_run_whatever_its_tasks_and_may_be_queued_again(
    launched: Launched, script: Callable[[str], Path], needs: Callable[..., None], own_folder: Path
) -> None:
    needs("submitit")
    launched(sys.executable, script("submit_jobs.py"))

    runs = {run.experiment_name: run for run in all_runs()}
    assert {name: (run.status, run.attempt, run.ranks) for name, run in runs.items()} == {
        "one": ("completed", 1, [0]),
        "two": ("completed", 1, [0, 1]),
        "preempted": ("completed", 2, [0, 1]),
    }
    assert sorted(runs["two"].metrics("loss", rank="all").values) == [0.0, 1.0]
    for rank in range(2):
        assert list(runs["preempted"].metrics("attempt", rank=rank).values) == [1]
    said = "".join(path.read_text() for path in own_folder.glob("jobs/*.err"))
    assert [said.count(f"INFO of rank {rank}") for rank in range(2)] == [2, 0]
