"""Runs that a child of multiprocessing opened and left open: they end as the child does, in each way to start one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from refunc.journal.reader import Account
from refunc.journal.record import RunEnd
from refunc.runs.store import open_store

_Parent = Callable[..., tuple[int, str, str]]

METHODS = pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])

_ENDINGS = """
def train(name):
    log.start_experiment("e", name)
    for n in range(20):
        log.log_metrics({"n": n})

def fail(text="boom"):
    raise RuntimeError(text)

def interrupted():
    raise KeyboardInterrupt

def fail_behind_a_thread():
    thread = threading.Thread(target=train, args=("in a thread",))
    thread.start(); thread.join()
    fail()

ENDINGS = {
    "return": lambda: None, "raise": fail, "exit": sys.exit, "exit 0": lambda: sys.exit(0),
    "exit 3": lambda: sys.exit(3), "exit text": lambda: sys.exit("no data"), "interrupted": interrupted,
    "_exit": lambda: os._exit(0), "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "in a thread": fail_behind_a_thread,
}

class Training(multiprocessing.get_context(sys.argv[1]).Process):
    def __init__(self, ending):
        super().__init__(); self.ending = ending
    def run(self):
        if self.ending != "in a thread":
            train(self.ending)
        ENDINGS[self.ending]()

if __name__ == "__main__":
    try:
        raise ValueError("of the parent, while it starts its children")
    except ValueError:
        children = [Training(ending) for ending in ENDINGS]
        for child in children: child.start()
        for child in children: child.join(30)
    print([child.exitcode for child in children])
"""


@METHODS
def test_a_run_that_a_child_left_open_ends_as_the_child_does(method: str, parent: _Parent, journal: Any) -> None:
    returned, out, err = parent(_ENDINGS, method)

    assert (returned, out) == (0, "[0, 1, 0, 0, 3, 1, 1, 0, -9, 1]\n"), err
    runs = {run.run_name: run for run in open_store()}
    assert {name: run.status for name, run in runs.items()} == {
        "return": "completed",
        "raise": "failed",
        "exit": "completed",
        "exit 0": "completed",
        "exit 3": "failed",
        "exit text": "failed",
        "interrupted": "interrupted",
        "_exit": "crashed",
        "killed": "crashed",
        "in a thread": "failed",
    }
    for name, run in runs.items():
        records, account = journal.read(run)
        # Whatever ends it: a child that logs little writes at once.
        assert journal.values(records, "n") == list(range(20)), name
        assert account == Account(torn=account.torn), name
        ends = [record for record in records if isinstance(record, RunEnd)]
        assert len(ends) == (run.status != "crashed"), name
        errors = [end.error or "" for end in ends]
        assert all(("RuntimeError: boom" in error) == (name in ("raise", "in a thread")) for error in errors), name


_NESTED = """
def inner():
    log.start_experiment("e", "inner")
    raise RuntimeError("boom")

def outer():
    log.start_experiment("e", "outer")
    child = multiprocessing.get_context("fork").Process(target=inner)
    child.start(); child.join()

if __name__ == "__main__":
    child = multiprocessing.get_context("fork").Process(target=outer)
    child.start(); child.join(); print(child.exitcode)
"""


def test_each_generation_has_an_end_of_its_own(parent: _Parent) -> None:
    returned, out, err = parent(_NESTED)

    assert (returned, out) == (0, "0\n"), err
    assert {run.run_name: run.status for run in open_store()} == {"outer": "completed", "inner": "failed"}


_TASKS = """
from concurrent.futures import ProcessPoolExecutor

def task(number):
    if number == 0:
        log.start_experiment("e", "trials")
    log.log_metrics({"n": number})
    if number == 1:
        raise RuntimeError("of a task")

if __name__ == "__main__":
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(sys.argv[1])) as pool:
        futures = [pool.submit(task, number) for number in range(3)]
        print([type(future.exception()).__name__ for future in futures])
"""


@METHODS
def test_an_exception_of_a_task_ends_no_worker_and_so_no_run(method: str, parent: _Parent, journal: Any) -> None:
    returned, out, err = parent(_TASKS, method)

    assert (returned, out) == (0, "['NoneType', 'RuntimeError', 'NoneType']\n"), err
    [run] = open_store()
    assert run.status == "completed"
    assert journal.values(journal.read(run)[0], "n") == [0, 1, 2]


_ANOTHER_HOOK = """
import multiprocessing.util

def finalize(name):
    # As libraries do: an exception that is dealt with, and a record, in the child's last moments.
    try: raise RuntimeError("dealt with")
    except RuntimeError: log.log_metrics({"last": 1})

def work():
    multiprocessing.util.Finalize(None, finalize, args=("it",), exitpriority=5)
    log.start_experiment("e", "run")

if __name__ == "__main__":
    child = multiprocessing.get_context(sys.argv[1]).Process(target=work)
    child.start(); child.join(); print(child.exitcode)
"""


@METHODS
def test_finalizers_of_others_still_log_into_the_run(method: str, parent: _Parent, journal: Any) -> None:
    returned, out, err = parent(_ANOTHER_HOOK, method)

    assert (returned, out) == (0, "0\n"), err
    [run] = open_store()
    records, _ = journal.read(run)
    assert run.status == "completed"
    assert journal.values(records, "last") == [1]
    assert sum(isinstance(record, RunEnd) for record in records) == 1
