"""Workers whose parent ends a run and opens the next one: they write to the run that it is in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from refunc.runs.store import open_store

_Parent = Callable[..., tuple[int, str, str]]

_POOL_ACROSS_RUNS = """
def work(name):
    log.log_metrics({name: 1.0})
    log.flush()
    return os.getpid()

if __name__ == "__main__":
    pool = None
    for name in ("first", "second"):
        with experiment_context("e", name, logger=log):
            # The pool is made in the first run and lives on into the second.
            pool = pool or multiprocessing.get_context(sys.argv[1]).Pool(2)
            pool.map(work, [name] * 8, chunksize=1)
        if name == "first":
            pool.map(work, ["between"] * 8, chunksize=1)
    pool.close()
    pool.join()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_pool_that_outlives_a_run_logs_into_the_next_one(method: str, parent: _Parent, journal: Any) -> None:
    returned, _, err = parent(_POOL_ACROSS_RUNS, method)

    assert returned == 0, err
    assert sorted(run.run_name for run in open_store()) == ["first", "second"]
    first, _ = journal.read(open_store()["first"])
    second, _ = journal.read(open_store()["second"])
    assert len(journal.values(first, "first")) == len(journal.values(second, "second")) == 8
    assert len(journal.values(first, "between")) == 8


_A_LOOK_WHILE_A_RUN_IS_OPENED = """
def work(name):
    log.log_metrics({name: 1.0})
    return log.flush()

replace = os.replace
def replace_after_a_look(source, target):
    if pool is not None and os.path.basename(target) == "run.json":
        pool.apply(work, ["between"])
    replace(source, target)

if sys.argv[2] == "as elsewhere":  # than on Linux, where the kernel tells which files the parent has open
    from refunc.journal import held
    held.names_open_in = lambda *_: None

if __name__ == "__main__":
    pool = None
    os.replace = replace_after_a_look
    for name in ("first", "second"):
        with experiment_context("e", name, logger=log):
            pool = pool or multiprocessing.get_context(sys.argv[1]).Pool(1)
            pool.apply(work, [name])
    pool.close()
    pool.join()
"""


@pytest.mark.parametrize("system", ["as here", "as elsewhere"])
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_worker_that_looked_while_the_next_run_was_opened_looks_again(
    method: str, system: str, parent: _Parent, journal: Any
) -> None:
    """The folder was there, but not its `run.json`."""
    returned, _, err = parent(_A_LOOK_WHILE_A_RUN_IS_OPENED, method, system)

    assert returned == 0, err
    first, second = (journal.read(open_store()[run])[0] for run in ("first", "second"))
    assert (journal.values(first, "between"), journal.values(second, "second")) == ([1.0], [1.0])


_A_RUN_THAT_GOES_ON = """
def work(name):
    log.log_metrics({name: 1.0})
    return log.flush() and log.get_experiment_context().run_name

if __name__ == "__main__":
    with experiment_context("e", "early", logger=log): pass
    with experiment_context("e", "late", logger=log):
        pool = multiprocessing.get_context(sys.argv[1]).Pool(1)
        pool.apply(work, ["during"])
    pool.apply(work, ["between"])
    with experiment_context("e", "early", logger=log, resume="early"):
        deadline = time.monotonic() + 20
        while pool.apply(work, ["found"]) != "early" and time.monotonic() < deadline: pass
    pool.close()
    pool.join()
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="only Linux tells which run that is")
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_worker_finds_an_earlier_run_that_its_parent_goes_on_with(method: str, parent: _Parent, journal: Any) -> None:
    """No folder is new."""
    returned, _, err = parent(_A_RUN_THAT_GOES_ON, method)

    assert returned == 0, err
    early, late = (journal.read(open_store()[run])[0] for run in ("early", "late"))
    assert (journal.values(late, "between"), journal.values(early, "found")) == ([1.0], [1.0])


_COUNTED_LOOKS = """
import shutil

def work():
    counts = []
    def count(frame, event, argument):
        if event in ("call", "c_call"): counts.append(event)
    time.sleep(0.01)  # longer than until the next look
    sys.setprofile(count)
    log.log_metrics({"n": 1.0})
    sys.setprofile(None)
    return len(counts)

def orphaned(store, parent):
    os.write(telling, b".")
    while os.getppid() == parent: time.sleep(0.001)
    counted = 0
    for change in range(4):
        os.mkdir(f"{store}/newer{change}")
        counted += work()
    print(counted, flush=True)
    os._exit(0)

told, telling = os.pipe()
store = "experiments"
with experiment_context("e", logger=log) as run: pass
for number in range(int(sys.argv[1])):
    shutil.copytree(run.folder, f"{store}/other{number}")
with experiment_context("e", logger=log):
    pool = multiprocessing.get_context("fork").Pool(1)
    pool.apply(work)
counted = 0
for change in range(4):
    counted += pool.apply(work)
    os.mkdir(f"{store}/new{change}")
print(counted, flush=True)
with experiment_context("e", logger=log):
    pool.apply(work)
    pool.apply_async(orphaned, (store, os.getpid()))
    os.read(told, 1)
    os._exit(0)  # as if it was killed
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="elsewhere each run of the store is asked")
def test_a_look_for_the_next_run_costs_the_same_in_a_large_store(parent: _Parent) -> None:
    """
    Workers look in their calls, after each change of the store: runs of others come and go all the time.

    They do so between two runs, and when their parent is gone.
    """
    counted: list[list[int]] = []
    for runs in (5, 200):
        returned, out, err = parent(_COUNTED_LOOKS, runs)
        assert returned == 0, err
        counted.append([int(count) for count in out.split()])
        shutil.rmtree("experiments")

    few, many = counted
    assert len(many) == len(few) == 2
    assert all(after < 1.5 * before for before, after in zip(few, many, strict=True)), counted


_A_LEFT_LOCK = """
with experiment_context("e", logger=log) as run:
    child = multiprocessing.get_context("fork").Process(target=os.getpid)
    child.start(); child.join()
    from refunc.outlets.locks import is_locked
    print(is_locked(run.folder / "run.json"))
"""


def test_a_forked_child_leaves_the_lock_to_its_parent(parent: _Parent) -> None:
    returned, out, err = parent(_A_LEFT_LOCK)

    assert (returned, out) == (0, "True\n"), err
