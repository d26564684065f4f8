"""Runs of a block: `experiment_context`, `start_experiment` in a `with` statement, and the run that is open here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from os import PathLike
from types import TracebackType
from typing import Any

import attrs

from refunc.journal.kinds import INTERRUPTED
from refunc.logging import current
from refunc.logging.active.blocks import enter_block, leave_block
from refunc.logging.active.opening import Resume
from refunc.logging.active.parents import Parent
from refunc.logging.active.run import ActiveRun
from refunc.logging.guesses import OF_CONTEXTS, answers
from refunc.logging.logger import MLLogger
from refunc.logging.shared_loggers import default_logger
from refunc.logging.tracker import ExperimentTracker
from refunc.outlets.durability import Durability
from refunc.runs.entry import ExperimentContext


@answers(OF_CONTEXTS)
class StartedExperiment(ExperimentContext):
    """
    The result of `start_experiment`: the context of the run as it was then.

    In a `with` statement it gives the run's tracker and ends the run with the block, as `experiment_context` does. It
    equals a context with the same fields. A copy or a pickle of it is such a context, because a run has only one block.
    """

    __slots__ = ("_tracker",)
    _tracker: ExperimentTracker

    @classmethod
    def of(cls, context: ExperimentContext, run: ActiveRun, logger: MLLogger) -> StartedExperiment:
        """Return *context* for the block of *run*, which *logger* has started."""
        started = cls(**_fields_of(context))
        object.__setattr__(started, "_tracker", ExperimentTracker._of(run, logger))
        return started

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ExperimentContext):
            return NotImplemented
        return _fields_of(self) == _fields_of(other)

    __hash__ = ExperimentContext.__hash__

    def __reduce__(self) -> tuple[Any, ...]:
        return copy, (ExperimentContext(**_fields_of(self)),)

    def __enter__(self) -> ExperimentTracker:
        return self._tracker

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tracker.__exit__(kind, error, trace)


def _fields_of(context: ExperimentContext) -> dict[str, Any]:
    return {field.name: getattr(context, field.name) for field in attrs.fields(ExperimentContext)}


@contextmanager
def experiment_context(
    experiment_name: str,
    run_name: str | None = None,
    *,
    parameters: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | None = None,
    log_dir: str | PathLike[str] | None = None,
    logger: MLLogger | None = None,
    durability: Durability = "async",
    parent: Parent = None,
    run_id: str | None = None,
    resume: Resume = None,
    resume_step: int | None = None,
) -> Iterator[ExperimentTracker]:
    """
    Run a block as a run: all records from the block, of any logger in this thread or asyncio task, belong to that run.

    The exception is a logger that starts a run of its own inside the block. If a logger has a run open from before the
    block, one line says that this run goes on after the block.

    The run ends as the block does: `completed`; `failed` with the traceback, for `sys.exit` with a code too;
    `interrupted` by Ctrl-C. The exception is raised further. Blocks nest: the inner run knows its parent, and the outer
    one is restored. See ExperimentTracker for the options.
    """
    tracker = ExperimentTracker(
        experiment_name,
        run_name,
        log_dir,
        logger=logger,
        durability=durability,
        parent=parent,
        run_id=run_id,
        resume=resume,
        resume_step=resume_step,
    )
    tracker._is_block = True
    with tracker:
        run = tracker._open()
        outer = enter_block(run)
        try:
            if parameters is not None:
                tracker.log_hyperparams(parameters)
            if tags is not None:
                tracker.add_tags(tags)
            yield tracker
        except GeneratorExit as error:
            if not _was_thrown(error):
                tracker.end_run(INTERRUPTED)
            raise
        finally:
            leave_block(run, outer)


def active_run() -> ExperimentTracker | None:
    """
    Return a tracker of the run that calls here belong to, without opening one; None if there is none, or if several
    are open and no block says which one is meant.

    That is the run of the block around, else the only run that this process has open, else the parent process's run.
    For code that is called from a training and does not know its run, such as a callback. Calls of the tracker go to
    that run from then on, from any thread; its `end_run()` ends it.
    """
    logger = default_logger()
    if logger._own_run() is None and current.is_ambiguous():
        return None
    run = logger._current_run()
    return ExperimentTracker._of(run, logger) if run is not None and run.accepts() else None


def _was_thrown(error: GeneratorExit) -> bool:
    """
    Whether *error* comes from the block, a generator that was closed; False if the block itself was not ended.

    That happens on Ctrl-C in a loop directly inside the block in CPython 3.13, which skips the end of the `with` at
    some jumps (https://github.com/python/cpython/issues/130279), so that the block's end is collected like other
    garbage.
    """
    return error.__traceback__ is not None and error.__traceback__.tb_next is not None
