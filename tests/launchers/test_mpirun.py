"""Open MPI's mpirun, of Debian."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from tests.launchers.reading import Launched, all_runs


def test_all_processes_share_each_run(
    launched: Launched, script: Callable[[str], Path], needs: Callable[..., None]
) -> None:
    needs(mpirun="openmpi-bin")
    as_root = ["--allow-run-as-root"] if os.getuid() == 0 else []
    done = launched("mpirun", *as_root, "--oversubscribe", "-n", 4, sys.executable, script("log_one_line.py"), 2)

    runs = all_runs()
    assert [(run.status, run.ranks) for run in runs] == [("completed", [0, 1, 2, 3])] * 2
    for number, run in enumerate(runs):
        assert list(run.metrics("number", rank="all").values) == [number] * 4
        assert sorted(run.metrics("rank", rank="all").values) == [0, 1, 2, 3]
    assert [done.err.count(f"INFO of rank {rank}") for rank in range(4)] == [2, 0, 0, 0]
    assert [done.err.count(f"WARNING of rank {rank}") for rank in range(4)] == [2] * 4
