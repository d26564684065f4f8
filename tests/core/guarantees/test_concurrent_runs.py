"""Several runs at once: every record is in its own run, whatever thread, task or process logs it."""

from __future__ import annotations

import asyncio
import subprocess
import threading
from collections.abc import Callable
from typing import Any

import pytest

from refunc.journal.reader import Account
from refunc.logging import MLLogger, experiment_context
from refunc.runs.store import open_store

METRICS = 10_000


def _check_all_apart(names: str, journal: Any) -> None:
    runs = {run.experiment_name: run for run in open_store()}
    assert sorted(runs) == sorted(names)
    for name, run in runs.items():
        records, account = journal.read(run)
        assert journal.values(records, name) == list(range(METRICS))
        assert all(not journal.values(records, other) for other in names if other != name)
        assert account == Account()


def test_two_tasks_and_two_threads_keep_their_runs_apart(journal: Any) -> None:
    log = MLLogger("train", "CRITICAL")

    async def task(name: str) -> None:
        with experiment_context(name, logger=log):
            for n in range(METRICS):
                log.log_metrics({name: n})
                if n % 100 == 0:
                    await asyncio.sleep(0)

    def thread(name: str) -> None:
        with experiment_context(name, logger=log):
            for n in range(METRICS):
                log.log_metrics({name: n})

    async def tasks() -> None:
        await asyncio.gather(task("a"), task("b"))

    threads = [threading.Thread(target=thread, args=(name,)) for name in "cd"]
    for one in threads:
        one.start()
    asyncio.run(tasks())
    for one in threads:
        one.join()

    _check_all_apart("abcd", journal)


def test_threads_with_a_logger_and_an_explicit_run_each(journal: Any) -> None:
    def thread(name: str) -> None:
        log = MLLogger(name, "CRITICAL")
        log.start_experiment(name)
        for n in range(METRICS):
            log.log_metrics({name: n})
        log.end_experiment()

    threads = [threading.Thread(target=thread, args=(name,)) for name in "ab"]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    _check_all_apart("ab", journal)


def test_processes_in_one_folder_have_a_run_and_a_log_file_each(
    script: Callable[..., subprocess.Popen[str]], journal: Any
) -> None:
    from pathlib import Path

    code = """
    import logging
    log = MLLogger("train", "INFO", colored_output=False)
    logging.getLogger("train").handlers[:] = [logging.NullHandler()]  # a full pipe would stop it
    log.start_experiment(sys.argv[1])
    print("here", flush=True); sys.stdin.readline()
    for n in range(500):
        log.log_metrics({"n": n}); log.info("line %d of %s", n, sys.argv[1])
    log.flush(); print("done", flush=True); sys.stdin.readline()
    """
    processes = [script(code, name) for name in "abcd"]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
    for process in processes:
        _, err = process.communicate(timeout=40)
        assert process.returncode == 0, err

    assert sorted(run.experiment_name for run in open_store()) == list("abcd")
    for run in open_store():
        records, account = journal.read(run)
        assert journal.values(records, "n") == list(range(500))
        assert account == Account()
    files = sorted(Path("logs").glob("train*"))
    assert len(files) == 4, files
    for file in files:
        lines = [line for line in file.read_text().splitlines() if " of " in line]
        assert len(lines) == 500, file
        assert len({line.split(" of ")[1].split()[0] for line in lines}) == 1, f"{file} has lines of two processes"


@pytest.mark.slow
def test_many_threads_at_full_speed_drop_nothing(journal: Any) -> None:
    """Sixteen threads press the queue against its bound: a healthy disk is no reason to drop."""
    log = MLLogger("train", "CRITICAL")
    with experiment_context("e", logger=log) as run:

        def work(name: str) -> None:
            for n in range(50_000):
                run.log_metrics({name: n})

        threads = [threading.Thread(target=work, args=(f"t{number}",)) for number in range(16)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()

    [read] = open_store()
    seen: dict[str, int] = {}
    account = Account()
    for record in read.records(account):
        for name, value in getattr(record, "metrics", {}).items():
            assert value == seen.get(name, 0)
            seen[name] = value + 1
    assert seen == {f"t{number}": 50_000 for number in range(16)}
    assert account == Account()


def test_threads_that_come_at_once_share_one_implicit_run() -> None:
    logger = MLLogger("race")
    together = threading.Barrier(8)

    def work(number: int) -> None:
        together.wait()
        logger.log_metrics({f"t{number}": 1.0})

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    logger.flush()

    (run,) = open_store()
    assert set(run.summary.metrics) == {f"t{number}" for number in range(8)}
