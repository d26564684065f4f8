"""A record made by refunc has what stdlib's own has, on whatever Python the tests run."""

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

from refunc.logging.fields import Fields
from refunc.logging.formatters import ColoredFormatter, JSONFormatter
from refunc.logging.records import record_for

assert multiprocessing  # imported for its presence


def both() -> tuple[dict[str, Any], dict[str, Any]]:
    logger = logging.getLogger("records")
    frame = sys._getframe()
    try:
        raise ValueError("it broke")
    except ValueError:
        error = sys.exc_info()
    moment = time.time()
    ours = record_for(logger, 24, "message", frame, error, "stack", moment, True)
    code = frame.f_code
    line = ours.lineno
    theirs = logger.makeRecord("records", 24, code.co_filename, line, "message", (), error, code.co_name, None, "stack")
    return vars(ours), vars(theirs)


def compare(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert list(ours) == list(theirs)
    assert ours["msecs"] == ours["created"] % 1 * 1000
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
        record = record_for(logging.getLogger("records"), 20, "m", sys._getframe(), None, None, 12.25, True)
    finally:
        logging.setLogRecordFactory(logging.LogRecord)

    assert type(record) is Marked
    assert (record.created, record.msecs) == (12.25, 250.0)


def test_another_way_to_make_records_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    original = logging.Logger.makeRecord

    def traced(self: logging.Logger, *args: Any, **options: Any) -> logging.LogRecord:
        record = original(self, *args, **options)
        record.trace_id = 7
        return record

    class Tracing(logging.Logger):
        makeRecord = traced  # noqa: N815  # stdlib's name

    by_class = record_for(Tracing("records"), 20, "m", sys._getframe(), None, None, 12.25, True)
    monkeypatch.setattr(logging.Logger, "makeRecord", traced)
    by_patch = record_for(logging.getLogger("records"), 20, "m", sys._getframe(), None, None, 12.25, True)

    assert (vars(by_class)["trace_id"], vars(by_patch)["trace_id"]) == (7, 7)


def test_multiprocessing_that_another_thread_imports_right_now_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "multiprocessing", types.ModuleType("multiprocessing"))

    record = record_for(logging.getLogger("records"), 20, "m", sys._getframe(), None, None, 12.25, True)

    assert record.processName == "MainProcess"


def test_a_forked_childs_records_have_its_own_pid() -> None:
    script = """
import logging, os, sys
from refunc.logging.records import record_for
child = os.fork()
if child == 0:
    record = record_for(logging.getLogger("child"), logging.INFO, "line", sys._getframe(), None, None, 1.0, True)
    os._exit(record.process != os.getpid())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize(
    "formatter", [ColoredFormatter(colored=False), JSONFormatter()], ids=lambda each: type(each).__name__
)
def test_a_record_for_files_alone_has_what_they_show(formatter: logging.Formatter) -> None:
    logger = logging.getLogger("records")
    error = (ValueError, ValueError("it broke"), None)
    whole, bare = (
        record_for(logger, 24, "message", sys._getframe(), error, "stack", 12.25, is_shown)
        for is_shown in (True, False)
    )
    for record in (whole, bare):
        record.refunc = Fields(step=3, extra={"path": "data"})

    assert formatter.format(bare) == formatter.format(whole)
    assert "it broke" in formatter.format(bare)
