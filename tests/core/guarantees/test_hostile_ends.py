"""
Code that logs while the interpreter ends: in `__del__`, generators, hooks and threads, for the first time or again.

Each end is a process of its own, which must be over within a time limit set from outside. All run at once, some at a
time, and each test looks at one of them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from refunc.journal.record import LogLine, Metrics

pytestmark = pytest.mark.slow

#: Seconds that a process may take; on an idle machine they take a tenth of one.
LIMIT = 30

HEAD = """
import asyncio, atexit, gc, logging, os, sys, threading, time, weakref
{before}
from refunc.logging import AsyncHandler, MLLogger, RunHandler, experiment_context, progress_context
log = MLLogger("train")
SCRIPT = sys.argv[0]

class Late:
    def __init__(self, call):
        self.call = call
    def __del__(self):
        self.call()
"""


class End(NamedTuple):
    code: str
    before: str = ""  # the import
    returned: int = 0
    lines: tuple[str, ...] = ()  # in the log file, once each
    run_lines: tuple[str, ...] = ()  # in a run's journal
    late: int = 0  # records of the metric `late` in the journals
    statuses: tuple[str, ...] = ()
    said: str = ""
    on_terminal: bool = False
    environment: dict[str, str] = {}  # noqa: RUF012  # never changed


ENDS = {
    "a generator's finally, the first line": End(
        """
        def batches():
            try:
                yield 1
            finally:
                log.info("closed")
        loader = batches()
        next(loader)
        """,
        lines=("closed",),
    ),
    "a generator's finally, in a run": End(
        """
        def batches():
            try:
                yield 1
            finally:
                log.info("closed"); log.log_metrics({"late": 1})
        log.start_experiment("e")
        loader = batches()
        next(loader)
        """,
        lines=("closed",),
        run_lines=("closed",),
        late=1,
        statuses=("completed",),
    ),
    "a block in a generator that is never closed": End(
        """
        def batches():
            with experiment_context("e"):
                yield 1
                log.info("never")
        loader = batches()
        next(loader)
        """,
        statuses=("completed",),
    ),
    "__del__, the first line": End('late = Late(lambda: log.error("closed"))', lines=("closed",)),
    "__del__, the first record of a run": End(
        'late = Late(lambda: (log.log_metrics({"late": 1}), log.log_result("r", 1), log.set_tag("a", "b")))',
        said="its records are not kept",
    ),
    "__del__, a block of a run, the first one": End(
        """
        def call():
            with experiment_context("e", parameters={"lr": 1}) as run:
                run.log_metrics({"late": 1}); run.log_artifact(SCRIPT); log.info("in the block")
        late = Late(call)
        """,
        lines=("in the block",),
        said="its records are not kept",
    ),
    "__del__, data calls of every kind behind a block": End(
        """
        def call():
            log.log_metrics({"late": 1}); log.log_metrics({"late": 1, "other": "text"})
            log.log_result("r", 1); log.set_tag("a", "b"); log.log_hyperparams({"lr": 1})
            log.define_metric("late", goal="max"); log.log_artifact(SCRIPT); log.info("é %d", 1)
        with experiment_context("e"):
            log.info("in the block")
        late = Late(call)
        """,
        lines=("in the block", "é 1"),
        run_lines=("in the block", "é 1"),
        late=2,
        statuses=("completed", "completed"),
    ),
    "__del__ in a cycle": End(
        """
        log.start_experiment("e")
        late = Late(lambda: (log.info("closed"), log.log_metrics({"late": 1})))
        late.me = late
        """,
        lines=("closed",),
        run_lines=("closed",),
        late=1,
        statuses=("completed",),
    ),
    "__del__, another logger, a new one": End(
        """
        log.info("early")
        late = Late(lambda: MLLogger("train.other").info("closed"))
        """,
        lines=("early",),
    ),
    "__del__, an AsyncHandler's first record": End(
        """
        handler = AsyncHandler(target=logging.FileHandler("handled.log"))
        log.add_handler(handler)
        late = Late(lambda: log.info("closed"))
        """,
        lines=("closed",),
    ),
    "__del__, a stdlib logger whose lines go to runs": End(
        """
        logging.getLogger("library").addHandler(RunHandler())
        log.start_experiment("e")
        late = Late(lambda: logging.getLogger("library").warning("closed"))
        """,
        run_lines=("closed",),
        statuses=("completed",),
    ),
    "__del__, a bar": End(
        """
        def call():
            with progress_context("late", total=2) as bar:
                bar.update(1); log.info("beside the bar"); log.log_metrics({"late": 1})
        log.log_metrics({"early": 1})
        with progress_context("early", total=1) as bar:
            bar.update(1)
        late = Late(call)
        """,
        lines=("beside the bar",),
        late=1,
        statuses=("completed",),
        on_terminal=True,
    ),
    "__del__, the first bar": End(
        """
        def call():
            with progress_context("late", total=2) as bar:
                bar.update(1); log.info("beside the bar")
        late = Late(call)
        """,
        lines=("beside the bar",),
        on_terminal=True,
    ),
    "an integration attached by an atexit handler": End(
        """
        from refunc.plugins import hookimpl
        class Probe:
            @hookimpl
            def on_log(self, run, records):
                pass
        log.add_integration(Probe())
        atexit.register(lambda: log.error("closed"))
        """,
        lines=("closed",),
        run_lines=("closed",),
        statuses=("completed",),
        environment={"REFUNC_DELIVERY": "thread", "REFUNC_EXIT_WAIT": "0"},
    ),
    "an atexit handler from before the import": End(
        "",
        before='atexit.register(lambda: (log.info("closed"), log.log_metrics({"late": 1})))',
        lines=("closed",),
        run_lines=("closed",),
        late=1,
        statuses=("completed",),
    ),
    "an atexit handler from behind the import": End(
        """
        atexit.register(lambda: (log.info("closed"), log.log_metrics({"late": 1})))
        log.start_experiment("e")
        """,
        lines=("closed",),
        run_lines=("closed",),
        late=1,
        statuses=("completed",),
    ),
    "weakref.finalize": End(
        """
        log.start_experiment("e")
        late = Late(lambda: None)
        weakref.finalize(late, lambda: (log.info("closed"), log.log_metrics({"late": 1})))
        """,
        lines=("closed",),
        run_lines=("closed",),
        late=1,
        statuses=("completed",),
    ),
    "a thread that begins to log when the main thread is over": End(
        """
        def work():
            threading.main_thread().join()
            with progress_context("late", total=200) as bar:
                for n in range(200):
                    log.log_metrics({"late": n}); bar.update(1)
            log.info("closed")
        threading.Thread(target=work).start()
        """,
        lines=("closed",),
        run_lines=("closed",),
        late=200,
        statuses=("completed",),
        on_terminal=True,
    ),
    "sys.exit in a thread": End(
        """
        log.start_experiment("e")
        def work():
            log.log_metrics({"late": 1})
            sys.exit(3)
        thread = threading.Thread(target=work); thread.start(); thread.join()
        """,
        late=1,
        statuses=("completed",),
    ),
    "os._exit": End(
        """
        log.start_experiment("e")
        log.log_metrics({"late": 1}); log.error("closed")
        os._exit(7)
        """,
        returned=7,
        lines=("closed",),
        run_lines=("closed",),
        late=1,
        statuses=("crashed",),
    ),
    "an exception hook that raises": End(
        """
        def hook(*error):
            log.error("in the hook")
            raise RuntimeError("of the hook")
        log.info("early")
        sys.excepthook = hook
        log.start_experiment("e")
        raise ValueError("no data")
        """,
        returned=1,
        lines=("in the hook",),
        run_lines=("in the hook",),
        statuses=("failed",),
    ),
    "a __del__ that raises, and a hook for it that logs": End(
        """
        log.start_experiment("e")
        def call(log=log):
            log.log_metrics({"late": 1})
            raise ValueError("of __del__")
        sys.unraisablehook = lambda args, log=log: log.info("unraisable")
        late = Late(call)
        del late
        """,
        run_lines=("unraisable",),
        late=1,
        statuses=("completed",),
    ),
    "a loop of asyncio that is left open, with a task in it": End(
        """
        logging.getLogger("asyncio").addHandler(RunHandler())
        log.start_experiment("e")
        async def work():
            try:
                await asyncio.sleep(60)
            finally:
                log.log_metrics({"late": 1})
        loop = asyncio.new_event_loop()
        task = loop.create_task(work())
        loop.run_until_complete(asyncio.sleep(0))
        """,
        late=1,
        statuses=("completed",),
    ),
    "tasks of an executor that nobody waits for": End(
        """
        from concurrent.futures import ThreadPoolExecutor
        def work(n):
            time.sleep(0.05)
            log.log_metrics({"late": n}); log.info("task %d", n)
        pool = ThreadPoolExecutor(2)
        for n in range(4):
            pool.submit(work, n)
        """,
        lines=("task 0", "task 1", "task 2", "task 3"),
        run_lines=("task 3",),
        late=4,
        statuses=("completed",),
    ),
    "daemon threads in the middle of logging": End(
        """
        log.start_experiment("e")
        def work():
            while True:
                log.info("again"); log.log_metrics({"n": 1})
        for _ in range(3):
            threading.Thread(target=work, daemon=True).start()
        late = Late(lambda: (log.log_metrics({"late": 1}), log.error("closed")))
        time.sleep(0.1)
        """,
        statuses=("completed",),
    ),
    "daemon threads that open the first run": End(
        """
        begin = threading.Event()
        def work():
            begin.wait()
            log.log_metrics({"n": 1}); log.info("a line")
        for _ in range(8):
            threading.Thread(target=work, daemon=True).start()
        late = Late(lambda: log.info("closed"))
        begin.set()
        """,
    ),
}


class Ended(NamedTuple):
    folder: Path
    returned: int
    err: str


def _run(end: End, folder: Path) -> Ended:
    folder.mkdir()
    script = folder / "script.py"
    script.write_text(HEAD.format(before=end.before) + textwrap.dedent(end.code), encoding="utf-8")
    environment = {**os.environ, "PYTHONFAULTHANDLER": "1", **end.environment}
    err = open(folder / "err", "w+b")  # noqa: SIM115  # closed below
    ours = theirs = -1
    if end.on_terminal:
        ours, theirs = os.openpty()
        environment["TERM"] = "xterm"
    try:
        process = subprocess.Popen(
            [sys.executable, str(script)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=theirs if end.on_terminal else err,
        )
        try:
            returned = process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            returned = process.wait()
        if end.on_terminal:
            os.set_blocking(ours, False)
            err.write(os.read(ours, 1 << 16))
        err.seek(0)
        return Ended(folder, returned, err.read().decode(errors="backslashreplace"))
    finally:
        err.close()
        for fd in (ours, theirs):
            if fd >= 0:
                os.close(fd)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return what became of an end, by name; all are begun with the first question."""
    root = tmp_path_factory.mktemp("ends")
    with ThreadPoolExecutor(4) as pool:
        begun: dict[str, Future[Ended]] = {}

        def of(name: str) -> Ended:
            if not begun:
                for number, (each, end) in enumerate(ENDS.items()):
                    begun[each] = pool.submit(_run, end, root / str(number))
            return begun[name].result()

        yield of


def _ours(err: str) -> list[str]:
    """Return of each traceback in *err* where it was raised, if that is in refunc."""
    traces = re.split(r"^Traceback ", err, flags=re.MULTILINE)[1:]
    files = [re.findall(r'^ +File "([^"]+)"', trace, re.MULTILINE)[-1:] for trace in traces]
    return [file for found in files for file in found if "/refunc/" in file]


@pytest.mark.parametrize("name", ENDS)
def test_the_process_ends_and_what_it_logged_is_there(name: str, ended: Callable[[str], Ended], journal: Any) -> None:
    from refunc.runs.store import Store

    end, (folder, returned, err) = ENDS[name], ended(name)

    assert returned == end.returned, err or "it had to be killed"
    assert _ours(err) == [], err
    assert end.said in err
    logged = folder / "logs" / "train.log"
    text = logged.read_text(encoding="utf-8") if logged.exists() else ""
    assert {line: text.count(line) for line in end.lines} == dict.fromkeys(end.lines, 1)
    runs = list(Store(folder / "experiments"))
    records = [record for run in runs for record in journal.read(run)[0]]
    found = [record.message for record in records if isinstance(record, LogLine)]
    assert [line for line in end.run_lines if found.count(line) != 1] == []
    if end.statuses:
        assert tuple(run.status for run in runs) == end.statuses
        assert sum(isinstance(record, Metrics) and "late" in record.metrics for record in records) == end.late
