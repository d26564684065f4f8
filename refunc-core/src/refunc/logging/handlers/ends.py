"""
The ends that handlers which hold records have to know of: the exit of the process, and a fork.

At exit the queues pass on the records that wait, all together for at most `EXIT_WAIT`. A forked child forgets the
records of its parent, which passes them on itself.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from refunc.logging.handlers import origin
from refunc.outlets import pump
from refunc.processes.forks import at_fork

#: Seconds that exit waits for all targets together.
EXIT_WAIT = 10.0
_LEAST_WAIT = 0.05

#: The time at which exit stops waiting, by `time.monotonic`; 0 before it has begun.
exit_deadline = 0.0


class _Forgetful(Protocol):
    def after_fork_in_child(self) -> None: ...


class _Hurried(_Forgetful, Protocol):
    def hurry(self) -> Callable[[], None]: ...


_forgetful: dict[int, weakref.ref[_Forgetful]] = {}
_hurried: dict[int, weakref.ref[_Hurried]] = {}
_is_hooked = False


def forget_in_children(holder: _Forgetful) -> None:
    """Call `holder.after_fork_in_child()` in forked children."""
    global _is_hooked
    _remember(holder, _forgetful)
    if not _is_hooked:
        _is_hooked = True
        pump.behind_files.append(_finish_all)
        at_fork(after_in_child=_after_fork_in_child)


def finish_at_exit(queue: _Hurried) -> None:
    """Call `queue.hurry()` at exit, and then its result; forget the queue's records in forked children."""
    _remember(queue, _hurried)
    forget_in_children(queue)


def seconds_left() -> float:
    """Return the seconds that exit still waits for one target."""
    return max(_LEAST_WAIT, exit_deadline - time.monotonic())


def _remember(holder: Any, holders: dict[int, weakref.ref[Any]]) -> None:
    key = id(holder)
    holders[key] = weakref.ref(holder, lambda _: holders.pop(key, None))


def _finish_all() -> None:
    """
    Wait for all targets at exit. Ctrl-C ends the waiting: `at_exit` calls this again, which then waits for
    nothing.
    """
    global exit_deadline
    exit_deadline = exit_deadline or time.monotonic() + EXIT_WAIT
    try:
        queues = [queue for reference in [*_hurried.values()] if (queue := reference()) is not None]
        for wait in [queue.hurry() for queue in queues]:
            wait()
    except KeyboardInterrupt:
        exit_deadline = time.monotonic()
        raise


def _after_fork_in_child() -> None:
    global exit_deadline
    exit_deadline = 0.0
    origin.after_fork_in_child()
    for reference in [*_forgetful.values()]:
        if (holder := reference()) is not None:
            holder.after_fork_in_child()
