"""`accelerate launch` on processors, by each of its ways to start several processes there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.launchers.reading import Launched, only_run

#: `--cpu` alone starts one process, whatever number is given. Several take an MPI, or the launcher that is for GPUs.
WAYS = {"--multi_gpu": [], "--cpu": ["--mpirun_hostfile", "hosts", "--main_process_ip", "127.0.0.1"]}
MPIRUN = {"OMPI_MCA_rmaps_base_oversubscribe": "1", "OMPI_MCA_hwloc_base_binding_policy": "none"}
if os.getuid() == 0:
    MPIRUN |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


@pytest.mark.parametrize("way", WAYS)
def test_two_processes_are_one_run(
    way: str, launched: Launched, script: Callable[[str], Path], needs: Callable[..., None], tools: Any
) -> None:
    needs("torch", "accelerate", **({"mpirun": "openmpi-bin"} if way == "--cpu" else {}))
    Path("hosts").write_text("localhost slots=2\n")
    done = launched(
        *("accelerate", "launch", way, "--num_processes", 2, "--num_machines", 1, "--mixed_precision", "no"),
        *("--dynamo_backend", "no", "--main_process_port", tools.free_port(), *WAYS[way]),
        script("train_accelerated.py"),
        **MPIRUN,
    )

    run = only_run()
    assert (run.status, run.attempt, run.ranks) == ("completed", 1, [0, 1])
    assert run.params == {"ranks": 2}
    assert list(run.metrics("weight", rank="min").values) == list(run.metrics("weight", rank="max").values)
    assert len(run.metrics("loss", rank="all")) == 10
    assert [done.err.count(f"INFO of rank {rank}") for rank in range(2)] == [1, 0]
    assert [done.err.count(f"WARNING of rank {rank}") for rank in range(2)] == [1, 1]
