"""A record made by refunc has all attributes of stdlib's own, on whatever Python the tests run."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing  # so that both ask it for the process's name
import subprocess
import sys
import time
import types
from typing import Any

import pytest

from refunc.logging.lines.records import record_for

assert multiprocessing  # imported for its presence


def both() -> tuple[dict[str, Any], dict[str, Any]]:
    logger = logging.getLogger("records")
    frame = sys._getframe()
    try:
        raise ValueError("it broke")
    except ValueError:
        error = sys.exc_info()
    moment = time.time()
    ours = record_for(logger, 24, "message", frame, error, "stack", moment)
    code = frame.f_code
    line = ours.lineno
    theirs = logger.makeRecord("records", 24, code.co_filename, line, "message", (), error, code.co_name, None, "stack")
    return vars(ours), vars(theirs)


def compare(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert list(ours) == list(theirs)
    assert ours["msecs"] == int(ours["created"] % 1 * 1000)
    created, relative = (
        theirs.pop("created") - ours.pop("created"),
        theirs.pop("relativeCreated") - ours.pop("relativeCreated"),
    )
    assert 0 <= created < 60
    assert relative == pytest.approx(created * 1000, abs=2)
    del ours["msecs"], theirs["msecs"]
    assert ours == theirs


def test_every_attribute_is_the_one_of_stdlib() -> None:
    compare(*both())


def test_milliseconds_are_whole_and_below_1000() -> None:
    """As those of stdlib: `%(msecs)03.0f` would else round up to a thousand."""
    moments = [1_700_000_000.9996, 1_700_000_000.0, 1_700_000_000.1239, 12.25]
    frame, logger = sys._getframe(), logging.getLogger("records")
    records = [record_for(logger, 20, "m", frame, None, None, moment) for moment in moments]

    assert [record.msecs for record in records] == [999.0, 0.0, 123.0, 250.0]
    assert all(type(record.msecs) is float for record in records)


def test_also_in_a_task() -> None:
    async def task() -> tuple[dict[str, Any], dict[str, Any]]:
        return both()

    async def main() -> tuple[dict[str, Any], dict[str, Any]]:
        return await asyncio.create_task(task(), name="the task")

    compare(*asyncio.run(main()))


@pytest.mark.parametrize("switch", ["logThreads", "logProcesses", "logMultiprocessing"])
def test_the_switches_of_stdlib_count(switch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, switch, False)

    compare(*both())


def test_a_factory_that_somebody_set_is_asked() -> None:
    class Marked(logging.LogRecord):
        pass

    logging.setLogRecordFactory(Marked)
    try:
        record = record_for(logging.getLogger("records"), 20, "m", sys._getframe(), None, None, 12.25)
    finally:
        logging.setLogRecordFactory(logging.LogRecord)

    assert isinstance(record, Marked)
    assert (record.created, record.msecs) == (12.25, 250.0)


def test_another_way_to_make_records_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    original = logging.Logger.makeRecord

    def traced(self: logging.Logger, *args: Any, **options: Any) -> logging.LogRecord:
        record = original(self, *args, **options)
        record.trace_id = 7
        return record

    class Tracing(logging.Logger):
        makeRecord = traced  # noqa: N815  # stdlib's name

    by_class = record_for(Tracing("records"), 20, "m", sys._getframe(), None, None, 12.25)
    monkeypatch.setattr(logging.Logger, "makeRecord", traced)
    by_patch = record_for(logging.getLogger("records"), 20, "m", sys._getframe(), None, None, 12.25)

    assert (vars(by_class)["trace_id"], vars(by_patch)["trace_id"]) == (7, 7)


def test_multiprocessing_that_another_thread_imports_right_now_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "multiprocessing", types.ModuleType("multiprocessing"))

    record = record_for(logging.getLogger("records"), 20, "m", sys._getframe(), None, None, 12.25)

    assert record.processName == "MainProcess"


def test_a_forked_childs_records_have_its_own_pid() -> None:
    script = """
import logging, os, sys
from refunc.logging.lines.records import record_for
child = os.fork()
if child == 0:
    record = record_for(logging.getLogger("child"), logging.INFO, "line", sys._getframe(), None, None, 1.0)
    os._exit(record.process != os.getpid())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
