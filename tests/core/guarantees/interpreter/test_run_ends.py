"""The table of docs/reference/runs.md about how runs end: each row is a process of its own, or two."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[4] / "docs" / "reference" / "runs.md"
LIMIT = 30

HEAD = """
import asyncio, os, signal, sys, threading, time
early_exit = sys.exit
from refunc.logging import ExperimentTracker, MLLogger, experiment_context
log = MLLogger("train", "CRITICAL")

def ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(1_000):
        time.sleep(0.01)

class BaseExceptionGroup(BaseException):  # as of the package `exceptiongroup`, or Python's from 3.11 on
    def __init__(self, text, exceptions):
        self.exceptions = tuple(exceptions)

class Cancelled(BaseException):  # trio's
    pass

class Stop(SystemExit):
    pass

def turned():
    try:
        ctrl_c()
    except KeyboardInterrupt:
        exit(1)

def in_asyncio():
    async def train():
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(10)
    asyncio.run(train())

def on_signal(code):
    def stop(number, frame):
        sys.exit(code)
    signal.signal(signal.SIGTERM, stop)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(10)

class Handler:
    def stop(self, number, frame):
        sys.exit(1)

def on_signal_of_an_object():
    signal.signal(signal.SIGUSR1, Handler().stop)
    os.kill(os.getpid(), signal.SIGUSR1)
    time.sleep(10)

def main():
    log.log_metrics({"main": 1})
    return 3

def raise_(error):
    raise error

TrialPruned = type("TrialPruned", (Exception,), {"__module__": "optuna.exceptions"})
"""

#: By the first words of a row: statements, in a function, that end the run so. Both columns are made of them.
ROWS: dict[str, list[str]] = {
    "the end of the block": ["pass", "return"],
    "an exception |": ["1 / 0", 'raise RuntimeError("no data")'],
    "`sys.exit()`": ["sys.exit()", "sys.exit(0)", "exit()"],
    "`sys.exit(3)`": ["sys.exit(3)", 'sys.exit("no data")', "exit(3)", "quit(True)", "sys.exit(main())"],
    "`raise SystemExit(3)`": ["raise SystemExit(3)", "early_exit(3)"],
    "`raise SystemExit(0)`": ["raise SystemExit(0)", "raise SystemExit"],
    "an exit with 129": ["sys.exit(130)", "sys.exit(143)"],
    "Ctrl-C |": ["ctrl_c()"],
    "Ctrl-C that is turned": ["turned()"],
    "Ctrl-C in `asyncio.run`": ["in_asyncio()", "raise asyncio.CancelledError", "raise Cancelled"],
    "a group of exceptions with": [
        'raise BaseExceptionGroup("tasks", [ValueError(), KeyboardInterrupt()])',
        'raise BaseExceptionGroup("tasks", [BaseExceptionGroup("inner", [asyncio.CancelledError()]), Cancelled()])',
    ],
    "a group with an exception": ['raise BaseExceptionGroup("tasks", [asyncio.CancelledError(), ValueError()])'],
    "`sys.exit` in a handler": ["on_signal(0)", "on_signal(1)", "on_signal_of_an_object()"],
    "a class derived": ["raise Stop", "raise Stop(0)"],
    "`optuna.TrialPruned`": ["raise TrialPruned"],
    "SIGTERM without": ["os._exit(0)", "os.abort()", "os.kill(os.getpid(), signal.SIGTERM); time.sleep(10)"],
}
IN_BLOCK = """
def work():
    with experiment_context("e"):
        log.log_metrics({{"n": 1}}); log.flush()
        {code}
work()
"""
WITHOUT = """
def work():
    {code}
{start}
log.log_metrics({{"n": 1}}); log.flush()
work()
"""
STARTS = ['log.start_experiment("e")', 'tracker = ExperimentTracker("e"); tracker.start_run()', ""]

#: Rows of which one function says too little: the scripts of both columns.
SCRIPTS: dict[str, tuple[list[str], list[str]]] = {
    "an exit that is caught": (
        ['try:\n    with experiment_context("e"):\n        sys.exit(3)\nexcept SystemExit:\n    pass'],
        [
            'log.start_experiment("e")\ntry:\n    sys.exit(3)\nexcept SystemExit as error:\n    kept = error',
            'log.start_experiment("e")\ndef call():\n    try:\n        exit(3)\n    except SystemExit:\n        pass\n'
            "call()",
        ],
    ),
    "an exception or `sys.exit(3)` in a thread": (
        [
            "def work():\n    with experiment_context('e'):\n        sys.exit(3)\n"
            "thread = threading.Thread(target=work); thread.start(); thread.join()"
        ],
        [
            "log.start_experiment('e')\nthread = threading.Thread(target=lambda: sys.exit(3))\n"
            "thread.start(); thread.join()"
        ],
    ),
    "a generator that is closed": (
        [
            "def work():\n    with experiment_context('e'):\n        yield 1\n        yield 2\n"
            "loader = work(); next(loader); loader.close()"
        ],
        ["log.start_experiment('e')\nloader = iter([1]); next(loader)"],
    ),
    "a generator that is left": (
        ["def work():\n    with experiment_context('e'):\n        yield 1\nloader = work(); next(loader)"],
        ["log.start_experiment('e')"],
    ),
    "an async generator that is left": (
        [
            "async def rows():\n    with experiment_context('e'):\n        yield 1\n        yield 2\n"
            f"async def main():\n    async for row in rows():\n        break\n{then}asyncio.run(main())"
            for then in ("", "    await asyncio.sleep(0.1)\n")
        ],
        ["log.start_experiment('e')"],
    ),
}


def _rows() -> dict[str, list[str]]:
    """Return the table's rows by their first cell, each with the two statuses."""
    table = PAGE.read_text(encoding="utf-8").partition("## How a run ends")[2].partition("\n## ")[0]
    cells = [re.findall(r"[^|]+", line) for line in table.splitlines() if line.startswith("| ")]
    return {f"{what.strip()} |": [a.strip(" `"), b.strip(" `")] for what, a, b in cells[2:]}


def _scripts(row: str) -> tuple[list[str], list[str]]:
    for begins, scripts in SCRIPTS.items():
        if row.startswith(begins):
            return scripts
    (codes,) = (codes for begins, codes in ROWS.items() if row.startswith(begins))
    return [IN_BLOCK.format(code=code) for code in codes], [
        WITHOUT.format(code=code, start=STARTS[at % 3]) for at, code in enumerate(codes)
    ]


def _run(script: str, folder: Path) -> list[str]:
    from refunc.runs.store import open_store

    folder.mkdir()
    (folder / "script.py").write_text(HEAD + textwrap.dedent(script), encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        _, err = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return ["it had to be killed"]
    return [run.status for run in open_store(folder / "experiments")] or [err.decode()]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the statuses that the scripts of a row and column left; all are begun with the first question."""
    root = tmp_path_factory.mktemp("ends")
    with ThreadPoolExecutor(4) as pool:
        begun: dict[tuple[str, int], list[tuple[str, Future[list[str]]]]] = {}

        def of(row: str, column: int) -> list[tuple[str, list[str]]]:
            if not begun:
                for each in _rows():
                    for number, scripts in enumerate(_scripts(each)):
                        begun[each, number] = [
                            (script, pool.submit(_run, script, root / f"{len(begun)}-{at}"))
                            for at, script in enumerate(scripts)
                        ]
            return [(script, future.result()) for script, future in begun[row, column]]

        yield of


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("column", [0, 1], ids=["in a block", "without"])
@pytest.mark.parametrize("row", _rows())
def test_a_run_ends_as_the_table_says(row: str, column: int, ended: Callable[[str, int], Any]) -> None:
    for script, statuses in ended(row, column):
        assert statuses == [_rows()[row][column]], script


def test_every_row_has_its_scripts() -> None:
    assert len(_rows()) == len(ROWS) + len(SCRIPTS)
