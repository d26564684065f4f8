"""A logger's current step and epoch in each of its runs, for records that are given none."""

from __future__ import annotations

from refunc.logging import current
from refunc.logging.active.place import Place, position
from refunc.logging.active.run import ActiveRun
from refunc.logging.delivering import is_in_hook


class Places:
    """
    The places of a logger: one for each run, and one for steps counted before any run.

    Subclasses define which run is current, and the action before the first record in a run.
    """

    #: The name of the logger in its records.
    _logger_name: str

    # `_place` is read by every call: a slot is found at once, in a class with any number of other attributes.
    __slots__ = ("__dict__", "__weakref__", "_place")

    def __init__(self) -> None:
        self._loose_place = Place()
        #: The run that this logger has started or logged to last; of those that have ended, the one that ended last.
        self._last_run: ActiveRun | None = None
        self._run: ActiveRun | None = None
        self._place = self._loose_place

    def step(self) -> int | float:
        """Count one step and return the new number; the first call gives 1. Opens no run."""
        place = self._here()
        step = (place.step or 0) + 1
        place.set_step(step)
        return step

    def set_step(self, step: float) -> int | float | None:
        """Set the step of this logger in its current run. Opens no run."""
        return self._here().set_step(position("step", step))

    def epoch(self) -> int | float:
        """Count one epoch and return the new number; the first call gives 1. Opens no run."""
        place = self._here()
        epoch = (place.epoch or 0) + 1
        place.set_epoch(epoch)
        return epoch

    def set_epoch(self, epoch: float) -> int | float | None:
        """Set the epoch of this logger in its current run. Opens no run."""
        return self._here().set_epoch(position("epoch", epoch))

    def _current_run(self) -> ActiveRun | None:
        """Return the run that a call belongs to, without opening one."""
        raise TypeError(f"{type(self).__name__} does not say which run it is in.")

    def _here(self) -> Place:
        run = self._current_run()
        return self._loose_place if run is None else self._place_in(run)

    def _place_in(self, run: ActiveRun) -> Place:
        """Return this logger's place in *run*; steps counted before any run carry over to the first run."""
        place = run.places.get(self)
        if place is None:
            if is_in_hook():  # the first record is another logger's
                place = Place()
                place.enter(run, self._logger_name)
                return place
            place = self._enter(run)
        self._place = place
        if self._is_current(run):
            with current.joining:
                place.is_current = self._is_current(run)
                if not self._is_current(run):  # it was ended meanwhile, or a signal handler opened another one
                    place.is_current = False
        return place

    def _enter(self, run: ActiveRun) -> Place:
        """Return a new place in *run*, or the one that another thread made meanwhile; the run keeps one per logger."""
        with current.joining:
            known = run.places.get(self)
            if known is not None:
                return known
            loose, self._loose_place = self._loose_place, Place()
            loose.enter(run, self._logger_name)
            place = run.places.setdefault(self, loose)  # a signal handler may have been here
            self._last_run = run
        self._joined(run)
        return place

    def _is_current(self, run: ActiveRun) -> bool:
        """Whether every record of this logger belongs to *run* now."""
        return (run.is_open and self._run is run) or current.is_only(run)

    def _join(self, run: ActiveRun) -> None:
        """Register this logger with *run* before its first record there."""
        if self not in run.places:
            self._place_in(run)

    def _joined(self, run: ActiveRun) -> None:
        """Prepare for this logger's first record in *run*."""
