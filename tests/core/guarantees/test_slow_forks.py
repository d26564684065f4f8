"""
Children whose fork takes long: until they are that far, they have copies of every descriptor, and with them of locks.

A lock that its owner gives up is free all the same, and a child that lives on keeps none.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from refunc.runs.store import open_store

_Script = Callable[..., tuple[int, str, str]]

_SLOW_FORK = """
import warnings; warnings.filterwarnings("ignore", ".*use of fork.*")
import multiprocessing, os, sys, threading, time
from pathlib import Path

is_slow = False
reading, writing = os.pipe()

def wait():
    if is_slow:
        os.close(writing)  # so that it ends with its parent
        os.read(reading, 1)

os.register_at_fork(after_in_child=wait)  # before refunc's own, so that the child has not closed its copies yet

def fork_slowly():
    global is_slow
    is_slow = True
    if not (child := os.fork()): os._exit(0)
    is_slow = False
    return child

def end(*children):
    os.write(writing, b"." * len(children))  # any of those that wait reads any of them
    for child in children:
        os.waitpid(child, 0)

from refunc.logging import MLLogger, experiment_context
"""


@pytest.fixture
def with_slow_fork(finished: _Script) -> _Script:
    """Run Python code that can fork slowly to its end; see `finished`."""
    return partial(finished, prelude=_SLOW_FORK)


def test_a_worker_leaves_the_run_that_is_over(with_slow_fork: _Script, journal: Any) -> None:
    returned, _, err = with_slow_fork("""
        log = MLLogger("train", "CRITICAL")

        def work(name):
            log.log_metrics({name: 1.0})
            return log.flush()

        with experiment_context("e", "first", logger=log):
            pool = multiprocessing.get_context("fork").Pool(1)
            pool.apply(work, ["first"])
            child = fork_slowly()
        with experiment_context("e", "second", logger=log):
            pool.apply(work, ["second"])
            end(child)
        pool.close()
        pool.join()
    """)

    assert returned == 0, err
    values = {
        run.run_name: [journal.values(journal.read(run)[0], name) for name in ("first", "second")]
        for run in open_store()
    }
    assert values == {"first": [[1.0], []], "second": [[], [1.0]]}


def test_a_log_file_that_was_closed_is_opened_again(with_slow_fork: _Script) -> None:
    """A process that finds its file locked writes to one with its pid in the name: here, its own lines would part."""
    returned, _, err = with_slow_fork("""
        from refunc.logging.logfiles.logfile import MAX_OPEN

        log = MLLogger("train", "CRITICAL")
        log.critical("line 0")
        child = fork_slowly()
        for number in range(MAX_OPEN):
            MLLogger(f"other{number}", "CRITICAL").critical("closes the file that was written longest ago")
        log.critical("line 1")
        end(child)
    """)

    assert returned == 0, err
    assert [path.name for path in Path("logs").glob("train*")] == ["train.log"]
    assert Path("logs/train.log").read_text().count("line ") == 2


def test_a_released_delivery_is_taken_by_another_process(with_slow_fork: _Script) -> None:
    returned, out, err = with_slow_fork("""
        from refunc.delivery.lock import DeliveryLock

        first, second = DeliveryLock(Path(), "k1"), DeliveryLock(Path(), "k1")
        taken = [first.take()]
        child = fork_slowly()
        taken.append(second.take())
        first.release()
        taken.append(second.take())
        end(child)
        print(taken)
    """)

    assert (returned, out) == (0, "[True, False, True]\n"), err


def test_a_child_neither_ends_the_delivery_of_its_parent_nor_keeps_it_when_that_is_gone(
    with_slow_fork: _Script,
) -> None:
    returned, out, err = with_slow_fork("""
        from refunc.delivery.lock import DeliveryLock

        held, other = DeliveryLock(Path(), "k1"), DeliveryLock(Path(), "k1")
        held.take()
        told, telling = os.pipe()
        parent = os.getpid()
        if not os.fork():
            os.write(telling, str(other.take()).encode())
            while os.getppid() == parent: time.sleep(0.001)
            print(os.read(told, 5).decode(), held.is_held, other.take(), flush=True)
            os._exit(0)
        is_taken = os.read(told, 5)
        os.write(telling, is_taken)
        os._exit(0)  # as if it was killed
    """)

    assert (returned, out) == (0, "False False True\n"), err


def test_annotations_are_changed_twice(with_slow_fork: _Script) -> None:
    """The lock is on the file itself, first as a draft: each of the descriptors must give it up."""
    returned, out, err = with_slow_fork("""
        from refunc.annotations import annotate

        with experiment_context("e", logger=MLLogger("train", "CRITICAL")) as run:
            pass
        children = []

        def slowly(put):
            def put_in_place(*places):
                put(*places)
                children.append(fork_slowly())
            return put_in_place

        os.link, os.replace = slowly(os.link), slowly(os.replace)
        for count in range(1, 4):
            found = annotate(run.folder, note="unlike the others")
        print(len(children), len(found.changes))
        end(*children)
    """)

    assert (returned, out) == (0, "3 3\n"), err
