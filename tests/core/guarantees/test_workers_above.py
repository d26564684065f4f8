"""
Workers that `multiprocessing` did not start, and that outlive a run: they log to the next run of the process above.

Ray's daemon, the raylet, starts its workers before there is work for them. Here a process stands in for it, which sets
the variable that it sets; tests/frameworks has Ray itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from refunc.logging import MLLogger, experiment_context
from refunc.runs import open_store

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the open files of another process are read from /proc"),
    pytest.mark.usefixtures("clean_process"),
]

WORKER = """
import sys
from refunc.logging import MLLogger
log = MLLogger("worker", "CRITICAL")
for line in sys.stdin:
    log.log_metrics({line.strip(): 1.0})
    log.flush()
    print("logged", flush=True)
"""
RAYLET = f"""
import os, subprocess, sys
environ = {{**os.environ, "RAY_RAYLET_PID": str(os.getpid())}}
subprocess.run([sys.executable, "-c", {WORKER!r}], env=environ, check=True)
"""

Start = Callable[[str], Callable[[str], None]]


@pytest.fixture
def start(own_folder: Path) -> Iterator[Start]:
    """Start a process; return a call that has its worker log a metric."""
    elsewhere = own_folder / "elsewhere"
    elsewhere.mkdir()
    environ = {name: value for name, value in os.environ.items() if name != "REFUNC_DIR"}
    with ExitStack() as stack:

        def started(code: str) -> Callable[[str], None]:
            process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=-1,
                stdout=-1,
                text=True,
                cwd=elsewhere,
                env={**os.environ, **environ},
            )
            stack.enter_context(process)
            assert process.stdin is not None
            stack.callback(process.stdin.close)

            def log(name: str) -> None:
                print(name, file=process.stdin, flush=True)
                assert process.stdout is not None
                assert process.stdout.readline() == "logged\n"

            return log

        yield started


def metrics(folder: Path) -> dict[str | None, list[str]]:
    return {run.run_name: sorted(run.summary.metrics) for run in open_store(folder / "experiments")}


QUIET = MLLogger("quiet", "CRITICAL")


def test_a_worker_of_ray_from_before_the_run_logs_to_each_run_of_its_driver(start: Start, own_folder: Path) -> None:
    log = start(RAYLET)
    for name in ("first", "second"):
        with experiment_context("driver", name, logger=QUIET):
            log(name)
    assert metrics(own_folder) == {"first": ["first"], "second": ["second"]}


def test_a_script_that_outlives_the_run_that_started_it_logs_to_the_next_one(start: Start, own_folder: Path) -> None:
    with experiment_context("driver", "first", logger=QUIET):
        log = start(WORKER)
        log("a")
    with experiment_context("driver", "second", logger=QUIET):
        log("b")
    assert metrics(own_folder) == {"first": ["a"], "second": ["b"]}


def test_of_several_runs_a_worker_takes_the_one_that_contains_all(start: Start, own_folder: Path) -> None:
    log = start(RAYLET)
    with experiment_context("driver", "search", logger=QUIET) as search, ExitStack() as trials:
        for name in ("one", "two"):
            trials.enter_context(experiment_context("driver", name, logger=QUIET, parent=search))
        log("a")
    assert metrics(own_folder) == {"search": ["a"], "one": [], "two": []}


def test_a_run_that_only_names_the_driver_is_not_the_drivers(start: Start, own_folder: Path) -> None:
    with experiment_context("driver", "forged", logger=QUIET) as run:
        folder = run.folder
        assert folder is not None
    log = start(RAYLET)
    locked = f"file = open({str(folder / 'run.json')!r}); fcntl.flock(file, fcntl.LOCK_EX)"
    holder = f"import fcntl; {locked}; print(flush=True); input()"
    with (
        open(folder / "run.json") as file,  # the driver has the file open, and another process has the lock
        subprocess.Popen([sys.executable, "-c", holder], stdin=-1, stdout=-1, text=True) as other,
    ):
        assert other.stdout is not None
        assert other.stdout.readline() == "\n"
        for end in folder.glob("journal/*"):
            end.unlink()  # so that it reads as running
        log("a")
        other.communicate("\n")
    assert file.closed
    assert metrics(own_folder)["forged"] == []
    [implicit] = open_store(own_folder / "elsewhere" / "experiments")
    assert list(implicit.summary.metrics) == ["a"]
