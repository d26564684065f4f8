"""Loggers and trackers that are handed to other processes, in each way: they write to the run that is meant."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest

from refunc.journal.reader import Account
from refunc.journal.record import Attach, RunEnd
from refunc.runs.run import Run
from refunc.runs.store import open_store

_Parent = Callable[..., tuple[int, str, str]]

METHODS = pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])

# A class as a dataset, a model or a callback is one, and each way to get it to another process.
_WORK = """
from concurrent.futures import ProcessPoolExecutor

class Work:
    def __init__(self, held):
        self.held = held
    def do(self, number):
        self.held.log_metrics({"n": number})
        return number

def process(context, work):
    children = [context.Process(target=work.do, args=(number,)) for number in range(4)]
    for child in children: child.start()
    for child in children: child.join()

def pool(context, work):
    with context.Pool(2) as pool: pool.map(work.do, range(4), chunksize=1)

def executor(context, work):
    with ProcessPoolExecutor(2, mp_context=context) as pool: list(pool.map(work.do, range(4)))

def each_way(context, work):
    process(context, work); pool(context, work); executor(context, work)

def joblib(context, work):
    from joblib import Parallel, delayed
    # A function of this script takes the work with it as its global: cloudpickle packs what it names.
    Parallel(n_jobs=2)(delayed(lambda number: work.do(number))(number) for number in range(4))
"""

_LOGGER = """
if __name__ == "__main__":
    handed = MLLogger("handed", "CRITICAL")  # one that no module of the child makes
    with experiment_context("e", "run", logger=log):
        {how}(multiprocessing.get_context(sys.argv[1]), Work(handed))
"""

_TRACKER = """
if __name__ == "__main__":
    from refunc.logging import ExperimentTracker
    handed, other = ExperimentTracker("e", "run", logger=log), ExperimentTracker("e", "other", logger=log)
    handed.start_run(); other.start_run()  # with several runs open, only the tracker itself says which is meant
    {how}(multiprocessing.get_context(sys.argv[1]), Work(handed))
    print(handed.context.status)
    handed.end_run(); other.end_run()
"""

_LOGGER_WITH_A_RUN = """
if __name__ == "__main__":
    handed, other = MLLogger("handed", "CRITICAL"), MLLogger("other", "CRITICAL")
    handed.start_experiment("e", "run"); other.start_experiment("e", "other")
    {how}(multiprocessing.get_context(sys.argv[1]), Work(handed))
    print(handed.get_experiment_context().status)
    handed.end_experiment(); other.end_experiment()
"""


@METHODS
@pytest.mark.parametrize("what", [_LOGGER, _TRACKER, _LOGGER_WITH_A_RUN], ids=["logger", "tracker", "with a run"])
def test_what_is_handed_to_a_worker_writes_to_its_run(what: str, method: str, parent: _Parent, journal: Any) -> None:
    returned, _, err = parent(_WORK + what.replace("{how}", "each_way"), method)

    assert returned == 0, err
    _check_run(open_store()["run"], journal, 3)
    assert all(run.summary.points == 0 for run in open_store() if run.run_name != "run")


@pytest.mark.extras
@pytest.mark.parametrize("what", [_LOGGER, _TRACKER, _LOGGER_WITH_A_RUN], ids=["logger", "tracker", "with a run"])
def test_what_a_function_of_the_script_names_goes_with_it_to_loky(
    what: str, parent: _Parent, journal: Any, require: Any
) -> None:
    require(find_spec("joblib") is not None, "pip install joblib")
    returned, _, err = parent(_WORK + what.replace("{how}", "joblib"), "spawn")

    assert returned == 0, err
    _check_run(open_store()["run"], journal, 1)
    assert all(run.summary.points == 0 for run in open_store() if run.run_name != "run")


def _check_run(run: Run, journal: Any, times: int) -> None:
    records, account = journal.read(run)
    assert sorted(journal.values(records, "n")) == sorted([0, 1, 2, 3] * times)
    assert account == Account()
    assert sum(isinstance(record, RunEnd) for record in records) == 1
    assert run.status == "completed"


_EACH_TASK_ENDS = """
from refunc.logging import ExperimentTracker

def task(tracker):
    with tracker:
        tracker.log_metrics({"n": 1})
    tracker.end_run(final_metrics={"final": 2})
    return tracker.run_id, tracker.start_run()

if __name__ == "__main__":
    tracker = ExperimentTracker("e", "run", logger=log)
    tracker.start_run()
    pool = multiprocessing.get_context(sys.argv[1]).Pool(2)
    ids = pool.map(task, [tracker] * 40, chunksize=1)
    pool.close(); pool.join()
    print({*ids} == {(tracker.run_id, tracker.run_id)}, tracker.context.status)
    tracker.end_run("done")
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_worker_ends_no_run_of_its_parent_and_has_one_file_for_all_its_tasks(
    method: str, parent: _Parent, only_run: Callable[[], Run], journal: Any
) -> None:
    returned, out, err = parent(_EACH_TASK_ENDS, method)

    assert (returned, out) == (0, "True running\n"), err
    run = only_run()
    records, account = journal.read(run)
    assert (len(journal.values(records, "n")), len(journal.values(records, "final"))) == (40, 40)
    assert account == Account()
    assert [record.status for record in records if isinstance(record, RunEnd)] == ["done"]
    assert len(list((run.folder / "journal").iterdir())) <= 3


_DELIVERED = """
import probes

def nested(logger):
    logger.log_metrics({"n": 1})              # the parent's run: the parent delivers it
    logger.start_experiment("e", "nested")
    logger.log_metrics({"nested": 1})

if __name__ == "__main__":
    logger = MLLogger("delivered", "ERROR")
    logger.add_integration(probes.ProbeIntegration(token=os.environ["PROBE_TOKEN"]))
    with experiment_context("e", "outer", logger=logger):
        logger.log_metrics({"outer": 1})
        child = multiprocessing.get_context(sys.argv[1]).Process(target=nested, args=(logger,))
        child.start(); child.join()
"""


@METHODS
def test_a_child_delivers_its_own_runs_with_what_its_logger_had_and_never_its_parents(
    method: str, parent: _Parent, probes: Any, calls: Any, journal: Any, tools: Any
) -> None:
    returned, _, err = parent(_DELIVERED, method, PROBE_TOKEN="hunter2")

    assert returned == 0, err
    outer, nested = open_store()["outer"], open_store()["nested"]
    for run in (outer, nested):
        assert sum(isinstance(record, Attach) for record in journal.read(run)[0]) == 1
    assert (outer.status, nested.status) == ("completed", "completed")
    tools.until(lambda: len(calls("end")) == 2)
    assert {call["token"] for call in calls()} == {"hunter2"}
    assert {name for call in calls("metrics") for names in call["names"] for name in names} == {"n", "nested", "outer"}


def test_a_logger_in_a_later_program_delivers_nothing_and_says_so(
    finished: Any, probes: Any, calls: Any, tools: Any
) -> None:
    code = """
import pathlib, pickle, probes
from refunc.logging import MLLogger
logger = MLLogger("delivered", "ERROR")
logger.add_integration(probes.ProbeIntegration())
pathlib.Path("logger.pickle").write_bytes(pickle.dumps(logger))
"""
    assert finished(code, prelude="")[0] == 0
    later = """
import pathlib, pickle
logger = pickle.loads(pathlib.Path("logger.pickle").read_bytes())
logger.log_metrics({"n": 1})
logger.error("no message to anybody")
"""
    returned, _, err = finished(later, prelude="")

    assert returned == 0, err
    assert err.count("comes from another process, where its runs were delivered to probe") == 1
    [run] = open_store()
    assert (run.summary.points, run.status) == (1, "completed")
    assert calls() == []
