"""One run for all ranks of a launch, told by the variables that a launcher sets; real launchers: tests/launchers."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.launched import variables

from refunc.journal.ranks import rank_files
from refunc.runs import Run, open_store

TRAINING = """
import os, sys, time
from refunc.logging import experiment_context, get_logger
log = get_logger("train")
rank = int(os.environ["RANK"])
with experiment_context("vision", f"named by rank {rank}") as run:
    run.log_hyperparams({"lr": 0.1, "rank": rank})
    for step in range(10):
        run.log_metrics({"loss": 1.0 + rank}, step=step)
    if rank == 1: run.log_metrics({"only/rank1": 5.0}, step=3)
    log.info("INFO of %d", rank); log.warning("WARNING of %d", rank)
"""

Launched = Callable[..., Any]


def only_run() -> Run:
    [run] = open_store()
    return run


def test_all_ranks_are_one_run_and_each_records_whole(launched: Launched) -> None:
    launched(TRAINING)

    run = only_run()
    assert run.status == "completed"
    assert run.ranks == [0, 1, 2, 3]
    assert [(writer.rank, writer.points, writer.lines) for writer in run.writers] == [
        *((0, 10, 2), (1, 11, 2), (2, 10, 2), (3, 10, 2))
    ]
    assert list(run.metrics("loss").values) == [1.0] * 10
    assert list(run.metrics("loss", rank=3).values) == [4.0] * 10
    assert len(run.metrics("loss", rank="all")) == 40
    assert list(run.metrics("loss", rank="mean").values) == [2.5] * 10
    assert list(run.metrics("only/rank1").values) == [5.0], "the lowest rank that has logged it stands for it"
    assert run.summary.metrics["loss"].count == 10
    assert run.params == {"lr": 0.1, "rank": 0}


def test_the_console_has_each_line_once_and_the_warnings_of_all(launched: Launched) -> None:
    said = [done.stderr for done in launched(TRAINING)]

    assert ["INFO of" in each for each in said] == [True, False, False, False]
    assert all("WARNING of" in each for each in said)
    assert [each.count("[rank 2] ") for each in said] == [0, 0, 1, 0]
    assert ["started: " in each for each in said] == [True, False, False, False]
    assert sorted(path.name for path in Path("logs").glob("train*")) == [
        *("train.log", "train.rank1.log", "train.rank2.log", "train.rank3.log")
    ]


def test_the_level_from_which_other_ranks_speak_can_be_chosen(launched: Launched) -> None:
    said = [done.stderr for done in launched(TRAINING, 2, REFUNC_RANK_LEVEL="info")]
    assert ["INFO of" in each for each in said] == [True, True]


def test_ranks_may_come_in_any_order_and_long_after_each_other(launched: Launched) -> None:
    launched(TRAINING, delays={0: 2.0, 1: 1.0})
    assert only_run().ranks == [0, 1, 2, 3]


def test_a_wrapper_a_rank_hides_no_launcher(own_folder: Path) -> None:
    """A shell, `timeout`, a profiler: started by the launcher, and the parent of one rank each."""
    path = own_folder / "script.py"
    path.write_text("from refunc.logging import *\nwith experiment_context('e') as run: run.log_metrics({'n': 1.0})")
    wrapped = f"{shlex.quote(sys.executable)} {path}; true"
    command = ["sh", "-c", f"sh -c {shlex.quote(wrapped)}; true"]
    started = [subprocess.Popen(command, env=variables(rank, 3), stderr=subprocess.PIPE) for rank in range(3)]
    for process in started:
        process.communicate(timeout=60)
    assert only_run().ranks == [0, 1, 2]


def test_the_nth_run_of_a_script_is_the_nth_on_every_rank(launched: Launched) -> None:
    script = """
import os
from refunc.logging import experiment_context
for number in range(3):
    with experiment_context("sweep") as run: run.log_metrics({"number": float(number)}, step=int(os.environ["RANK"]))
"""
    launched(script, 3)

    for number, run in enumerate(open_store()):
        assert (run.ranks, set(run.metrics("number", rank="all").values)) == ([0, 1, 2], {float(number)})
    assert len(list(open_store())) == 3


def test_implicit_runs_of_ranks_are_one_run(launched: Launched) -> None:
    launched("from refunc.logging import log_metrics; log_metrics({'loss': 1.0})", 3)
    assert only_run().ranks == [0, 1, 2]


def test_workers_of_ranks_belong_to_their_rank(launched: Launched) -> None:
    script = """
import multiprocessing, os
from refunc.logging import experiment_context
def work(run, number): run.log_metrics({"worker": float(number)}, step=number); run.flush()
if __name__ == "__main__":
    with experiment_context("vision") as run:
        run.log_metrics({"loss": 1.0})
        for method in ("fork", "spawn"):
            process = multiprocessing.get_context(method).Process(target=work, args=(run, 7))
            process.start(); process.join()
"""
    launched(script, 2)

    run = only_run()
    assert [writer.rank for writer in run.writers] == [0, 0, 0, 1, 1, 1]
    for rank in (0, 1):
        assert list(run.metrics("worker", rank=rank).values) == [7.0, 7.0]


def test_workers_that_were_told_nothing_find_the_run_of_their_rank(launched: Launched) -> None:
    """Also that of an attempt, whose `run.json` another process made; they stay in it while an inner one is open."""
    script = """
import multiprocessing, os, sys
from refunc.logging import experiment_context, log_metrics
def work(number): log_metrics({"worker": float(number)}, step=number)
def stay(inner, outer):
    log_metrics({"stays": 1.0}, step=0); outer.set(); inner.wait()
    log_metrics({"stays": 2.0}, step=1)
if __name__ == "__main__":
    with experiment_context("vision") as run:
        for number, method in enumerate(("fork", "spawn")):
            context = multiprocessing.get_context(method)
            process = context.Process(target=work, args=(number,)); process.start(); process.join()
        inner, outer = context.Event(), context.Event()
        process = context.Process(target=stay, args=(inner, outer)); process.start(); outer.wait()
        with experiment_context("inner"):
            inner.set(); process.join()
        if os.environ["TORCHELASTIC_RESTART_COUNT"] == "0": run.flush(); os._exit(1)
"""
    for restart in range(2):
        folder = f"/x/job/attempt_{restart}/"
        launched(script, 2, TORCHELASTIC_RESTART_COUNT=str(restart), TORCHELASTIC_ERROR_FILE=folder)

    [run] = [run for run in open_store() if run.experiment_name == "vision"]
    assert {each.experiment_name for each in open_store()} == {"vision", "inner"}
    assert [(writer.rank, writer.attempt) for writer in run.writers if writer.points] == [
        (rank, attempt) for attempt in (1, 2) for rank in range(2) for _ in range(3)
    ]
    for rank in range(2):
        assert list(run.metrics("worker", rank=rank).steps) == [0, 1]
        assert list(run.metrics("stays", rank=rank).values) == [1.0, 2.0]


def test_a_run_has_failed_if_one_rank_has_and_says_which(launched: Launched) -> None:
    script = TRAINING.replace('log.info("INFO', 'if rank == 2: raise RuntimeError("out of memory")\n    log.info("INFO')
    done = launched(script)

    run = only_run()
    assert [each.returncode for each in done] == [0, 0, 1, 0]
    assert run.status == "failed"
    assert run.summary.end is not None
    assert run.summary.end.error is not None
    assert run.summary.end.error.startswith("rank 2:\n")
    assert "out of memory" in run.summary.end.error


def test_a_run_goes_on_while_one_rank_lives_and_has_crashed_when_none_does(
    launched: Launched, own_folder: Path
) -> None:
    script = """
import os, time
from refunc.logging import experiment_context
with experiment_context("vision") as run:
    run.log_metrics({"loss": 1.0}); run.flush()
    if os.environ["RANK"] == "0": os._exit(9)
    while not os.path.exists("over"): time.sleep(0.01)
    if os.path.exists("kill"): os._exit(9)
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", script], env=variables(rank, 3), stderr=subprocess.DEVNULL)
        for rank in range(3)
    ]
    assert processes[0].wait(60) == 9
    deadline = time.monotonic() + 30
    while len([file for run in open_store() for file in rank_files(run.folder)]) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert only_run().status == "running", "rank 0 is gone alone"
    Path("over").touch()
    for process in processes:
        process.wait(60)
    assert only_run().status == "crashed", "rank 0 has no end"


def test_a_copy_of_a_run_whose_ranks_have_all_ended_has_ended(launched: Launched) -> None:
    """On another host their locks cannot be seen, and their last records are of the last hour."""
    launched(TRAINING, 2)
    for file in rank_files(only_run().folder):
        facts = file.facts()
        facts["opened_by"].update(boot="of another host", machine="another host", pids="pid:[1]")
        file.path.write_text(json.dumps(facts | {"host": "node8"}))
    assert only_run().status == "completed"


def test_a_restart_that_the_launcher_counts_goes_on_as_the_next_attempt(launched: Launched) -> None:
    script = """
import os
from refunc.logging import experiment_context
attempt = int(os.environ["TORCHELASTIC_RESTART_COUNT"])
with experiment_context("vision") as run:
    for step in range(5 * attempt, 20):
        run.log_metrics({"loss": float(attempt)}, step=step)
        if step == 5 * attempt + 9 and attempt < 2:
            run.flush(); os._exit(1)
"""
    for restart in range(3):
        launched(
            script, 2, TORCHELASTIC_RESTART_COUNT=str(restart), TORCHELASTIC_ERROR_FILE=f"/x/job/attempt_{restart}/"
        )

    run = only_run()
    assert (run.status, run.attempt) == ("completed", 3)
    curve = run.metrics("loss")
    assert list(curve.steps) == list(range(20))
    assert list(curve.values) == [0.0] * 5 + [1.0] * 5 + [2.0] * 10
    assert len(run.metrics("loss", attempts="all")) == 10 + 10 + 10
    assert list(run.metrics("loss", rank=1).values) == list(curve.values)


def test_ranks_go_on_with_a_run_in_any_order_and_as_often_as_they_like(launched: Launched) -> None:
    """The first rank may be through before the last one comes."""
    script = """
import sys
from refunc.logging import experiment_context
for number in range({times}):
    with experiment_context("vision", resume="auto") as run:
        run.log_metrics({{"loss": float(number)}}, step=number)
        if number < {times} - 1 or {fails}: run.end_run("failed")
"""
    launched(script.format(times=1, fails=True), 2)
    launched(script.format(times=3, fails=False), 2, delays={0: 1.5}, MASTER_PORT="29512", GROUP_RANK="1")

    run = only_run()
    assert (run.attempt, run.status) == (4, "completed")
    assert [(writer.attempt, writer.rank) for writer in run.writers] == [(a, r) for a in (1, 2, 3, 4) for r in (0, 1)]


def test_the_id_of_a_rendezvous_may_be_the_same_for_many_starts(launched: Launched) -> None:
    """A restart goes on with the run of its own torchrun, not with one that an earlier start has left."""
    script = """
import os
from refunc.logging import experiment_context
with experiment_context("vision") as run:
    run.log_metrics({"loss": 1.0}); run.flush()
    if os.environ["FAILS"]: os._exit(1)
"""
    variables = {"TORCHELASTIC_RUN_ID": "100"}
    for folder, restart, fails in (("/x/a", 0, "yes"), ("/x/b", 0, "yes"), ("/x/b", 1, "")):
        error_file = f"{folder}/attempt_{restart}/"
        launched(
            script, 2, TORCHELASTIC_RESTART_COUNT=str(restart), TORCHELASTIC_ERROR_FILE=error_file, FAILS=fails,
            **variables,
        )  # fmt: skip
    assert [(run.status, run.attempt, run.ranks) for run in open_store()] == [
        ("crashed", 1, [0, 1]),
        ("completed", 2, [0, 1]),
    ]


def test_two_starts_are_two_runs(launched: Launched) -> None:
    launched(TRAINING, 2)
    launched(TRAINING, 2, MASTER_PORT="29512")
    assert [run.ranks for run in open_store()] == [[0, 1], [0, 1]]


def test_ranks_with_other_names_are_runs_of_their_own_and_told(launched: Launched) -> None:
    script = TRAINING.replace('experiment_context("vision"', 'experiment_context(f"vision{rank}"')
    said = "".join(done.stderr for done in launched(script, 2, delays={1: 1.0}))

    assert sorted(run.experiment_name for run in open_store()) == ["vision0", "vision1"]
    assert said.count("The ranks of a launch share a run if they give it the same experiment name.") == 1


@pytest.mark.parametrize("variable", [{"RANK": "two"}, {"WORLD_SIZE": "1"}])
def test_a_value_that_no_launcher_sets_is_one_warning(variable: dict[str, str], own_folder: Path) -> None:
    environ = {**variables(1, 2), **variable}
    script = "from refunc.logging import *\nwith experiment_context('vision') as run: run.log_metrics({'loss': 1.0})"
    done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True)

    assert done.returncode == 0
    assert done.stderr.count("was not launched") == 1
    assert f"{next(iter(variable))}=" in done.stderr or "RANK=1" in done.stderr
    assert only_run().ranks == []


def test_sixty_four_processes_open_one_run_at_once(own_folder: Path) -> None:
    """None waits for another; file operations of each are counted, not timed. All are forked, and begin together."""
    script = """
import os, sys
from refunc.processes.launch import launch
from refunc.logging.active import launched
from pathlib import Path
waiting, go = os.pipe()
for rank in range(64):
    if not os.fork():
        os.close(go); os.read(waiting, 1)
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank))
        calls = []
        counted = ("open", "os.scandir", "os.link", "os.mkdir")
        sys.addaudithook(lambda event, args: event in counted and calls.append(event))
        joined = launched.join(launch(), Path("experiments"), {"experiment_name": "e", "run_name": None, "run_id": "x",
                               "format": 1, "start_time": 1.0})
        os.write(1, f"{joined.folder.path.name} {len(calls)}\\n".encode())
        os._exit(0)
os.close(go)
assert {os.wait()[1] for rank in range(64)} == {0}
"""
    environ = {name: value for name, value in variables(0, 64).items() if name not in ("RANK", "LOCAL_RANK")}
    done = subprocess.run([sys.executable, "-c", script], env=environ, stdout=subprocess.PIPE, text=True, timeout=100)
    said = [line.split() for line in done.stdout.splitlines()]

    assert (done.returncode, len(said)) == (0, 64)
    assert len({name for name, _ in said}) == 1
    assert max(int(calls) for _, calls in said) < 120
    [folder] = Path("experiments").iterdir()
    assert len(rank_files(folder)) == 64
    assert json.loads((folder / "run.json").read_text())["experiment_name"] == "e"


def test_the_value_in_a_list_of_runs_is_rank_0s(launched: Launched) -> None:
    launched(TRAINING, 3, delays={2: 0.5})
    run = only_run()
    assert run.glance().metrics == {"loss": 1.0, "only/rank1": 5.0}
