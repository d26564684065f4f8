"""A run of several ranks and attempts, as a tracker gets it: one run, once, and the end when all have ended."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.launched import variables

from refunc.runs import open_store

pytestmark = pytest.mark.once

TRAINING = """
import os, sys, time
sys.path.insert(0, os.getcwd())
from refunc.logging import MLLogger, experiment_context
from probes import ProbeIntegration
rank = int(os.environ["RANK"])
log = MLLogger("train")
log.add_integration(ProbeIntegration())
together = int(os.environ.get("TOGETHER", "1"))
def are_there(): return sum(name.startswith("there") for name in os.listdir()) >= together
with experiment_context("e", "named", logger=log) as run:
    open(f"there{rank}", "w").close()
    while not are_there(): time.sleep(0.01)  # otherwise the run may have ended before the last rank comes
    run.log_hyperparams({"lr": 0.1, "rank": rank})
    for step in range(20): run.log_metrics({"loss": float(rank)}, step=step)
    log.info("info of %d", rank); log.warning("warning of %d", rank)
    if rank == 2:
        with open("rank2.txt", "w") as file: file.write("from rank 2")
        run.log_artifact("rank2.txt")
"""

Calls = Callable[..., list[dict[str, Any]]]
Launched = Callable[..., list[subprocess.CompletedProcess[str]]]


@pytest.mark.usefixtures("probes")
def test_a_tracker_gets_one_run_with_rank_0s_curves_and_what_people_need_of_others(
    launched: Launched, calls: Calls, tools: Any
) -> None:
    launched(TRAINING, 3, TOGETHER="3")
    tools.until(lambda: calls("end"))

    assert len(calls("start")) == len(calls("end")) == 1
    assert [call["status"] for call in calls("end")] == ["completed"]
    assert [call["params"] for call in calls("params")] == [{"lr": 0.1, "rank": 0}]
    writers = {writer for call in calls("metrics") for writer, _ in call["ids"]}
    assert [writer.rpartition("_")[2] for writer in writers] == ["r0"]
    assert sorted(step for call in calls("metrics") for step in call["steps"]) == list(range(20))
    messages = sorted(message for call in calls("log") for message in call["messages"])
    assert messages == ["info of 0", "warning of 0", "warning of 1", "warning of 2"]
    assert [call["files"] for call in calls("artifact")] == [[["rank2.txt", "from rank 2"]]]
    assert calls()[-1]["hook"] == "end", "after what the last rank has written"
    assert len({call["pid"] for call in calls()}) == 1, "one delivery for the run"


@pytest.mark.usefixtures("probes")
def test_other_ranks_metrics_come_under_names_of_their_own_where_they_are_asked_for(
    launched: Launched, calls: Calls, tools: Any
) -> None:
    launched(TRAINING, 2, REFUNC_RANK_METRICS="all", TOGETHER="2")
    tools.until(lambda: calls("end"))

    names = [name for call in calls("metrics") for each in call["names"] for name in each]
    assert {name: names.count(name) for name in set(names)} == {"loss": 20, "rank_1/loss": 20}


@pytest.mark.usefixtures("probes")
def test_a_failure_of_another_rank_is_the_runs_and_says_which(launched: Launched, calls: Calls, tools: Any) -> None:
    launched(TRAINING + "    if rank == 1: raise RuntimeError('out of memory')\n", 3, TOGETHER="3")
    tools.until(lambda: calls("end"))

    [end] = calls("end")
    assert end["status"] == "failed"
    assert end["error"].startswith("rank 1:\n")


@pytest.mark.extras  # the command line
@pytest.mark.usefixtures("probes")
def test_a_rank_that_comes_when_all_others_have_ended_is_delivered_and_counts(
    own_folder: Path, calls: Calls, tools: Any
) -> None:
    path = own_folder / "script.py"
    path.write_text(TRAINING + "    if rank == 1: raise RuntimeError('late, and out of memory')\n")
    for rank, ends in ((0, 1), (1, 2)):
        subprocess.run([sys.executable, str(path)], env=variables(rank, 2), capture_output=True, check=False)
        if rank == 1:
            subprocess.run([sys.executable, "-m", "refunc", "sync"], capture_output=True, check=True)
        tools.until(lambda ends=ends: len(calls("end")) == ends)

    assert [call["status"] for call in calls("end")] == ["completed", "failed"]
    assert "warning of 1" in [message for call in calls("log") for message in call["messages"]]


@pytest.mark.usefixtures("probes")
def test_rank_0_waits_for_no_other_and_delivery_does(own_folder: Path, calls: Calls, tools: Any) -> None:
    held = "    while rank == 1 and not os.path.exists('go'): time.sleep(0.01)\n    if rank == 2:"
    script = TRAINING.replace("    if rank == 2:", held)
    path = own_folder / "script.py"
    path.write_text(script)
    environ = {"REFUNC_EXIT_WAIT": "60", "TOGETHER": "2"}
    zero, one = (subprocess.Popen([sys.executable, str(path)], env=variables(rank, 2, **environ)) for rank in (0, 1))
    assert zero.wait(60) == 0
    assert one.poll() is None
    assert calls("end") == []
    Path("go").touch()
    assert one.wait(60) == 0
    tools.until(lambda: calls("end"))
    assert [call["status"] for call in calls("end")] == ["completed"]


@pytest.mark.usefixtures("probes")
@pytest.mark.parametrize("end", ["killed", "failed"])
def test_the_next_attempt_goes_on_with_the_same_run(end: str, own_folder: Path, calls: Calls, tools: Any) -> None:
    script = """
import json, os, sys
sys.path.insert(0, os.getcwd())
from refunc.logging import MLLogger, experiment_context
from probes import ProbeIntegration
log = MLLogger("train", "CRITICAL")
log.add_integration(ProbeIntegration())
first, last, how = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
state = {"run_id": sys.argv[4], "step": first - 1} if len(sys.argv) > 4 else None
with experiment_context("e", logger=log, resume=state) as run:
    for step in range(first, last): run.log_metrics({"loss": float(first)}, step=step)
    run.flush()
    if how == "killed": os.kill(os.getpid(), 9)
    if how == "failed": sys.exit(1)
"""
    path = own_folder / "script.py"
    path.write_text(script)
    subprocess.run([sys.executable, str(path), "0", "10", end], check=False)
    tools.until(lambda: calls("end"))
    [run] = open_store()
    subprocess.run([sys.executable, str(path), "5", "15", "completed", run.run_id], check=True)
    tools.until(lambda: len(calls("end")) == 2)

    assert [call["attempt"] for call in calls("start")] == [1, 2]
    assert [call["status"] for call in calls("end")] == ["crashed" if end == "killed" else "failed", "completed"]
    assert [step for call in calls("metrics") for step in call["steps"]] == [*range(10), *range(5, 15)]
    assert len(list(open_store())) == 1


@pytest.mark.extras  # the command line
@pytest.mark.usefixtures("probes")
def test_superseded_points_that_were_not_delivered_are_not_sent(own_folder: Path, calls: Calls, tools: Any) -> None:
    script = """
import os, sys
sys.path.insert(0, os.getcwd())
from refunc.logging import MLLogger, experiment_context
from probes import ProbeIntegration
log = MLLogger("train", "CRITICAL")
log.add_integration(ProbeIntegration())
with experiment_context("e", logger=log, resume="auto", resume_step=4 if sys.argv[1] == "2" else None) as run:
    for step in range(5 if sys.argv[1] == "2" else 0, 10): run.log_metrics({"loss": float(sys.argv[1])}, step=step)
    run.flush()
    if sys.argv[1] == "1": os.kill(os.getpid(), 9)
"""
    Path("down").touch()
    path = own_folder / "script.py"
    path.write_text(script)
    environ = {**os.environ, "REFUNC_EXIT_WAIT": "0", "REFUNC_DELIVERY_LINGER": "0"}
    for attempt in ("1", "2"):
        subprocess.run([sys.executable, str(path), attempt], env=environ, check=False)
    Path("down").unlink()
    done = subprocess.run([sys.executable, "-m", "refunc", "sync"], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    tools.until(lambda: calls("end"))
    assert sorted(step for call in calls("metrics") for step in call["steps"]) == list(range(10))
    assert [call["status"] for call in calls("end")] == ["completed"]
