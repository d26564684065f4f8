"""However a process ends, its run says how, and every record that it could still write is there."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

from refunc.journal.reader import Account
from refunc.journal.record import LogLine, RunEnd
from refunc.runs.run import Run

_Finished = Callable[..., tuple[int, str, str]]

_ENDS = {
    "plain end": ("", 0, "completed"),
    "uncaught exception": ('raise ValueError("no data")', 1, "failed"),
    "uncaught exception for a hook that replaces refunc's": (
        'sys.excepthook = lambda *error: None; raise ValueError("no data")',
        1,
        "failed",
    ),
    "uncaught interrupt": ("raise KeyboardInterrupt", -2, "interrupted"),
    "exit with a code in a context": (
        'with experiment_context("e", logger=log): log.log_metrics({"n": 99}); sys.exit(3)',
        3,
        "failed",
    ),
    "clean exit in a context": (
        'with experiment_context("e", logger=log): log.log_metrics({"n": 99}); sys.exit(0)',
        0,
        "completed",
    ),
    "exception in a thread": (
        "thread = threading.Thread(target=lambda: 1 / 0); thread.start(); thread.join()",
        0,
        "completed",
    ),
}


@pytest.mark.parametrize("name", _ENDS)
def test_the_run_says_how_the_process_ended(name: str, finished: _Finished, journal: Any) -> None:
    from refunc.runs.store import open_store

    ending, code, status = _ENDS[name]
    returned, _, err = finished(f"""
    {"log.start_experiment('plain')" if "experiment_context" not in ending else "pass"}
    if {"experiment_context" not in ending}:
        for n in range(100):
            log.log_metrics({{"n": n}})
    {ending}
    """)

    assert returned == code, err
    run = list(open_store())[-1]
    records, account = journal.read(run)
    assert run.status == status
    assert account == Account()
    assert journal.values(records, "n")[-1] == 99
    end = next(record for record in records if isinstance(record, RunEnd))
    assert (end.error is None) == (status == "completed" or name == "clean exit in a context")
    if name.startswith("uncaught exception"):
        assert "ValueError: no data" in (end.error or "")


@pytest.mark.parametrize("ending", ["os._exit(0)", "os.abort()", "os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)"])
def test_a_process_that_ends_without_a_word_leaves_a_crashed_run(
    ending: str, finished: _Finished, only_run: Callable[[], Run]
) -> None:
    finished(f"""
    log.log_metrics({{"n": 1}})
    log.flush()
    {ending}
    """)

    assert only_run().status == "crashed"


def test_a_run_reads_as_running_while_its_process_lives(
    script: Callable[..., subprocess.Popen[str]], only_run: Callable[[], Run]
) -> None:
    process = script("""
    log.log_metrics({"n": 1})
    log.flush()
    print("here", flush=True)
    sys.stdin.read()
    """)
    assert process.stdout is not None
    process.stdout.readline()

    assert only_run().status == "running"
    process.kill()
    process.wait()
    assert only_run().status == "crashed"


def test_ctrl_c_interrupts_the_run(
    script: Callable[..., subprocess.Popen[str]], only_run: Callable[[], Run], journal: Any
) -> None:
    process = script("""
    with experiment_context("e", logger=log):
        for n in range(100):
            log.log_metrics({"n": n})
        print("here", flush=True)
        time.sleep(60)
    """)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)

    assert only_run().status == "interrupted"
    records, account = journal.read(only_run())
    assert journal.values(records, "n") == list(range(100))
    assert account == Account()


def test_an_impatient_ctrl_c_at_exit_loses_nothing(
    script: Callable[..., subprocess.Popen[str]], only_run: Callable[[], Run], journal: Any
) -> None:
    """SIGINT again and again while the exit drains: everything is written, and the run has its end."""
    process = script("""
    print("here", flush=True)
    for n in range(30_000):
        log.log_metrics({"n": n})
    raise KeyboardInterrupt
    """)
    assert process.stdout is not None
    process.stdout.readline()
    while process.poll() is None:
        if list(_segments_of(process)):
            process.send_signal(signal.SIGINT)
        time.sleep(0.02)

    records, account = journal.read(only_run())
    found = journal.values(records, "n")
    assert found == list(range(len(found)))
    assert account == Account()
    assert only_run().status == "interrupted"
    assert sum(isinstance(record, RunEnd) for record in records) == 1


def test_a_run_that_failed_says_so_where_its_traceback_cannot_be_formatted(
    finished: _Finished, only_run: Callable[[], Run]
) -> None:
    """As where Ctrl-C comes a second time while the source is read for it: the run was said to be completed."""
    code, _, err = finished("""
    import traceback
    def interrupted(*_): raise KeyboardInterrupt
    traceback.format_exception = interrupted
    log.log_metrics({"n": 1})
    raise ValueError("no data")
    """)

    assert code == 1, err
    assert only_run().status == "failed"


def _segments_of(process: subprocess.Popen[str]) -> Any:
    from pathlib import Path

    return Path("experiments").glob("*/journal/*.jsonl")


@pytest.mark.parametrize("when", ["before the import", "after the import", "after the first record"])
def test_atexit_handlers_of_the_user_may_log(
    when: str, finished: _Finished, only_run: Callable[[], Run], journal: Any
) -> None:
    """Whether theirs runs before or behind refunc's own: the record is in the one run, and the run has ended."""
    register = 'atexit.register(lambda: (log.log_metrics({"late": 1}), log.error("late line")))'
    steps = {"before the import": "", "after the import": "", "after the first record": ""}
    steps[when] = register
    prelude = f"import atexit\n{steps['before the import']}\nfrom refunc.logging import MLLogger\n"
    returned, _, err = finished(
        f"""
        log = MLLogger("train", "ERROR")
        {steps["after the import"]}
        log.log_metrics({{"n": 1}})
        {steps["after the first record"]}
        """,
        prelude=prelude,
    )

    assert returned == 0, err
    assert "Traceback" not in err
    records, account = journal.read(only_run())
    assert journal.values(records, "late") == [1]
    assert any(isinstance(record, LogLine) and record.message == "late line" for record in records)
    assert only_run().status == "completed"
    assert account == Account()


def test_a_run_that_begins_behind_the_exit_is_ended(finished: _Finished, only_run: Callable[[], Run]) -> None:
    returned, _, err = finished(
        'log = MLLogger("train", "ERROR")',
        prelude='import atexit\natexit.register(lambda: log.log_metrics({"n": 1}))\n'
        "from refunc.logging import MLLogger\n",
    )

    assert returned == 0, err
    assert "Traceback" not in err
    assert only_run().status == "completed"


def test_del_at_the_end_of_the_interpreter_may_log(
    finished: _Finished, only_run: Callable[[], Run], journal: Any
) -> None:
    returned, _, err = finished("""
    class Model:
        def __del__(self, log=log):
            log.log_metrics({"deleted": 1})
            log.error("deleted")

    model = Model()
    cycle = Model(); cycle.me = cycle
    log.log_metrics({"n": 1})
    """)

    assert returned == 0, err
    assert "Traceback" not in err
    records, account = journal.read(only_run())
    assert journal.values(records, "deleted") == [1, 1]
    assert account == Account()


def test_a_thread_that_goes_on_behind_the_main_thread_is_recorded(
    finished: _Finished, only_run: Callable[[], Run], journal: Any
) -> None:
    returned, _, err = finished("""
    log.log_metrics({"n": -1})
    def work():
        time.sleep(0.2)
        for n in range(1000):
            log.log_metrics({"n": n})
    threading.Thread(target=work).start()
    """)

    assert returned == 0, err
    records, _ = journal.read(only_run())
    assert journal.values(records, "n") == list(range(-1, 1000))
    assert only_run().status == "completed"


def test_disabled_there_is_no_file_and_no_thread(finished: _Finished) -> None:
    import os

    before = set(os.listdir())
    returned, out, err = finished(
        """
        with experiment_context("e", parameters={"lr": 1}, tags={"a": "b"}) as run:
            for n in range(1000):
                log.log_metrics({"n": n})
            log.error("error"); log.log_result("r", 1); log.log_artifact(sys.argv[0]); log.flush(sync=True)
        log.log_metrics({"implicit": 1})
        print(threading.active_count())
        """,
        REFUNC_MODE="disabled",
    )

    assert returned == 0, err
    assert out == "1\n"
    assert set(os.listdir()) - before == {"script0.py"}
