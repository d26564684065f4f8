"""What the tests of the guarantees share: scripts that run as processes of their own, and runs read back."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.reader import Account
from refunc.journal.record import Metrics, Record
from refunc.runs.run import Run
from refunc.runs.store import open_store

#: Put before every script: quiet loggers, since no test here is about the console.
PRELUDE = """
import os, random, signal, sys, threading, time
from refunc.logging import MLLogger, experiment_context
log = MLLogger("train", "CRITICAL")
"""


def _environment(extra: dict[str, str]) -> dict[str, str]:
    return {**os.environ, "PYTHONFAULTHANDLER": "1", **extra}


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start Python code as a process in the test's folder; what is still alive at the test's end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *args: object, prelude: str = PRELUDE, **environment: str) -> subprocess.Popen[str]:
        path = tmp_path / f"script{len(started)}.py"
        path.write_text(prelude + textwrap.dedent(code), encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, "-W", "error", str(path), *map(str, args)],
            env=_environment(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="backslashreplace",
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def finished(script: Callable[..., subprocess.Popen[str]]) -> Callable[..., tuple[int, str, str]]:
    """Run Python code to its end, within a deadline, and return its exit code, output and errors."""

    def finish(code: str, *args: object, deadline: float = 40, **options: Any) -> tuple[int, str, str]:
        process = script(code, *args, **options)
        out, err = process.communicate(timeout=deadline)
        return process.returncode, out, err

    return finish


@pytest.fixture
def only_run(tmp_path: Path) -> Callable[[], Run]:
    """Return the one run in the test's store."""

    def read() -> Run:
        runs = list(open_store(tmp_path / "experiments"))
        assert len(runs) == 1, [run.folder.name for run in runs]
        return runs[0]

    return read


def read(run: Run) -> tuple[list[Record], Account]:
    """Return all records of *run* and what was met besides."""
    account = Account()
    return list(run.records(account)), account


def values(records: list[Record], name: str) -> list[Any]:
    """Return the values of the metric *name*, in the order of the journal."""
    return [record.metrics[name] for record in records if isinstance(record, Metrics) and name in record.metrics]


def wait_until(condition: Callable[[], object], deadline: float = 10.0) -> None:
    """Come back as soon as *condition* holds; fail when it does not within *deadline* seconds."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, f"{condition} did not come true within {deadline} s"
        time.sleep(0.002)


@pytest.fixture
def journal() -> Any:
    """Give the functions that read a journal back; importlib mode has no import between test files."""

    class Journal:
        read = staticmethod(read)
        values = staticmethod(values)
        wait_until = staticmethod(wait_until)

    return Journal
