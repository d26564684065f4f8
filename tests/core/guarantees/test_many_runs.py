"""Many runs after each other: nothing of a run that is over stays in the processes that wrote to it."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from refunc.runs.store import open_store

_Parent = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors where Linux shows them")

_HELD = """
import atexit, gc, shutil, tracemalloc, weakref
from multiprocessing import util
import refunc
from refunc.processes import parent; from refunc.outlets import pump
from refunc.logging.active.living import living_runs

OURS = [tracemalloc.Filter(True, os.path.join(folder, "*")) for folder in refunc.__path__]
RUNS, WARM = 200, 50

def held():
    log.flush(); gc.collect()
    ours = tracemalloc.take_snapshot().filter_traces(OURS)
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "hooks": atexit._ncallbacks() + len(parent._registered) + len(util._finalizer_registry),
        "finalizers": len(weakref.finalize._registry),
        "outlets": len(pump._pump.outlets),
        "runs": len(living_runs()),
        "bytes": sum(each.size for each in ours.statistics("filename")),
    }

seen = []
def forget_older(folder):
    seen.append(folder)  # how long a look into the store takes is not what is asked here
    if len(seen) > 2: shutil.rmtree(seen.pop(0))

def open_and_end():
    log.start_experiment("e"); log.info("a line"); log.log_metrics({"a": 1.0}); log.end_experiment()
    forget_older(log.get_experiment_context().metadata["folder"])

def open_and_end_many():
    tracemalloc.start()
    for n in range(RUNS):
        open_and_end()
        if n == WARM: before = held()
    print((before, held()))

def work(given):
    if not tracemalloc.is_tracing(): tracemalloc.start()
    log.info("a line"); log.log_metrics({"a": 1.0})
    if given is not None: given.log_metrics({"b": 1.0})
    return held() if WANTED[0] else None

WANTED = [False]
def look(given):
    WANTED[0] = True
    try: return work(given)
    finally: WANTED[0] = False

def serve_many(with_trackers):
    from refunc.logging import ExperimentTracker
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for n in range(RUNS):
            task = look if n in (WARM, RUNS - 1) else work
            if with_trackers:
                with ExperimentTracker("e") as run: found = pool.apply(task, (run,))
            else:
                with experiment_context("e") as run: found = pool.apply(task, (None,))
            forget_older(run.folder)
            if n == WARM: before = found
        pool.close(); pool.join()
    print((before, found))

def in_a_forked_child():
    open_and_end()
    child = multiprocessing.get_context("fork").Process(target=open_and_end_many)
    child.start(); child.join()

WAYS = {
    "one process": open_and_end_many, "a forked child": in_a_forked_child,
    "a pool": lambda: serve_many(False), "a pool that is given trackers": lambda: serve_many(True),
}
if __name__ == "__main__":
    WAYS[sys.argv[1]]()
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", ["one process", "a forked child", "a pool", "a pool that is given trackers"])
def test_what_a_process_holds_does_not_grow_with_the_runs_that_it_has_seen(way: str, parent: _Parent) -> None:
    # In memory, since each run is synced where it is left: 400 times.
    with TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as store:
        returned, out, err = parent(_HELD, way, REFUNC_QUIET="1", REFUNC_DIR=store)
        left = len(list(open_store(Path(store))))

    assert (returned, left) == (0, 2), err
    before, after = ast.literal_eval(out)
    grown = after.pop("bytes") - before.pop("bytes")
    # Each of the two threads may hold one more run, and its file, at the moment of a look; 150 runs lie between.
    assert {name: count for name, count in after.items() if count > before[name] + 3} == {}
    assert grown < 65_536  # 150 runs later; each of them has 8 KB


_NO_DESCRIPTOR = """
import resource

def work(value, is_short):
    full = []
    if is_short:
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 3, 10_000))
        try:
            while True: full.append(os.open(os.devnull, os.O_RDONLY))
        except OSError: pass
    for _ in range(5): log.log_metrics({"value": value})
    for fd in full: os.close(fd)
    return log.flush()

if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    pool = None
    for value, name in enumerate(["first", "second"]):
        with experiment_context("e", name, logger=log):
            pool = pool or multiprocessing.get_context(sys.argv[1]).Pool(1)
            assert pool.apply(work, (value, name == "second"))
    pool.close(); pool.join()
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_without_descriptors_a_worker_writes_to_no_run_that_is_over(method: str, parent: _Parent, journal: Any) -> None:
    returned, _, err = parent(_NO_DESCRIPTOR, method)

    assert returned == 0, err
    values = {
        run.run_name if run.experiment_name == "e" else "own": journal.values(journal.read(run)[0], "value")
        for run in open_store()
    }
    assert values == {"first": [0] * 5, "second": [], "own": [1] * 5}
    assert err.count("cannot look up its parent's run") == 1
