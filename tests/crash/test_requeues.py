"""
A training of four ranks that is killed at random steps and requeued each time: one run, each step once, nothing lost.

The checkpoint is of every twentieth step, so each attempt passes some steps again.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.launched import variables

from refunc.runs import open_store

pytestmark = [pytest.mark.crash, pytest.mark.timeout(3600)]

RANKS, STEPS = 4, 400

TRAINING = """
import json, os, sys
from refunc.logging import MLLogger, experiment_context
rank, stop = int(os.environ["RANK"]), int(os.environ["STOP"])
attempt = int(os.environ["SLURM_RESTART_COUNT"])
with experiment_context("e", logger=MLLogger("quiet", "CRITICAL")) as run:
    begin = 0
    if os.path.exists("loaded.json"):
        with open("loaded.json") as file: state = json.load(file)
        run.load_state_dict(state)
        begin = state["step"] + 1
    for step in range(begin, 400):
        run.log_metrics({"loss": attempt + rank / 10}, step=step)
        if rank == 0 and step % 20 == 19 and step < stop:
            assert run.flush(sync=True)
            with open("draft.json", "w") as file: json.dump(run.state_dict(), file)
            os.replace("draft.json", "checkpoint.json")
        if step == stop: assert run.flush(); os.kill(os.getpid(), 9)
"""


def test_every_step_is_there_once_with_the_value_of_the_last_attempt_that_passed_it(
    own_folder: Path, times: Callable[[float, float], int], chance: random.Random
) -> None:
    path = own_folder / "train.py"
    path.write_text(TRAINING)
    expected: dict[int, int] = {}
    saved, attempt, passed = -1, 0, 0
    kills = times(12, 200)
    while saved < STEPS - 1:
        # Most kills come soon after the checkpoint, so that there are as many as asked for.
        far = attempt >= kills
        stop = STEPS + 100 if far else min(saved + 1 + chance.randrange(1, 2 * max(2, STEPS // kills)), STEPS - 2)
        environ = {"SLURM_JOB_ID": "812", "SLURM_STEP_ID": "0", "SLURM_RESTART_COUNT": str(attempt), "STOP": str(stop)}
        if Path("checkpoint.json").exists():  # the same for all ranks, which here do not wait for each other
            shutil.copy("checkpoint.json", "loaded.json")
        processes = [
            subprocess.Popen([sys.executable, str(path)], env=variables(rank, RANKS, **environ))
            for rank in range(RANKS)
        ]
        assert [process.wait(100) for process in processes] == [0 if far else -9] * RANKS
        last = min(stop, STEPS - 1)
        passed += last - saved
        expected |= dict.fromkeys(range(saved + 1, last + 1), attempt)
        saved = STEPS - 1 if far else max(saved, (last // 20) * 20 - 1)
        expected = {step: value for step, value in expected.items() if step <= saved} if not far else expected
        attempt += 1

    [run] = open_store()
    assert (run.status, run.attempt, run.ranks) == ("completed", attempt, list(range(RANKS)))
    for rank in range(RANKS):
        curve = run.metrics("loss", rank=rank)
        assert list(curve.steps) == list(range(STEPS))
        assert list(curve.values) == [expected[step] + rank / 10 for step in range(STEPS)]
        assert len(run.metrics("loss", rank=rank, attempts="all")) == passed, "nothing that was acknowledged is lost"
