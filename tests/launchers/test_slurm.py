"""SLURM: the variables that its srun sets, by a stand-in; a job with several steps, killed and requeued."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.launchers.reading import Launched, all_runs, only_run

#: Steps that run at once have numbers in the order of their starts, so the script waits for the first to have one.
JOB = """
srun -n 2 {python} {script} short
srun -n 2 {python} {script} first &
until [ $(wc -c < "$STEPS") = 2 ]; do sleep 0.05; done
srun -n 3 {python} {script} second &
wait
"""
#: The variables that a batch script is given; a step's tasks get the others.
BATCH = {
    "SLURM_JOB_ID": "812",
    "SLURM_JOBID": "812",
    "SLURM_CLUSTER_NAME": "c",
    "SLURM_PROCID": "0",
    "SLURM_NTASKS": "3",
}


@pytest.fixture
def job(start: Callable[..., Any], script: Callable[[str], Path], own_folder: Path) -> Callable[..., Any]:
    """Start the job's script for the first time, or again."""
    programs = own_folder / "programs"
    programs.mkdir()
    shutil.copy(script("srun"), programs)
    path = own_folder / "job.sh"
    path.write_text(JOB.format(python=sys.executable, script=script("train_in_step.py")))

    def job(restart: int) -> Any:
        counter = own_folder / "steps"
        counter.write_text("")
        restarts = {"SLURM_RESTART_COUNT": str(restart)} if restart else {}
        search = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        return start("bash", path, STEPS=str(counter), PATH=search, **BATCH, **restarts)

    return job


def test_each_step_of_a_job_is_a_run_and_goes_on_after_a_requeue(
    job: Callable[..., Any], tools: Any, own_folder: Path
) -> None:
    (own_folder / "hold").touch()
    killed = job(restart=0)
    tools.until(lambda: len(list(own_folder.glob("*.holds"))) == 5)
    killed.kill_all()
    (own_folder / "hold").unlink()
    assert job(restart=1).finished().returncode == 0

    runs = {run.run_name: run for run in all_runs() if run.run_name != "short"}
    assert {name: (run.status, run.attempt, run.ranks) for name, run in runs.items()} == {
        "first": ("completed", 2, [0, 1]),
        "second": ("completed", 2, [0, 1, 2]),
    }
    for run in runs.values():
        assert list(run.metrics("restart").values) == [1] * 10
        assert len(run.metrics("restart", attempts="all")) == 16
    # The step that was completed has run again, as the script says: that is another run.
    assert [(run.status, run.attempt) for run in all_runs() if run.run_name == "short"] == [("completed", 1)] * 2


def test_starts_in_an_interactive_job_are_runs_of_their_own(launched: Launched, script: Callable[[str], Path]) -> None:
    """Its shell has the number of a step that is none; and a step that is a shell starts many programs."""
    for step in ("4294967290", "0"):
        variables = {**BATCH, "SLURM_STEP_ID": step, "SLURM_STEP_NUM_TASKS": "1", "SLURM_LOCALID": "0"}
        command = f"{sys.executable} {script('log_one_line.py')} 1"
        said = launched("bash", "-c", f"{command}; {command} && true", **variables).err
        assert said.count("INFO of rank 0") == 2
    assert [(run.status, run.attempt) for run in all_runs()] == [("completed", 1)] * 4


def test_a_shell_may_go_on_with_a_run_that_it_started(launched: Launched, own_folder: Path) -> None:
    path = own_folder / "train.py"
    path.write_text(
        "import os, sys\nfrom refunc.logging import *\n"
        "with experiment_context('line', resume='auto') as run:\n"
        "    run.log_metrics({'loss': 1.0}); run.flush()\n"
        "    if sys.argv[1] == 'die': os._exit(1)\n"
    )
    step = {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "1", "SLURM_LOCALID": "0"}
    launched("bash", "-c", f"{sys.executable} {path} die; {sys.executable} {path} live && true", **BATCH, **step)
    assert (only_run().status, only_run().attempt) == ("completed", 2)
