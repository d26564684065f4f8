"""
stdlib's `LogRecord`, made at a quarter of its cost: values that its constructor looks up each time are cached here.

Every attribute has the value that the constructor gives it; a test compares them on each Python. If a record factory is
set, or another `makeRecord` (by a logger class, or by a tracer that adds its ids), that one is called instead.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from types import FunctionType
from typing import Any, NamedTuple

from refunc.logging.lines.line_record import LineRecord, as_line
from refunc.processes.forks import in_child

_probe = logging.LogRecord("", 0, "", 0, "", (), None)
#: When stdlib's clock of `relativeCreated` began, in seconds since 1970.
_STARTED = _probe.created - _probe.relativeCreated / 1000
_HAS_TASKS = hasattr(_probe, "taskName")  # from Python 3.12 on

_make = logging.Logger.makeRecord
_own_file = logging.LogRecord.__init__.__code__.co_filename
#: stdlib's own way of making records; None if it was replaced before this was imported.
_stdlibs = _make if isinstance(_make, FunctionType) and _make.__code__.co_filename == _own_file else None

#: Cached because a system call costs more than the rest of some lines; a forked child has another one.
_pid = os.getpid()

_OWN_FOLDER = os.path.dirname(os.path.dirname(__file__)) + os.sep  # refunc.logging
_MAX_FILES = 10_000
known_files: dict[str, CodeFile] = {}


class CodeFile(NamedTuple):
    """The names of a file that has logged: its own, its module's, and whether it is part of `refunc.logging`."""

    file: str
    module: str
    is_own: bool


def code_file_of(path: str) -> CodeFile:
    """Return the names of a code object's file, by its `co_filename`."""
    known = known_files.get(path)
    if known is None:
        if len(known_files) >= _MAX_FILES:  # code generated at run time
            known_files.clear()
        file = os.path.basename(path) or "?"
        known = known_files[path] = CodeFile(file, os.path.splitext(file)[0], path.startswith(_OWN_FOLDER))
    return known


def caller_at(stacklevel: object) -> Any:
    """Return the frame of *stacklevel*, counted as in stdlib logging. Only `Lines._log` may call this."""
    try:
        return sys._getframe(2 + stacklevel)  # type: ignore[operator]  # see below
    except Exception:  # not a number, or too deep
        return caller_outside()


def caller_outside() -> Any:
    """Return the first frame outside this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and code_file_of(frame.f_code.co_filename).is_own:
        frame = frame.f_back
    return frame


def record_for(
    logger: logging.Logger,
    level: int,
    message: str,
    frame: Any,
    error: Any,
    stack: str | None,
    moment: float,
) -> logging.LogRecord:
    """
    Return the record of a line with its text merged, logged by *frame* at *moment* (seconds since 1970).

    Args:
        error: stdlib's `exc_info`, or None.
    """
    code = frame.f_code
    if logging.getLogRecordFactory() is not logging.LogRecord or type(logger).makeRecord is not _stdlibs:
        try:
            record = logger.makeRecord(
                logger.name, level, code.co_filename, frame.f_lineno, message, (), error, code.co_name, None, stack
            )
        except Exception:  # from other libraries' code: the line is worth more than its additions
            pass
        else:
            record.created, record.msecs = moment, moment % 1 * 1000 // 1
            return as_line(record)
    record = LineRecord.__new__(LineRecord)
    # One by one, as the constructor does: Python then keeps them without a dict, at a third of the cost.
    record.name = logger.name
    record.msg = message
    record.args = ()
    path = code.co_filename
    file = code_file_of(path)
    record.levelname = logging.getLevelName(level)
    record.levelno = level
    record.pathname = path
    record.filename = file.file
    record.module = file.module
    record.exc_info = error
    record.exc_text = None
    record.stack_info = stack
    record.lineno = frame.f_lineno
    record.funcName = code.co_name
    record.created = moment
    record.msecs = moment % 1 * 1000 // 1
    record.relativeCreated = (moment - _STARTED) * 1000
    record.thread = threading.get_ident() if logging.logThreads else None
    record.threadName = threading.current_thread().name if logging.logThreads else None
    record.processName = _process_name() if logging.logMultiprocessing else None
    record.process = _pid if logging.logProcesses else None
    if _HAS_TASKS:
        record.taskName = _task_name()
    return record


@in_child
def _after_fork_in_child() -> None:
    global _pid
    _pid = os.getpid()


def _process_name() -> str:
    processes = sys.modules.get("multiprocessing")
    if processes is None:
        return "MainProcess"
    try:
        return str(processes.current_process().name)
    except Exception:  # another thread is importing it
        return "MainProcess"


def _task_name() -> str | None:
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or not getattr(logging, "logAsyncioTasks", False):
        return None
    try:
        return str(asyncio.current_task().get_name())
    except Exception:  # no task, or no loop in this thread
        return None
