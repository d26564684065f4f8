"""Children of multiprocessing, in each of its three ways, and of subprocess: whose run they write to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.reader import Account
from refunc.journal.record import RunEnd
from refunc.logging import experiment_context
from refunc.runs.run import Run
from refunc.runs.store import open_store

_Parent = Callable[..., tuple[int, str, str]]

_POOL = """
def train(number):
    for n in range(50):
        log.log_metrics({f"child{number}": n})
    return True

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    flags = sys.argv[2:]
    if "stale" in flags:  # a fork server keeps the environment of an earlier run
        with experiment_context("earlier", logger=log):
            child = context.Process(target=train, args=(99,)); child.start(); child.join()
    with experiment_context("parent", logger=log, log_dir="elsewhere" if "elsewhere" in flags else None) as run:
        run.log_metrics({"parent": 1})
        children = [context.Process(target=train, args=(number,)) for number in range(3)]
        for child in children: child.start()
        for child in children: child.join(20)
        print([child.exitcode for child in children])
        run.log_metrics({"parent": 2})
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_write_to_the_parents_run(
    method: str, parent: _Parent, only_run: Callable[[], Run], journal: Any
) -> None:
    """Without any flush: the records of a child are written when its function returns."""
    returned, out, err = parent(_POOL, method)

    assert returned == 0, err
    assert out == "[0, 0, 0]\n"
    _check_children(only_run(), journal)


def test_a_fork_server_of_an_earlier_run_serves_the_present_one(parent: _Parent, journal: Any) -> None:
    returned, out, err = parent(_POOL, "forkserver", "stale")

    assert returned == 0, err
    assert out == "[0, 0, 0]\n"
    runs = {run.experiment_name: run for run in open_store()}
    assert sorted(runs) == ["earlier", "parent"]
    _check_children(runs["parent"], journal)
    records, _ = journal.read(runs["earlier"])
    assert journal.values(records, "child99") == list(range(50))


def test_children_find_a_run_outside_the_default_store(parent: _Parent, journal: Any) -> None:
    returned, _, err = parent(_POOL, "spawn", "elsewhere")

    assert returned == 0, err
    assert list(open_store()) == []
    [run] = open_store("elsewhere")
    _check_children(run, journal)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_child_that_ends_leaves_the_parents_run_running(method: str, parent: _Parent) -> None:
    """Neither `run.json` nor the lock on it is the child's to touch."""
    returned, out, err = parent(
        """
        from refunc.runs.store import open_store

        def train():
            log.log_metrics({"child": 1}); log.flush()

        if __name__ == "__main__":
            with experiment_context("parent", logger=log) as run:
                before = (run.folder / "run.json").read_bytes()
                child = multiprocessing.get_context(sys.argv[1]).Process(target=train)
                child.start(); child.join(20)
                [read] = open_store()
                print(read.status, (run.folder / "run.json").read_bytes() == before)
        """,
        method,
    )

    assert returned == 0, err
    assert out == "running True\n"


def _check_children(run: Run, journal: Any) -> None:
    records, account = journal.read(run)
    assert account == Account()
    assert journal.values(records, "parent") == [1, 2]
    for number in range(3):
        assert journal.values(records, f"child{number}") == list(range(50)), number
    assert len({record.writer for record in records}) == 4
    assert sum(isinstance(record, RunEnd) for record in records) == 1
    assert run.status == "completed"


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_a_terminated_pool_lose_nothing_that_they_flushed(
    method: str, parent: _Parent, only_run: Callable[[], Run], journal: Any
) -> None:
    returned, out, err = parent(
        """
        def train(number):
            log.log_metrics({"child": number})
            return log.flush()

        if __name__ == "__main__":
            with experiment_context("parent", logger=log) as run:
                with multiprocessing.get_context(sys.argv[1]).Pool(3) as pool:
                    print(all(pool.map(train, range(30), chunksize=1)))
        """,
        method,
    )

    assert returned == 0, err
    assert out == "True\n"
    records, account = journal.read(only_run())
    assert sorted(journal.values(records, "child")) == list(range(30))
    assert account == Account()
    assert only_run().status == "completed"


def test_another_subprocess_writes_to_the_run_as_well(parent: _Parent, journal: Any) -> None:
    """It is not a child of multiprocessing, but was started while a run was open; see test_started_scripts.py."""
    returned, _, err = parent(
        """
        import subprocess
        with experiment_context("parent", logger=log) as run:
            run.log_metrics({"parent": 1})
            code = "from refunc.logging import MLLogger; MLLogger('other', 'ERROR').log_metrics({'other': 1})"
            subprocess.run([sys.executable, "-c", code], check=True)
        """,
    )

    assert returned == 0, err
    runs = {run.experiment_name: run for run in open_store()}
    assert sorted(runs) == ["parent"]
    assert journal.values(journal.read(runs["parent"])[0], "other") == [1]
    assert journal.values(journal.read(runs["parent"])[0], "parent") == [1]


_THREADS_IN_A_WORKER = """
def work():
    together = threading.Barrier(4)
    def log_some(number):
        together.wait()
        for n in range(5):
            log.log_metrics({f"t{number}": n})
    threads = [threading.Thread(target=log_some, args=(number,)) for number in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    os._exit(0 if log.flush() else 1)

if __name__ == "__main__":
    with experiment_context("e", "parent", logger=log):
        child = multiprocessing.get_context("spawn").Process(target=work)
        child.start(); child.join(); print(child.exitcode)
"""


def test_threads_of_a_worker_share_one_writer_and_flush_covers_them_all(
    parent: _Parent, only_run: Callable[[], Run], journal: Any
) -> None:
    returned, out, err = parent(_THREADS_IN_A_WORKER)

    assert (returned, out) == (0, "0\n"), err
    records, _ = journal.read(only_run())
    assert [journal.values(records, f"t{number}") for number in range(4)] == [list(range(5))] * 4
    assert len({record.writer for record in records}) == 2


_READY_BEFORE_THE_RUN = """
def ready():
    log.info("worker ready")

def work(number):
    log.log_metrics({"child": number})
    log.flush()

if __name__ == "__main__":
    log.set_level("INFO")
    with multiprocessing.get_context(sys.argv[1]).Pool(2, initializer=ready) as pool:
        pool.map(len, ["wait until they are up"] * 8)
        with experiment_context("e", "parent", logger=log):
            pool.map(work, range(8), chunksize=1)
        pool.close(); pool.join()
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_worker_that_spoke_before_its_parent_had_a_run_logs_into_it(
    method: str, parent: _Parent, only_run: Callable[[], Run], journal: Any
) -> None:
    returned, _, err = parent(_READY_BEFORE_THE_RUN, method)

    assert returned == 0, err
    records, _ = journal.read(only_run())
    assert sorted(journal.values(records, "child")) == list(range(8))


_ANOTHER_HOST = """
def work():
    log.log_metrics({"child": 1.0})

if __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=work)
    child.start(); child.join()
"""


def test_the_run_of_a_process_with_the_parents_pid_on_another_host_is_not_the_parents(
    parent: _Parent, script: Any, journal: Any
) -> None:
    with experiment_context("theirs", "theirs") as theirs:
        assert theirs.folder is not None
        birth = json.loads((theirs.folder / "run.json").read_text())
        # The pid of every process on this machine, as in containers that share a store.
        code = f"""
import json, pathlib
path = pathlib.Path({str(theirs.folder / "run.json")!r})
birth = {birth!r} | {{"host": "another-host", "pid": os.getpid()}}
if __name__ == "__main__":
    with open(path, "r+") as file: file.write(json.dumps(birth)); file.truncate()
"""
        returned, _, err = parent(code + _ANOTHER_HOST)
        assert returned == 0, err
        records, _ = journal.read(open_store()["theirs"])

    assert journal.values(records, "child") == []


_FORGED = """
import fcntl, json, pathlib, platform, shutil
from refunc.processes.opener import facts_of_this_process

def work():
    log.log_metrics({"child": 1.0}); log.flush()

def forge(kind, birth, own):
    folder = own.folder.parent / f"20260101-000000_forged_{kind}"
    shutil.copytree(own.folder, folder)
    for path in folder.glob("journal/*"): path.unlink()
    if kind != "whole": birth = birth | {"run_id": kind * 8}
    if kind == "2": birth.pop("family")
    if kind == "3": birth["family"] = [None, 7, birth["family"]]
    (folder / "run.json").write_text(json.dumps(birth))
    fd = os.open(folder / "run.json", os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)

if __name__ == "__main__":
    with experiment_context("own", "own") as own: own.log_metrics({"parent": 1.0})
    birth = json.loads((own.folder / "run.json").read_text())
    for kind in ("1", "2", "3", "whole"): forge(kind, dict(birth), own)
    for method in ("spawn", "fork"):
        child = multiprocessing.get_context(method).Process(target=work)
        child.start(); child.join()
"""


@pytest.mark.once
def test_a_run_json_with_a_parents_pid_and_host_gets_nothing_of_its_children(
    parent: _Parent, own_folder: Path, journal: Any
) -> None:
    """A user who may write to the store can write one, lock it, and copy the marks of a run that they can read."""
    returned, _, err = parent(_FORGED)

    assert returned == 0, err
    store = own_folder / "experiments"
    assert len(list(store.glob("*_forged_*"))) == 4
    assert list(store.glob("*_forged_*/journal/*")) == []
    found = [journal.values(journal.read(run)[0], "child") for run in open_store()]
    assert sorted(filter(None, found)) in ([[1.0], [1.0]], [[1.0, 1.0]])
