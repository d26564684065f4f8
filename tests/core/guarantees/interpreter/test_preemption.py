"""Signals that come before the machine is taken away: the run is whole and says so, and the process ends as before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.record import Metrics
from refunc.logging import setup_logging
from refunc.runs import Run, open_store

# Without print: the signal that answers may arrive before the flush has ended, and a handler that prints then fails.
HEAD = """
import os, signal, sys, threading, time
from refunc.logging import experiment_context, get_logger, setup_logging
log = get_logger("train")
def told(): os.write(1, b"ready\\n")
"""


@contextmanager
def running(script: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Run a script up to the line "ready" on its stdout."""
    command = [sys.executable, "-c", HEAD + textwrap.dedent(script)]
    environ = {**os.environ, **variables}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.communicate()
        yield process
    finally:
        process.kill()
        process.communicate()


def only_run() -> Run:
    [run] = open_store()
    return run


ENDLESS = """
with experiment_context("e") as run:
    for step in range(10**9):
        run.log_metrics({"n": float(step)}, step=step)
        if step == 1000: told()
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
@pytest.mark.parametrize("durability", ["async", "process"])
def test_a_run_is_whole_and_preempted_and_the_signal_ends_the_process(
    name: str, durability: str, own_folder: Path, tools: Any
) -> None:
    """At any moment of a training that does nothing but log, so that the signal nearly always hits a write."""
    number = signal.Signals[name]
    script = f"setup_logging('CRITICAL', signals=[{name!r}])" + ENDLESS.replace(
        'context("e")', f'context("e", durability={durability!r})'
    )
    for _ in range(4):
        with running(script) as process:
            process.send_signal(number)
            assert process.wait(60) == -number
        run = list(open_store())[-1]
        assert run.status == "preempted"
        steps = [record.step for record in run.records() if isinstance(record, Metrics)]
        assert steps == list(range(len(steps)))
        assert run.summary.end is not None
        assert run.summary.end.error is None


def test_a_tracker_that_is_away_does_not_hold_it_up(own_folder: Path, tools: Any) -> None:
    """The test asserts the order: the process is gone while the tracker still takes nothing."""
    (own_folder / "away.py").write_text(
        "import os, time\nfrom refunc.plugins import Integration, hookimpl\nclass AwayIntegration(Integration):\n"
        "    @hookimpl\n    def on_metrics(self, run, records):\n"
        "        while not os.path.exists('back'): time.sleep(0.01)\n"
    )
    script = """
    from away import AwayIntegration
    setup_logging("CRITICAL", signals=["SIGTERM"])
    log.add_integration(AwayIntegration())
    with experiment_context("e", logger=log) as run:
        run.log_metrics({"n": 1.0}); run.flush(); told(); time.sleep(60)
    """
    path = os.pathsep.join([str(own_folder), os.environ.get("PYTHONPATH", "")])
    with running(script, PYTHONPATH=path) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == -signal.SIGTERM
        assert not Path("back").exists()
    Path("back").touch()
    assert only_run().status == "preempted"
    tools.until(lambda: not tools.delivery_pids(own_folder))  # without the folder, it would look for ever


def test_the_handler_from_before_comes_after_and_decides_how_the_process_ends(own_folder: Path) -> None:
    script = """
    def before(number, frame): os.write(1, b"before\\n"); sys.exit(128 + number)
    signal.signal(signal.SIGTERM, before)
    setup_logging("CRITICAL", signals=["SIGTERM"])
    with experiment_context("e") as run:
        run.log_metrics({"n": 1.0}, step=0); told()
        while True: time.sleep(0.01)
    """
    with running(script) as process:
        process.send_signal(signal.SIGTERM)
        out, errors = process.communicate(timeout=60)
        assert (out, process.returncode) == ("before\n", 143), errors
    run = only_run()
    assert (run.status, run.summary.end.error if run.summary.end else "") == ("preempted", None)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_signal_in_the_middle_of_a_printed_line_ends_the_run_as_at_any_other_moment(
    stream: str, own_folder: Path
) -> None:
    """Inside a flush Python runs handlers while the buffer is taken: writing to it again raises RuntimeError."""
    script = f"""
    import io
    class Raw(io.FileIO):
        def write(self, data):
            written = super().write(data)
            if bytes(data) == b"half\\n": os.kill(os.getpid(), signal.SIGTERM)
            return written
    sys.{stream} = io.TextIOWrapper(io.BufferedWriter(Raw(sys.{stream}.fileno(), "w", closefd=False)))
    setup_logging("INFO", signals=["SIGTERM"])
    with experiment_context("e", logger=log) as run:
        run.log_metrics({{"n": 1.0}}, step=0)
        print("half", file=sys.{stream}, flush=True)
        os._exit(5)
    """
    command = [sys.executable, "-c", HEAD + textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGTERM, done.stderr
    assert "half\n" in getattr(done, stream)
    assert (only_run().status, list(only_run().metrics("n").values)) == ("preempted", [1.0])


def test_a_handler_that_only_asks_to_stop_lets_the_training_stop(own_folder: Path) -> None:
    script = """
    stop = threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: stop.set())
    setup_logging("CRITICAL", signals=["SIGUSR1"])
    with experiment_context("e") as run:
        told()
        while not stop.is_set(): time.sleep(0.01)
        run.log_metrics({"saved": 1.0}, step=0)
    """
    with running(script) as process:
        process.send_signal(signal.SIGUSR1)
        assert process.wait(60) == 0
    assert only_run().status == "preempted", "so that a requeue goes on with it"
    assert list(only_run().metrics("saved").values) == [1.0]


def test_a_fault_after_the_signal_is_a_fault(own_folder: Path) -> None:
    script = """
    said = threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: said.set())
    setup_logging("CRITICAL", signals=["SIGUSR1"])
    with experiment_context("e") as run:
        told()
        while not said.is_set(): time.sleep(0.01)
        raise RuntimeError("no room for the checkpoint")
    """
    with running(script) as process:
        process.send_signal(signal.SIGUSR1)
        assert process.wait(60) == 1
    assert only_run().status == "failed"


def test_workers_that_their_pool_ends_preempt_nothing(own_folder: Path) -> None:
    path = own_folder / "script.py"
    path.write_text(
        HEAD
        + textwrap.dedent("""
        import multiprocessing
        def work(): time.sleep(60)
        if __name__ == "__main__":
            setup_logging("CRITICAL", signals=["SIGTERM"])
            with experiment_context("e"):
                process = multiprocessing.get_context("fork").Process(target=work)
                process.start(); time.sleep(0.2); process.terminate(); process.join()
                print(process.exitcode)
        """)
    )
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{-signal.SIGTERM}\n", done.stderr
    assert only_run().status == "completed"


@pytest.mark.usefixtures("clean_process")
def test_what_was_set_up_is_undone_by_the_next_call() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    setup_logging(signals=["SIGUSR1", "usr2", signal.SIGTERM])
    assert signal.getsignal(signal.SIGUSR1) is not before
    setup_logging(signals=["SIGUSR1", "usr2", signal.SIGTERM])
    setup_logging()
    assert signal.getsignal(signal.SIGUSR1) is before
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.usefixtures("clean_process")
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("SIGTREM", "'SIGTREM' is not a signal of this system. Did you mean SIGTERM"),
        (4_711, "4711 is not a signal"),
        ("SIGKILL", "no process can handle SIGKILL"),
        (True, "True is not a signal"),
    ],
)
def test_a_name_that_is_no_signal_is_said_at_once(given: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        setup_logging(signals=[given])


@pytest.mark.usefixtures("clean_process")
def test_another_thread_is_told_where_to_call_it() -> None:
    said: list[str] = []

    def call() -> None:
        try:
            setup_logging(signals=["SIGTERM"])
        except ValueError as error:
            said.append(str(error))

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert "in the main thread only" in said[0]
