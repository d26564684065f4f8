"""Ranks that come while another one opens the run, or has closed it again: one run, and one attempt."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from refunc.runs import open_store

#: Rank 1 stops just before it calls a function that looks at the run; rank 0 opens, and may close, the run meanwhile.
SCRIPT = """
import importlib, os, sys, time
from pathlib import Path
from refunc.logging import experiment_context
def wait(name):
    while not Path(name).exists(): time.sleep(0.01)
module, name, resume, ends = sys.argv[1:]
rank = int(os.environ["RANK"])
if rank == 1 and Path("second").exists():
    module = importlib.import_module(module)
    before = getattr(module, name)
    def late(*given):
        Path("go").touch(); wait("done")
        return before(*given)
    setattr(module, name, late)
elif Path("second").exists(): wait("go")
with experiment_context("line", resume=resume or None) as run:
    run.log_metrics({"loss": 1.0}); run.flush()
    if not Path("second").exists(): os._exit(1)
    if rank == 0 and not ends: Path("done").touch(); wait("over")
Path("done" if rank == 0 else "over").touch()
"""


def start(rank: int, restart: int, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    environ = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    environ |= {"TORCHELASTIC_RESTART_COUNT": str(restart), "TORCHELASTIC_RUN_ID": "none", "MASTER_PORT": str(restart)}
    environ |= {"TORCHELASTIC_ERROR_FILE": f"/x/job/attempt_{restart}/{rank}/error.json", **variables}
    command = [sys.executable, "-c", SCRIPT, *arguments]
    return subprocess.Popen(command, env={**os.environ, **environ}, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("ends", ["", "ends"])
@pytest.mark.parametrize(
    ("function", "resume", "run_id"),
    [("launched _why_not_again", "", ""), ("launched _why_not_again", "", "night-7"), ("resumed life_of", "auto", "")],
)
def test_a_rank_that_looks_while_another_begins_the_attempt_is_in_it(
    function: str, resume: str, run_id: str, ends: str, own_folder: Path
) -> None:
    module, name = function.split()
    arguments = (f"refunc.logging.active.{module}", name, resume, ends)
    variables = {"REFUNC_RUN_ID": run_id} if run_id else {}
    for restart in range(2):
        processes = [start(rank, restart, *arguments, **variables) for rank in range(2)]
        said = [process.communicate(timeout=60)[1] for process in processes]
        Path("second").touch()

    assert [process.returncode for process in processes] == [0, 0], said
    [run] = open_store()
    assert (run.status, run.attempt, run.ranks) == ("completed", 2, [0, 1])


def test_a_rank_that_looks_for_a_run_to_resume_while_another_makes_it_is_in_it(own_folder: Path) -> None:
    """Rank 0 stops within the making of the run's files, after each of them."""
    script = """
import os, sys, time
from pathlib import Path
from refunc.logging import experiment_context
from refunc.outlets.replaced import Draft
rank = int(os.environ["RANK"])
put = Draft.put_new
def slow(*given, **named):
    put(*given, **named); Path("made").touch(); time.sleep(1)
if rank == 0: Draft.put_new = slow
while rank == 1 and not Path("made").exists(): time.sleep(0.01)
with experiment_context("line", resume="auto") as run: run.log_metrics({"loss": 1.0})
"""
    variables = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script], env={**os.environ, **variables, "RANK": str(rank)}, stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    said = [process.communicate(timeout=60)[1] for process in processes]

    assert [process.returncode for process in processes] == [0, 0], said
    [run] = open_store()
    assert (run.status, run.attempt, run.ranks) == ("completed", 1, [0, 1])
