"""
Which run a call belongs to, and the runs that this process has open.

An explicit run (`start_experiment` on that logger) and the ambient one (`experiment_context`, a ContextVar) come first.
Of the two, the inner one wins: in a block, calls go to the block's run, even if the logger started a run before the
block or elsewhere; after `start_experiment` in the block, they go to the run that it started. Then comes the process's
only open run, and then the implicit run. Threads and asyncio are not patched: a thread, whose context is empty, finds
its run by the third rule, and an asyncio task by the second.
"""

from __future__ import annotations

import atexit
import sys
import threading
from collections.abc import Callable, Iterable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from refunc.delivery.begun import wait_at_exit
from refunc.journal.kinds import COMPLETED, FAILED
from refunc.logging import named
from refunc.logging.active import exits, last_error
from refunc.logging.active.aside import Aside
from refunc.logging.active.blocks import ambient_run
from refunc.logging.active.living import living_runs
from refunc.logging.active.loose_lines import loose_lines, take_loose_lines
from refunc.logging.active.outcome import after_signal
from refunc.logging.active.parent_run import (
    adopt_after_fork,
    has_starter,
    note_fork,
    run_of_parent,
    set_run_for_children,
)
from refunc.logging.active.parents import candidates, is_in_main_thread, run_around
from refunc.logging.active.run import ActiveRun
from refunc.logging.banner import NO_LOCKS, best_line, end_line, is_quiet, start_line, unwritten_line
from refunc.logging.delivering import deliver_to_all, is_in_hook
from refunc.logging.notices import news, own_log, warn_once
from refunc.outlets.locks import is_without_locks
from refunc.outlets.pump import at_exit, rest
from refunc.processes.forks import in_child
from refunc.processes.parent import at_child_end

#: The stores that this process has written runs to.
stores: dict[Path, None] = {}

#: Passes the records that are in no run on to the log files, and also the lines that wait for one.
aside = Aside()

_open_runs: dict[str, ActiveRun] = {}
#: Held while a call that found no run opens or attaches one. Re-entrant: a signal handler may log its first record.
_opening = threading.RLock()
#: Held for the few assignments that give a logger its place in a run, or set the current run. Re-entrant likewise.
joining = threading.RLock()
#: The run that ended last in this process.
last_ended: ActiveRun | None = None
_endings = count(1)
_is_exiting = False
#: The signal that said that the process is about to end, "" if none did; see `preemption`.
preempted_by = ""
_late_run: ActiveRun | None = None
#: The same for records that integrations log in their hooks.
_late_hook_run: ActiveRun | None = None


def enclosing_id() -> str | None:
    """
    Return the id of the parent of a run that is opened here: the run of the block, in this thread or task.

    Outside blocks, it is the run of the parent process in the main thread; in another thread, the run of the main
    thread comes first. If several runs are open there, it is the innermost run that contains them all.
    """
    block = ambient_run()
    if block is not None:
        return block.run_id
    known = candidates([*_open_runs.values()])
    if known or not has_starter():
        around = run_around(known)
    else:
        around = run_of_parent(now=True)
    return around.run_id if around is not None and not around.implicit else None


def _tell_children() -> None:
    """Tell child processes the run for their calls: the newest, or the run that contains all runs open side by side."""
    known = [run for run in [*_open_runs.values()] if run.accepts()]
    asked_for = [run for run in known if not run.implicit]
    set_run_for_children(run_around(asked_for) or next(reversed(asked_for or known), None))


def may_be_passed_over(run: ActiveRun) -> bool:
    """Whether there is a block in which calls do not go to *run*, although their logger started it."""
    return any(block.is_block and block.run_id not in run.blocks for block in [*_open_runs.values()])


def existing_run(*, look: bool = False) -> ActiveRun | None:
    """
    Return the ambient run, else the process's only open one or its parent's, else the implicit one if it is open.

    Args:
        look: Look for the parent's run even if it had none a moment ago.
    """
    run = ambient_run()
    if run is not None:
        return run
    known = (*_open_runs.values(),)
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
        "%d runs are open, and a call outside their contexts cannot tell which one is meant: it goes to %s. "
        "Log inside `with experiment_context(...)`, or give the thread's logger a run with start_experiment().",
        len(named),
        "the implicit run",
    )
    return next((run for run in known if run.implicit), None)


def implicit_run(open_run: Callable[[], ActiveRun]) -> ActiveRun:
    """
    Return the run of a call that found none: the one that *open_run* opens, or one that another thread has opened
    meanwhile.

    Only a call for which `existing_run` returned None comes here, so no other call takes the lock.
    """
    with _opening:
        return existing_run(look=True) or open_run()


def is_ambiguous() -> bool:
    """Whether a call outside every context cannot know its run, because several are open."""
    several = [run for run in [*_open_runs.values()] if run.accepts() and not run.implicit]
    return len(several) > 1 and ambient_run() is None


def is_only(run: ActiveRun) -> bool:
    """Whether *run* is the only one that this process has open, so that a call without a run of its own means it."""
    return run.is_open and tuple(_open_runs) == (run.run_id,)


def _add(run: ActiveRun) -> None:
    """Add *run* to the open ones, and have every logger look up its run again."""
    stores[run.folder.parent] = None
    with joining:
        _open_runs[run.run_id] = run
        for other in [*_open_runs.values()]:
            for place in [*other.places.values()]:
                place.is_current = False


def register(run: ActiveRun, tell: Callable[[str], None], *, is_block: bool = False) -> None:
    """
    Begin *run*. Its start record and the lines logged before it are written when this returns.

    Args:
        tell: Shows a line; it gets one now and one when the run ends.
        is_block: It will be bound to a block with `enter_block`.
    """
    global _late_run, _late_hook_run
    _install_hooks()
    outer = ambient_run()
    run.blocks = frozenset() if outer is None else outer.blocks | {outer.run_id}
    run.is_block = is_block
    run.is_of_main = is_in_main_thread()
    aside.flush()  # lines from before the run come before its start in the log files too
    if run.is_own:
        run.start()
    _add(run)
    for name in take_loose_lines(run):
        logger = named.latest(name)
        if logger is not None and logger._last_run is None:
            logger._last_run = run  # where its lines can be read
    _tell_children()
    if run.is_written and run.is_main and not is_quiet():
        run.tell = tell
    if run.is_own and is_without_locks(run.folder):
        warn_once("locks", NO_LOCKS, run.folder.parent)
    run.tell(start_line(run))
    for line in news():
        run.tell(line)
    if _is_exiting:  # by an atexit handler that runs after ours: nothing else ends this run
        if is_in_hook():
            _late_hook_run = run
        else:
            _late_run = run
        finish(run, COMPLETED)


def finish(run: ActiveRun, status: str, *, metrics: dict[str, Any] | None = None, error: str | None = None) -> None:
    """End *run*; a process that does not own it only stops writing to it."""
    global last_ended
    if preempted_by:
        status, error = after_signal(status, error)
    if not run.places and not run.implicit and run.accepts():
        deliver_to_all(run)
    is_ended = run.end(status, metrics=metrics, error=error)
    _open_runs.pop(run.run_id, None)
    _tell_children()
    if is_ended and not run.is_tracked:
        for owner in tuple(run.places):
            owner._last_run = run
    elif is_ended:
        last_ended = run
        run.ended_as = next(_endings)
        for owner in tuple(run.places):
            owner._last_run = run
        if run.is_own:
            if (best := best_line(run)) is not None:
                run.tell(best)
            if not run.writer.refused:
                run.tell(end_line(run))
        if run.writer.refused:  # also where no line about runs is wanted
            own_log.warning("%s", unwritten_line(run))
        if not _open_runs:
            rest()


def after_writing(call: Callable[[], None]) -> bool:
    """Have *call* made when this thread has finished the write of a run that it is in; False if it is in none."""
    return any(run.writer.after_writing(call) for run in [*_open_runs.values()])


def open_runs() -> Iterable[ActiveRun]:
    """Return the runs that this process has open, in the order in which they were opened."""
    return [*_open_runs.values()]


def _attach(look: bool) -> ActiveRun | None:
    """Return the run of this process's parent, one writer to it however many threads ask."""
    if not has_starter():
        return None
    with _opening:
        attached = next((run for run in [*_open_runs.values()] if not run.is_own and run.accepts()), None)
        run = attached or run_of_parent(now=look)
        if run is not None:
            for other in [*_open_runs.values()]:
                if not other.is_own and other.is_left:
                    del _open_runs[other.run_id]
            _install_hooks()
            _add(run)
            _tell_children()
        return run


def _install_hooks() -> None:
    """Watch for the end of the process and of its children, from the first run on."""
    if sys.is_finalizing():  # too late to watch anything
        return
    at_child_end(_end_open_runs, priority=-999)  # before the journals are closed
    last_error.watch()


@in_child
def _after_fork_in_child() -> None:
    global _opening, joining, preempted_by
    _opening, joining = threading.RLock(), threading.RLock()
    preempted_by = ""
    loose_lines.clear()
    last_error.forget()
    exits.forget()
    note_fork()
    for run in living_runs():
        if run.is_tracked and (run.is_open or not run.is_own):
            adopt_after_fork(run)
    _tell_children()


def _end_open_runs() -> None:
    """End the open runs. A record that is logged later still goes after the end of the newest run."""
    global _is_exiting, _late_run
    status, error = last_error.ending()
    exits.forget()
    _is_exiting = True
    for run in reversed([*_open_runs.values()]):
        _late_run = _late_run or run
        ended = (FAILED, run.unfinished) if status == COMPLETED and run.unfinished else (status, error)
        at_exit(partial(finish, run, ended[0], error=ended[1]))
    wait_at_exit(own_log.warning)


# Handlers run in the reverse order: those that a script registers after its imports run while the runs are still open.
atexit.register(_end_open_runs)
exits.stand_in()
