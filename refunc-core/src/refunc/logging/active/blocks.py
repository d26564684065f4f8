"""
The block that a thread or an asyncio task is in, and the one that it has left last.

A ContextVar has it, so a task has its own, and a thread, whose context is empty, is in no block.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar

from refunc.logging.active.run import ActiveRun

#: The run of `experiment_context` in this thread or task.
ambient: ContextVar[ActiveRun | None] = ContextVar("refunc_run", default=None)

#: The run whose block this thread or task has left last; and the same by thread, because a task's value is lost with
#: the task.
_left: ContextVar[ActiveRun | None] = ContextVar("refunc_left", default=None)
_left_here = threading.local()


def ambient_run() -> ActiveRun | None:
    """Return the open run whose context this thread or task is in."""
    run = ambient.get()
    return run if run is not None and run.accepts() else None


def enter_block(run: ActiveRun) -> ActiveRun | None:
    """Enter the block of *run* in this thread or task; return the run of the block around it, for `leave_block`."""
    outer = ambient.get()
    ambient.set(run)
    return outer


def leave_block(run: ActiveRun, outer: ActiveRun | None) -> None:
    """Return to the block of *outer*."""
    # Not a token's reset(): a generator or a fixture may leave the block in another context.
    ambient.set(outer)
    _left.set(run)
    _left_here.run = run


def left_run() -> ActiveRun | None:
    """Return the run whose block this task, or else this thread, has left last."""
    run = _left.get()
    return run if run is not None else getattr(_left_here, "run", None)


def block_before(run: ActiveRun) -> ActiveRun | None:
    """Return the run of the block that this thread or task is in, unless *run* was opened inside of it."""
    block = ambient_run()
    return None if block is None or block is run or block.run_id in run.blocks else block
