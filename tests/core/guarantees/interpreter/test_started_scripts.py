"""Scripts that a training starts, and other processes that `multiprocessing` did not start: which run is theirs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from refunc.journal.record import LogLine
from refunc.logging import MLLogger, experiment_context
from refunc.processes import inherited, own_process
from refunc.runs import open_store

IMPLICIT = "from refunc.logging import *; info('from a script'); log_metrics({'script': 1.0})"


def start(script: str, **variables: str) -> None:
    command = [sys.executable, "-c", script]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **variables})


def quiet() -> MLLogger:
    return MLLogger("quiet", "CRITICAL")


@pytest.mark.usefixtures("clean_process")
def test_a_script_that_opens_no_run_writes_to_the_run_that_started_it(own_folder: Path) -> None:
    elsewhere = own_folder / "elsewhere"
    elsewhere.mkdir()
    with experiment_context("training", logger=quiet()) as run:
        start(IMPLICIT)
        start(f"import os; os.chdir({str(elsewhere)!r}); {IMPLICIT}")

    [found] = open_store()
    assert found.run_id == run.run_id
    assert len(found.metrics("script")) == 2
    assert [record.message for record in found.records() if isinstance(record, LogLine)] == ["from a script"] * 2
    assert found.status == "completed"


@pytest.mark.usefixtures("clean_process")
def test_a_script_that_opens_a_run_has_one_of_its_own_inside(own_folder: Path) -> None:
    with experiment_context("training", logger=quiet()) as run:
        start("from refunc.logging import *\nwith experiment_context('evaluation') as run: run.log_metrics({'x': 1.0})")

    outer, inner = open_store()
    assert (outer.run_id, inner.parent_id) == (run.run_id, run.run_id)


@pytest.mark.usefixtures("clean_process")
def test_after_the_run_and_beside_it_there_is_none(own_folder: Path) -> None:
    assert inherited.VARIABLE not in os.environ
    with experiment_context("training", logger=quiet()):
        told = os.environ[inherited.VARIABLE]
        assert inherited.VARIABLE not in own_process.environment(), "delivery is no worker of the run"
    assert inherited.VARIABLE not in os.environ
    start(IMPLICIT)
    start(IMPLICIT, **{inherited.VARIABLE: told})  # a terminal that was opened meanwhile
    assert len(list(open_store())) == 3


@pytest.mark.parametrize(
    "told", ["", "x", "1:2", "1:abcdefgh:relative", "99999999999999999999:abcdefgh:/nowhere", ":::"]
)
def test_a_variable_that_says_nothing_changes_nothing(told: str, own_folder: Path) -> None:
    start(IMPLICIT, **{inherited.VARIABLE: told})
    [run] = open_store()
    assert run.status == "completed"


@pytest.mark.usefixtures("clean_process")
def test_workers_of_loky_write_to_the_run(own_folder: Path) -> None:
    joblib = pytest.importorskip("joblib")
    (own_folder / "jobs.py").write_text(
        "from refunc.logging import get_logger\n"
        "def job(n): get_logger('job').log_metrics({'n': float(n)}, step=n); get_logger('job').flush(); return n\n"
    )
    script = (
        "import joblib, jobs\nfrom refunc.logging import experiment_context\nwith experiment_context('e'):\n"
        "    print(sum(joblib.Parallel(2)(joblib.delayed(jobs.job)(n) for n in range(20))))"
    )
    del joblib
    start(script, PYTHONPATH=os.pathsep.join([str(own_folder), os.environ.get("PYTHONPATH", "")]))
    [run] = open_store()
    assert sorted(run.metrics("n").values) == [float(n) for n in range(20)]


def test_a_script_that_starts_itself_again_for_its_ranks_is_one_run(own_folder: Path) -> None:
    """As Lightning does: rank 0 learns of the launch, and sets the variables, after it has opened the run."""
    path = own_folder / "script.py"
    path.write_text("""
import os, subprocess, sys
from refunc.logging import experiment_context
with experiment_context("vision") as run:
    if "LOCAL_RANK" not in os.environ:
        os.environ.update(LOCAL_RANK="0", NODE_RANK="0", WORLD_SIZE="3", MASTER_ADDR="127.0.0.1", MASTER_PORT="1")
        others = [subprocess.Popen([sys.executable, *sys.argv], env={**os.environ, "LOCAL_RANK": str(rank)})
                  for rank in (1, 2)]
    else:
        others = []
    for step in range(3): run.log_metrics({"loss": float(os.environ["LOCAL_RANK"])}, step=step)
    for other in others: assert other.wait() == 0
""")
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [run] = open_store()
    assert (run.status, run.ranks) == ("completed", [1, 2])
    assert [list(run.metrics("loss", rank=rank).values) for rank in range(3)] == [
        [rank] * 3 for rank in (0.0, 1.0, 2.0)
    ]
    assert list(run.metrics("loss").values) == [0.0] * 3
