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
from tests.core.guarantees.interpreter.hostile_ends import ENDS, HEAD, End

from refunc.journal.record import LogLine, Metrics

pytestmark = pytest.mark.slow

#: Seconds that a process may take; on an idle machine they take a tenth of one.
LIMIT = 30


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
    """Return the result of an end, by name; all are begun with the first question."""
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
