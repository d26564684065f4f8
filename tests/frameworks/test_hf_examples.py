"""The examples of transformers and accelerate, on one process and on two, which torchrun and accelerate start."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from tests.frameworks.stored import EXAMPLES, only_run, run_example
from tests.launched import variables

FOR_GLOO = {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
OF_LAUNCHERS = ("RANK", "LOCAL_", "WORLD_", "MASTER_", "TORCHELASTIC", "SLURM")


@pytest.mark.usefixtures("clean_process")
@pytest.mark.parametrize("name", ["train_transformers", "train_accelerate"])
def test_on_one_process_and_resumed(name: str) -> None:
    for arguments in (["--epochs", "1"], ["--epochs", "2", "--resume"]):
        run_example(name, *arguments)
    run = only_run()
    assert run.attempt == 2
    steps = list(run.metrics("train/loss").steps)
    assert steps == sorted(set(steps))


def test_transformers_on_two_processes_of_torchrun(tools: Any) -> None:
    port = ("--master-addr", "127.0.0.1", "--master-port", str(tools.free_port()))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", *port]
    own = {name: value for name, value in os.environ.items() if not name.startswith(OF_LAUNCHERS)}
    done = subprocess.run(
        [*command, str(EXAMPLES / "train_transformers.py"), "--epochs", "1"],
        env={**own, **FOR_GLOO},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    run = only_run()
    assert (run.status, run.ranks) == ("completed", [0, 1])
    assert len(run.metrics("train/loss", rank="all")) == len(run.metrics("train/loss")) > 0
    assert done.stderr.count("started: ") == 1


def test_accelerate_on_two_processes(tools: Any) -> None:
    port = str(tools.free_port())
    ranks = [
        subprocess.Popen(
            [sys.executable, str(EXAMPLES / "train_accelerate.py"), "--epochs", "1"],
            env=variables(rank, 2, **{**FOR_GLOO, "MASTER_PORT": port}),
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [rank.communicate()[1] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], said
    run = only_run()
    assert (run.status, run.ranks) == ("completed", [0])
    assert len(run.metrics("train/loss")) == 8
    assert [shown.count("started: ") for shown in said] == [1, 0]
    assert "epoch 0: loss" in " ".join(entry.message for entry in run.entries())
