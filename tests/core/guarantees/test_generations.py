"""Children of children, and runs that children open: each finds the run of the nearest process above that has one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.runs.store import open_store

_Parent = Callable[..., tuple[int, str, str]]

# A process between that has never heard of refunc, as one of a framework.
_BETWEEN = """
import importlib, multiprocessing

def start(methods):
    if methods:
        child = multiprocessing.get_context(methods[0]).Process(target=start, args=(methods[1:],))
        child.start(); child.join()
        assert child.exitcode == 0
    else:
        importlib.import_module("work").work()
"""

_WORK = """
from refunc.logging import MLLogger, experiment_context
log = MLLogger("work", "CRITICAL")

def work():
    log.log_metrics({"n": 1})
    with experiment_context("e", "inner", logger=log):
        pass
"""

_TOP = """
import sys, between
if __name__ == "__main__":
    from refunc.logging import MLLogger, experiment_context
    # Outside the default store, so that it is found by nothing but what it was told.
    with experiment_context("e", "outer", logger=MLLogger("top", "CRITICAL"), log_dir="elsewhere"):
        between.start(sys.argv[1:])
"""


@pytest.fixture
def modules(own_folder: Path) -> None:
    (own_folder / "between.py").write_text(_BETWEEN)
    (own_folder / "work.py").write_text(_WORK)


@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize(
    "methods",
    [
        *("fork", "spawn", "forkserver", "spawn fork", "fork spawn", "forkserver spawn", "spawn spawn"),
        "fork spawn fork",
    ],
)
def test_a_child_of_any_generation_finds_the_run(methods: str, finished: Any, journal: Any) -> None:
    returned, _, err = finished(_TOP, *methods.split(), prelude="")

    assert returned == 0, err
    [outer] = open_store("elsewhere")
    assert journal.values(journal.read(outer)[0], "n") == [1]
    [inner] = open_store()
    assert (inner.run_name, inner.parent_id) == ("inner", outer.run_id)


_NEAREST = """
def leaf():
    log.log_metrics({"leaf": 1})

def middle():
    with experiment_context("e", "middle", logger=log):
        start(leaf)
    start(leaf)

def start(target):
    child = multiprocessing.get_context("spawn").Process(target=target); child.start(); child.join()

if __name__ == "__main__":
    with experiment_context("e", "outer", logger=log):
        start(middle)
"""


def test_a_run_of_the_process_between_comes_first_while_it_is_open(parent: _Parent, journal: Any) -> None:
    returned, _, err = parent(_NEAREST)

    assert returned == 0, err
    store = open_store()
    assert {run.run_name: len(journal.values(journal.read(run)[0], "leaf")) for run in store} == {
        "outer": 1,
        "middle": 1,
    }
    assert store["middle"].parent_id == store["outer"].run_id


_POOLS_IN_A_POOL = """
from concurrent.futures import ProcessPoolExecutor

def leaf(number):
    log.log_metrics({"leaf": number})

def middle(numbers):
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        list(pool.map(leaf, numbers))

if __name__ == "__main__":
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(time.sleep, [0, 0]))  # the workers are there before the run is
        with experiment_context("e", "outer", logger=log):
            list(pool.map(middle, [[1, 2], [3, 4]]))
"""


def test_forked_pools_in_workers_of_a_pool_find_a_run_that_is_younger_than_the_workers(
    parent: _Parent, journal: Any
) -> None:
    returned, _, err = parent(_POOLS_IN_A_POOL)

    assert returned == 0, err
    [outer] = open_store()
    assert sorted(journal.values(journal.read(outer)[0], "leaf")) == [1, 2, 3, 4]


_TRIALS = """
def trial(number):
    with experiment_context("e", f"trial{number}", logger=log):
        thread = threading.Thread(target=fold, args=(number,)); thread.start(); thread.join()

def fold(number):
    with experiment_context("e", f"fold{number}", logger=log):
        pass

if __name__ == "__main__":
    with experiment_context("e", "study", logger=log):
        pool = multiprocessing.get_context(sys.argv[1]).Pool(2)
        pool.map(trial, range(4), chunksize=1)
        pool.close(); pool.join()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_trials_in_workers_lie_in_the_study_and_their_threads_in_them(method: str, parent: _Parent) -> None:
    returned, _, err = parent(_TRIALS, method)

    assert returned == 0, err
    runs = {run.run_name: run for run in open_store()}
    for number in range(4):
        assert runs[f"trial{number}"].parent_id == runs["study"].run_id
        assert runs[f"fold{number}"].parent_id == runs[f"trial{number}"].run_id
