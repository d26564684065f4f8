"""How a run ended, from the exception that ended it. No framework is imported: its classes are known by name."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable, Iterator
from types import CodeType, TracebackType
from typing import Any

from refunc.journal.kinds import COMPLETED, EXITED, FAILED, INTERRUPTED, NO_ENDS, PREEMPTED, PRUNED
from refunc.values.loaded import of_loaded
from refunc.values.texts import excerpt, text_of

#: Exceptions that stop a block from outside: asyncio's, trio's and anyio's, gevent's. None of them is an `Exception`.
_STOPS = frozenset({"CancelledError", "Cancelled", "GreenletExit"})

#: Exit codes of programs that SIGHUP, SIGINT and SIGTERM ended, as shells report them and scripts return them.
_SIGNALLED = frozenset({129, 130, 143})

#: Of several exceptions in a group, the one that comes first here says how the run ended.
_WORST_FIRST = (FAILED, INTERRUPTED, PRUNED, COMPLETED)

#: Words for the end of a run that refunc itself knows.
_ENDS = frozenset({COMPLETED, FAILED, INTERRUPTED, PREEMPTED, PRUNED, EXITED})

#: Exceptions that are looked at: a chain or a group may be endless.
_MOST = 1_000


def status_given(status: object) -> tuple[str, str | None]:
    """
    Return the status that a run ends with if a user gave *status*, and the word if it is not allowed.

    Upper and lower case are the same in refunc's words. `running`, `crashed` and `unreadable` are not allowed: they
    describe runs that have not ended.
    """
    word = text_of(status, 100)
    plain = word.strip().lower()
    if plain in NO_ENDS:
        return COMPLETED, word
    return (plain if plain in _ENDS else word), None


def status_of_exception(error: BaseException | None) -> str:
    """
    Return the status of a run that *error* ended.

    `completed` for none, `sys.exit()` and a closed generator; `interrupted` for Ctrl-C, also inside another exception,
    and for code that was cancelled or told to stop; `pruned` for Optuna's TrialPruned; `failed` for all else.
    """
    if error is None:
        return COMPLETED
    leaves = list(_leaves(error))
    if any(isinstance(leaf, KeyboardInterrupt) for leaf in leaves):
        return INTERRUPTED
    found = {_status_of(leaf) for leaf in leaves}
    return next((status for status in _WORST_FIRST if status in found), FAILED)


def after_signal(status: str, error: str | None) -> tuple[str, str | None]:
    """
    Return the status and traceback of a run that would end with these, after a signal that ends the process.

    Such an end is `preempted`, also where the program exits with a code; a fault stays a fault.
    """
    is_exit = status == FAILED and (error or "").rstrip().rpartition("\n")[2].startswith("SystemExit")
    return (PREEMPTED, None) if is_exit or status in (COMPLETED, EXITED, INTERRUPTED) else (status, error)


def traceback_of(error: BaseException, status: str, trace: TracebackType | None = None) -> str | None:
    """
    Return the traceback of *error*, which gave a run its *status*, from the first frame on that is not refunc's own.

    None if nothing went wrong, for `completed` and `pruned`.
    """
    if status in (COMPLETED, PRUNED):
        return None
    trace = trace or error.__traceback__
    while trace is not None and str(trace.tb_frame.f_globals.get("__name__", "")).startswith("refunc."):
        trace = trace.tb_next
    return excerpt("".join(traceback.format_exception(type(error), error, trace)))


def _status_of(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        trace, codes = error.__traceback__, []
        while trace is not None:
            codes.append(trace.tb_frame.f_code)
            trace = trace.tb_next
        return status_of_exit(error, codes)
    if isinstance(error, GeneratorExit):
        return COMPLETED
    kinds = type(error).__mro__
    if not isinstance(error, Exception) and any(kind.__name__ in _STOPS for kind in kinds):
        return COMPLETED if _closes_generator() else INTERRUPTED
    if any(kind.__name__ == "TrialPruned" and kind.__module__.partition(".")[0] == "optuna" for kind in kinds):
        return PRUNED
    return FAILED


def _closes_generator() -> bool:
    """
    Whether the current asyncio task does nothing but close an async generator.

    asyncio closes a generator that was left with `break` in such a task, and cancels the task if the loop ends just
    then.
    """
    current_task = of_loaded("asyncio", "current_task")
    try:
        task = current_task() if current_task is not None else None
    except RuntimeError:  # there is no running loop in this thread
        return False
    return task is not None and type(task.get_coro()).__name__ == "async_generator_athrow"


def status_of_exit(error: SystemExit, codes: Iterable[CodeType]) -> str:
    """
    Return the status of a run that `sys.exit` ended.

    Args:
        codes: The code that was running when it was raised: a signal handler among it means that the script was told to
            stop.
    """
    if any(isinstance(before, KeyboardInterrupt) for before in _chain(error)):  # Ctrl-C, turned into an exit
        return INTERRUPTED
    code = error.code
    if not _handlers().isdisjoint(codes) or (type(code) is int and code in _SIGNALLED):
        return INTERRUPTED
    if code is None or (isinstance(code, int) and code == 0):
        # A class of its own says why: Lightning's SIGTERMException, a worker's shutdown.
        return COMPLETED if type(error) is SystemExit else INTERRUPTED
    return FAILED


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions in a group, or *error* itself if it is not a group."""
    todo = [error]
    for _ in range(_MOST):
        if not todo:
            return
        each = todo.pop()
        inner = getattr(each, "exceptions", None)
        # By name: before Python 3.11 groups are the package `exceptiongroup`'s.
        if isinstance(inner, tuple) and any(kind.__name__ == "BaseExceptionGroup" for kind in type(each).__mro__):
            todo += [part for part in inner if isinstance(part, BaseException)]
        else:
            yield each


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield *error*'s causes and contexts."""
    todo, seen = [error.__cause__, error.__context__], {id(error)}
    while todo and len(seen) < _MOST:
        each = todo.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            todo += [each.__cause__, each.__context__]
            yield each


def _handlers() -> frozenset[CodeType]:
    """Return the code of the signal handlers that are written in Python."""
    signal = sys.modules.get("signal")
    if signal is None:
        return frozenset()
    return frozenset(code for number in signal.valid_signals() if (code := _code_of(signal.getsignal(number))))


def _code_of(handler: Any) -> CodeType | None:
    for _ in range(5):
        code = getattr(handler, "__code__", None)
        if isinstance(code, CodeType):
            return code
        # A partial, a method, an object that can be called.
        inner = getattr(handler, "func", None) or getattr(handler, "__func__", None)
        handler = inner if inner is not None else getattr(type(handler), "__call__", None)  # noqa: B004
    return None
