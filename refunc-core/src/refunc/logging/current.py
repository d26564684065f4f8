"""
Which run a call belongs to, and the runs that this process has open.

An explicit run (`start_experiment` on that logger) comes before the ambient one (`experiment_context`, a ContextVar),
that before the process's only open run, and that before the implicit run. Nothing is patched: a thread, whose context
is empty, finds its run by the third rule, and an asyncio task by the second.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from functools import partial
from itertools import repeat
from types import TracebackType
from typing import Any

from refunc.journal.kinds import COMPLETED, FAILED, INTERRUPTED
from refunc.journal.pump import at_exit
from refunc.journal.values import excerpt
from refunc.logging.attached import adopt_after_fork, has_parent, name_for_children, run_of_parent
from refunc.logging.banner import best_line, end_line, is_quiet, start_line
from refunc.logging.integrations import deliver_to_all, is_in_hook, news
from refunc.logging.report import report, warn_once
from refunc.logging.run import ActiveRun

#: The run of `experiment_context` in this thread or task.
ambient: ContextVar[ActiveRun | None] = ContextVar("refunc_run", default=None)

#: Lines logged outside any run: the last 1,000, the head of the next run.
loose_lines: deque[Any] = deque(maxlen=1_000)

_open_runs: dict[str, ActiveRun] = {}
#: Held while a call that found no run opens or attaches one. Re-entrant: a signal handler may log its first record.
_opening = threading.RLock()
#: Held for the few assignments that give a logger its place in a run, or say which run is meant. Re-entrant likewise.
joining = threading.RLock()
#: The run that ended last in this process.
last_ended: ActiveRun | None = None
_ending_error: list[tuple[str, str | None]] = []
_is_hooked = False
_own_hook: Callable[..., None] | None = None
_is_exiting = False
_late_run: ActiveRun | None = None
#: The same for what integrations log in their hooks.
_late_hook_run: ActiveRun | None = None


def ambient_run() -> ActiveRun | None:
    """Return the open run whose context this thread or task is in."""
    run = ambient.get()
    return run if run is not None and run.accepts() else None


def existing_run(*, look: bool = False) -> ActiveRun | None:
    """
    Return the ambient run, else the process's only open one or its parent's, else the implicit one if it is open.

    Args:
        look: Look for the parent's run even if it had none a moment ago.
    """
    run = ambient_run()
    if run is not None:
        return run
    known = tuple(_open_runs.values())
    if len(known) == 1 and known[0].accepts():  # nearly always: data calls in the implicit run and in threads pass here
        return known[0]
    known = tuple(run for run in known if run.accepts())
    named = [run for run in known if not run.implicit]
    if len(named) == 1:
        return named[0]
    if not named:
        return next(iter(known), None) or _attach(look) or (_late_hook_run if is_in_hook() else _late_run)
    warn_once(
        "several runs",
        "%d runs are open, and a call outside their contexts cannot know which is meant: it goes to %s. "
        "Log inside `with experiment_context(...)`, or give the thread's logger a run with start_experiment().",
        len(named),
        "the implicit run",
    )
    return next((run for run in known if run.implicit), None)


def implicit_run(open_run: Callable[[], ActiveRun]) -> ActiveRun:
    """
    Return the run of a call that found none: what *open_run* opens, or what another thread has opened meanwhile.

    Only a call for which `existing_run` had nothing comes here, so the lock is on no other call's way.
    """
    with _opening:
        return existing_run(look=True) or open_run()


def is_ambiguous() -> bool:
    """Whether a call outside every context cannot know its run, because several are open."""
    several = [run for run in tuple(_open_runs.values()) if run.accepts() and not run.implicit]
    return len(several) > 1 and ambient_run() is None


def is_only(run: ActiveRun) -> bool:
    """Whether *run* is the only one that this process has open, so that a call without a run of its own means it."""
    return run.is_open and tuple(_open_runs) == (run.run_id,)


def _add(run: ActiveRun) -> None:
    """Have *run* among the open ones, and every logger look anew which one it means."""
    with joining:
        _open_runs[run.run_id] = run
        for other in tuple(_open_runs.values()):
            for steps in tuple(other.steps.values()):
                steps.is_current = False


def register(run: ActiveRun, tell: Callable[[str], None]) -> None:
    """
    Begin *run*: its start record and the lines logged before it are written when this returns.

    Args:
        tell: Shows a line; it gets one now and one when the run ends.
    """
    global _late_run, _late_hook_run
    _install_hooks()
    run.start()
    _add(run)
    with contextlib.suppress(IndexError):  # another thread's run took lines meanwhile
        run.writer.write_all(map(deque.popleft, repeat(loose_lines, len(loose_lines))))
    name_for_children(run)
    if run.is_written and not is_quiet():
        run.tell = tell
    run.tell(start_line(run))
    for line in news():
        run.tell(line)
    if _is_exiting:  # by an atexit handler that runs behind ours: nobody else ends this run
        if is_in_hook():
            _late_hook_run = run
        else:
            _late_run = run
        finish(run, COMPLETED)


def finish(run: ActiveRun, status: str, *, metrics: dict[str, Any] | None = None, error: str | None = None) -> None:
    """End *run*; a process that does not own it only lets go of it."""
    global last_ended
    if not run.steps and not run.implicit and run.accepts():
        deliver_to_all(run)
    is_ended = run.end(status, metrics=metrics, error=error)
    _open_runs.pop(run.run_id, None)
    name_for_children(next(reversed(tuple(_open_runs.values())), None))
    if is_ended:
        last_ended = run
        if run.is_own:
            if (best := best_line(run)) is not None:
                run.tell(best)
            run.tell(end_line(run))


def open_runs() -> Iterable[ActiveRun]:
    """Return the runs that this process has open, in the order in which they were opened."""
    return tuple(_open_runs.values())


def status_of_exception(error: BaseException | None) -> str:
    """Return the status of a run that *error* ended: a clean `sys.exit()` completes it, Ctrl-C interrupts it."""
    if error is None:
        return COMPLETED
    if isinstance(error, SystemExit):
        return COMPLETED if error.code in (None, 0) else FAILED
    if isinstance(error, GeneratorExit):
        return COMPLETED
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else FAILED


def format_error(error: BaseException) -> str:
    """Return the traceback of *error* as text, from the first frame on that is not refunc's own."""
    trace = error.__traceback__
    while trace is not None and str(trace.tb_frame.f_globals.get("__name__", "")).startswith("refunc."):
        trace = trace.tb_next
    return excerpt("".join(traceback.format_exception(type(error), error, trace)))


def _attach(look: bool) -> ActiveRun | None:
    """Return the run of this process's parent, one writer to it however many threads ask."""
    if not has_parent():
        return None
    with _opening:
        attached = next((run for run in tuple(_open_runs.values()) if not run.is_own and run.accepts()), None)
        run = attached or run_of_parent(now=look)
        if run is not None:
            _install_hooks()
            _add(run)
            name_for_children(run)
        return run


def _install_hooks() -> None:
    """Learn what ends the process, and of its children: from its first run on."""
    global _is_hooked
    if not _is_hooked:
        _is_hooked = True
        if not hasattr(sys, "ps1"):  # at a prompt an exception ends nothing
            _chain_excepthook()


def _after_fork_in_child() -> None:
    global _opening, joining
    _opening, joining = threading.RLock(), threading.RLock()
    loose_lines.clear()
    _ending_error.clear()
    for run in tuple(_open_runs.values()):
        adopt_after_fork(run)
        name_for_children(run)


def _chain_excepthook() -> None:
    """Remember what ends the interpreter, then let the hook that was there show it."""
    global _own_hook
    previous = sys.excepthook

    def excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        try:
            status = status_of_exception(error)
            _ending_error.append((status, None))  # at once: Ctrl-C again may interrupt what formats
            text = excerpt("".join(traceback.format_exception(kind, error, trace)))
            _ending_error.append((status, text))
        finally:
            previous(kind, error, trace)

    sys.excepthook = _own_hook = excepthook


def _what_ended() -> tuple[str, str | None]:
    """Return with which status and traceback the runs end that end with the process."""
    if _ending_error:
        return _ending_error[-1]
    # Somebody put a hook in the place of ours, as `rich.traceback.install()` does. Python keeps what a hook is given.
    error = getattr(sys, "last_value", None)
    if _own_hook is not None and sys.excepthook is not _own_hook and isinstance(error, BaseException):
        return status_of_exception(error), format_error(error)
    return COMPLETED, None


def _end_open_runs() -> None:
    """End what is open. A record that is logged still later goes behind the end of the newest run."""
    global _is_exiting, _late_run
    status, error = _what_ended()
    _is_exiting = True
    for run in reversed(tuple(_open_runs.values())):
        _late_run = _late_run or run
        at_exit(partial(finish, run, status, error=error))
    handover = sys.modules.get("refunc.delivery.handover")
    if handover is not None:  # nobody asked for delivery, else
        handover.wait_at_exit(report.warning)


# Handlers run in the reverse order: those that a script registers after its imports run while the runs are still open.
atexit.register(_end_open_runs)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
