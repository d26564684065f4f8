"""Where a logger stands in each of its runs: the step and the epoch of records that are given none."""

from __future__ import annotations

from refunc.logging import current
from refunc.logging.integrations import is_in_hook
from refunc.logging.run import ActiveRun
from refunc.logging.steps import Steps, whole


class Places:
    """
    The places of a logger, one a run, and one for what is counted before any.

    Whoever inherits them says which run is current, and what comes before the first record in one.
    """

    name: str

    # `_place` is read by every call: a slot is found at once, in a class with any number of attributes beside it.
    __slots__ = ("__dict__", "__weakref__", "_place")

    def __init__(self) -> None:
        self._loose_steps = Steps()
        self._last_run: ActiveRun | None = None
        self._run: ActiveRun | None = None
        self._place = self._loose_steps

    def step(self) -> int:
        """Count one step and return the new number; the first call gives 1. Opens no run."""
        steps = self._steps()
        steps.step = (steps.step or 0) + 1
        return steps.step

    def set_step(self, step: int) -> int | None:
        """Say which step it is: for this logger in its current run. Opens no run."""
        steps = self._steps()
        steps.step = whole("step", step)
        return steps.step

    def epoch(self) -> int:
        """Count one epoch and return the new number; the first call gives 1. Opens no run."""
        steps = self._steps()
        steps.epoch = (steps.epoch or 0) + 1
        return steps.epoch

    def set_epoch(self, epoch: int) -> int | None:
        """Say which epoch it is: for this logger in its current run. Opens no run."""
        steps = self._steps()
        steps.epoch = whole("epoch", epoch)
        return steps.epoch

    def _current_run(self) -> ActiveRun | None:
        """Return the run that a call belongs to, without opening one."""
        raise TypeError(f"{type(self).__name__} does not say which run it is in.")

    def _steps(self) -> Steps:
        run = self._current_run()
        return self._loose_steps if run is None else self._steps_in(run)

    def _steps_in(self, run: ActiveRun) -> Steps:
        """Return this logger's place in *run*; what it counted before any run becomes its place in the first one."""
        steps = run.steps.get(self)
        if steps is None:
            if is_in_hook():  # a record of somebody else is the first one
                steps = Steps()
                steps.enter(run, self.name)
                return steps
            steps = self._enter(run)
        self._place = steps
        if self._is_current(run):
            with current.joining:
                steps.is_current = self._is_current(run)
                if not self._is_current(run):  # it was ended meanwhile, or a signal handler opened another one
                    steps.is_current = False
        return steps

    def _enter(self, run: ActiveRun) -> Steps:
        """Return a new place in *run*, or the one that another thread made meanwhile: there is one, which run knows."""
        with current.joining:
            known = run.steps.get(self)
            if known is not None:
                return known
            loose, self._loose_steps = self._loose_steps, Steps()
            loose.enter(run, self.name)
            steps = run.steps.setdefault(self, loose)  # a signal handler may have been here
            self._last_run = run
        self._joined(run)
        return steps

    def _is_current(self, run: ActiveRun) -> bool:
        """Whether whatever this logger records now can only mean *run*."""
        return (run.is_open and self._run is run) or current.is_only(run)

    def _join(self, run: ActiveRun) -> None:
        """Make sure that *run* knows this logger, before its first record there."""
        if self not in run.steps:
            self._steps_in(run)

    def _joined(self, run: ActiveRun) -> None:
        """Do what comes before this logger's first record in *run*."""
