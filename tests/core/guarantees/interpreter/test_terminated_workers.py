"""Workers that their pool terminates as soon as the last task is done: all their records are in the run."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.reader import Account
from refunc.runs.run import Run

_Parent = Callable[..., tuple[int, str, str]]

# All tasks together take less time than the writer thread needs for a round.
_SHORT_TASKS = """
log.set_level("INFO")

def task(number):
    log.log_metrics({"n": number})
    log.info("did %d", number)

if __name__ == "__main__":
    with experiment_context("e", "run", logger=log):
        if sys.argv[1] == "joblib":
            from joblib import Parallel, delayed
            Parallel(n_jobs=2, backend="multiprocessing")(delayed(task)(number) for number in range(20))
        else:
            with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
                pool.map(task, range(20))
"""


@pytest.mark.parametrize(
    "method", ["fork", "spawn", "forkserver", pytest.param("joblib", marks=[pytest.mark.extras, pytest.mark.once])]
)
def test_workers_with_short_tasks_lose_nothing(
    method: str, parent: _Parent, only_run: Callable[[], Run], journal: Any, require: Any
) -> None:
    if method == "joblib":
        require(find_spec("joblib") is not None, "pip install joblib")
    returned, _, err = parent(_SHORT_TASKS, method)

    assert returned == 0, err
    records, account = journal.read(only_run())
    assert sorted(journal.values(records, "n")) == list(range(20))
    lines = [getattr(record, "message", "") for record in records]
    assert sorted(line for line in lines if line.startswith("did")) == sorted(f"did {number}" for number in range(20))
    assert account == Account()
    assert sum(path.read_text("utf-8").count(" did ") for path in Path("logs").glob("*.log")) == 20


_INITIALIZED_LONG_BEFORE = """
def ready():
    log.log_metrics({"ready": 1})

def task(number):
    log.log_metrics({"n": number})

if __name__ == "__main__":
    with experiment_context("e", "run", logger=log):
        with multiprocessing.get_context(sys.argv[1]).Pool(2, initializer=ready) as pool:
            pool.map(time.sleep, [0.2, 0.2])  # longer than some rounds of the thread, which then knows a quiet process
            pool.map(task, range(20), chunksize=1)
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_worker_that_logs_little_loses_nothing_however_late_it_logs(
    method: str, parent: _Parent, only_run: Callable[[], Run], journal: Any
) -> None:
    returned, _, err = parent(_INITIALIZED_LONG_BEFORE, method)

    assert returned == 0, err
    assert sorted(journal.values(journal.read(only_run())[0], "n")) == list(range(20))


_FORKED = """
if __name__ == "__main__":
    with experiment_context("e", "run", logger=log):
        pid = os.fork()
        if not pid:
            for number in range(20):
                log.log_metrics({"n": number})
            os._exit(0)
        os.waitpid(pid, 0)
"""


def test_a_child_of_os_fork_that_leaves_at_once_loses_nothing(
    parent: _Parent, only_run: Callable[[], Run], journal: Any
) -> None:
    returned, _, err = parent(_FORKED)

    assert returned == 0, err
    assert journal.values(journal.read(only_run())[0], "n") == list(range(20))
