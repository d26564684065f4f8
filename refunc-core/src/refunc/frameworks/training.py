"""The run of a training that a framework drives: the run that is open around it, or one of its own."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Final, TypeAlias

from refunc.logging import ExperimentTracker, RunHandler, active_run, launch_rank, warning
from refunc.processes.forks import in_child
from refunc.runs import Run

#: The run to go on with, as ExperimentTracker takes it.
Resume: TypeAlias = bool | str | PathLike[str] | Run | Mapping[str, Any] | None

_UNFINISHED: Final = "The training has not come to its end: an exception ended it, which the script has caught.\n"

#: The trainings that have a run of their own open, by its id. Such a run is around no other training.
_with_own_run: dict[str, Training] = {}

#: Held while a training looks for its run, so that it takes none that another is just opening. Re-entrant for signal
#: handlers.
_beginning = threading.RLock()


class Training:
    """
    The run that an adapter logs to.

    If a run is open where a training begins, as in `with experiment_context(...)`, the training is a part of it, and
    the block ends the run. Otherwise, the training opens a run of its own, and ends it. For callbacks: a framework may
    pickle and copy them, call them from any thread, and use them for several trainings.
    """

    def __init__(
        self,
        experiment_name: str,
        run_name: str | None = None,
        log_dir: str | PathLike[str] | None = None,
        *,
        tracker: ExperimentTracker | None = None,
        resume: Resume = None,
        checkpoint: Mapping[str, Any] | None = None,
        is_trial: bool = False,
        has_end: bool = True,
        goes_on: bool = False,
        shows_metrics: bool = True,
        lines_of: tuple[str, ...] = (),
    ) -> None:
        """
        Prepare; nothing is opened before `begin()` or `tracker`.

        Args:
            experiment_name: The experiment of a run of its own; see ExperimentTracker for the three names and `resume`.
            tracker: The run to log to, whatever is open; the training never ends it.
            checkpoint: The result of `ExperimentTracker.state_dict()` that the framework found in a checkpoint: its run
                goes on, whatever its experiment, or a new one is opened with a warning.
            is_trial: Whether it always has a run of its own, a child of the run around.
            has_end: False where a script need not tell of its end, so that the process may end well without it.
            goes_on: Whether records after the end of its own run are in the next attempt of that run. Then no other
                training ends the run.
            shows_metrics: False where the framework shows its metrics itself.
            lines_of: The names of loggers whose lines go into the run while the training has one.

        Raises:
            TypeError: *tracker* is something else.
        """
        if tracker is not None and not isinstance(tracker, ExperimentTracker):
            raise TypeError(
                f"tracker: {tracker!r} is not an ExperimentTracker. For the run of a logger, leave it out: a training "
                "is a part of the run around it."
            )
        self._options: dict[str, Any] = {"experiment_name": experiment_name, "run_name": run_name, "log_dir": log_dir}
        self._resume = resume
        self._checkpoint = checkpoint
        self._given = tracker
        self._is_trial, self._goes_on = is_trial, goes_on
        self._left: Path | None = None
        self._has_end = has_end
        self.shows_metrics = shows_metrics
        self._lines_of = lines_of
        self._lines: RunHandler | None = None
        self._tracker: ExperimentTracker | None = None
        self._is_own = False
        self._handled = id(None)
        self._is_over = False
        self._thread = 0
        self._number = 0  # of the training, and of its end
        self._within: tuple[Callable[[], object], int] = _nothing, 0  # and the number of the training in it

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the handler: the process that has the copy has its own loggers, and its own framework."""
        return {**vars(self), "_lines": None, "_within": (_nothing, 0)}

    def begin(
        self, within: object = None, ended: Callable[[], None] | None = None, *, first_step: int = 0
    ) -> ExperimentTracker:
        """
        Return the tracker of a training that begins now.

        A run of its own that is still open belongs to a training that raised, since no framework tells its callbacks so
        in every case: it ends as `failed`. Runs of trainings that are over, and that stayed open, end too.

        Args:
            within: An object of the framework that lives as long as the training, such as its list of callbacks; see
                `caller`. If it goes before `end()` was called, the training raised, and a run of its own is `failed`.
            ended: Called instead, to end the training with the status that it finds out; for frameworks that tell
                their callbacks of no end.
            first_step: The step that the training begins with, if it goes on with a model. In a run that `resume`
                continues, points that earlier attempts logged from there on no longer count.

        Raises:
            ValueError: `resume` cannot be continued; or the training has begun within that object already, and has not
                ended: a callback that is in the list twice.
        """
        self.check_once(within)
        self.leave()
        self._handled = id(sys.exc_info()[1])
        with _beginning:
            self._find_run(first_step)
        self._resume = self._checkpoint = None
        self._listen(True)
        if within is not None:
            self._within = weakref.ref(within), self._number
            weakref.finalize(within, self._lost, self._number, ended).atexit = False
        return self.tracker

    def check_once(self, within: object) -> None:
        """Raise ValueError if the training has begun within that object, and has not ended."""
        is_same = within is not None and self._within[0]() is within
        if is_same and self._within[1] == self._number and self.is_open:
            raise ValueError("The same callback is given twice. Give it once; for two runs, make two callbacks.")

    def _find_run(self, first_step: int) -> None:
        for other in [*_with_own_run.values()]:
            if other._is_over or other._is_replaced_by(self):
                other.leave()
        self._is_own = self._is_over = False
        self._tracker = self._given or self._around() or self._open(first_step)

    def _is_replaced_by(self, other: Training) -> bool:
        """Whether *other* is the same training again: a notebook keeps the exception that ended it, and all with it."""
        return not self._goes_on and (self._thread, self._options) == (threading.get_ident(), other._options)

    def _lost(self, number: int, ended: Callable[[], None] | None) -> None:
        """End the training with that *number*, unless it has ended."""
        if number == self._number:
            (ended or self.leave)()

    def _around(self) -> ExperimentTracker | None:
        """Return the run around, if the training is a part of it."""
        is_apart = self._is_trial or (self._goes_on and (self._left or self._resume) is not None)
        around = None if is_apart else run_around()
        if around is not None:
            for state in (self._checkpoint, self._resume):
                if isinstance(state, Mapping) and state.get("run_id") == around.run_id:
                    around.load_state_dict(state)
            around.shows_metrics = self.shows_metrics
        return around

    def _open(self, first_step: int) -> ExperimentTracker:
        """Open a run of its own; until the training is over, the end of the process is not the end of it."""
        tracker = self._started(first_step)
        tracker.shows_metrics = self.shows_metrics
        _with_own_run[tracker.run_id or ""] = self
        self._thread = threading.get_ident()
        self._tracker, self._is_own = tracker, True
        self.go_on()
        return tracker

    def _started(self, first_step: int) -> ExperimentTracker:
        around = run_around()
        earlier = self._checkpoint or self._left
        if earlier is not None:
            options = self._options
            if isinstance(earlier, Mapping):
                options = {**options, "experiment_name": earlier.get("experiment_name")}
            try:
                tracker = ExperimentTracker(**options, resume=earlier, parent=around)
                tracker.start_run()
                return tracker
            except (OSError, ValueError) as error:  # it is not in this store, or still open; the disk refuses
                warning("The earlier run cannot go on, and the training has a new one. %s", error)
        step = first_step - 1 if self._resume and first_step > 0 else None
        tracker = ExperimentTracker(**self._options, resume=self._resume, resume_step=step, parent=around)
        tracker.start_run()
        return tracker

    def join(self) -> None:
        """
        Take part in the run as a rank that logs no data, so that its lines and its failure are in it.

        Does nothing unless a launcher tells this process its rank: it would have a run of its own.
        """
        if launch_rank():
            self.begin()

    @property
    def tracker(self) -> ExperimentTracker:
        """The tracker of the training, which begins here if it has not begun or has ended."""
        if self._tracker is None or (self._is_own and self._tracker.status != "running"):
            return self.begin()
        return self._tracker

    @property
    def is_own(self) -> bool:
        """Whether its run is one of its own."""
        return self._is_own

    @property
    def is_open(self) -> bool:
        """Whether the training has a run that takes records."""
        return self._tracker is not None and self._tracker.status == "running"

    def rest(self) -> None:
        """
        Note that the training is over, and has come to its end; its records are written when this returns.

        A run of its own stays open for later records, such as an evaluation's. It ends when another training
        begins, or with the process.
        """
        self._number += 1
        self._set_over(True)
        if self._tracker is not None:
            self._tracker.flush()  # a script may read the run at once

    def go_on(self) -> None:
        """Take back `rest()`: the training goes on in the same run."""
        self._set_over(False)

    def _set_over(self, is_over: bool) -> None:
        self._is_over = is_over
        self._listen(self._is_own or not is_over)
        if self._is_own and self._tracker is not None:
            self._tracker.unfinished = None if is_over or not self._has_end else _UNFINISHED

    def end(self, status: str | None = None, error: BaseException | None = None) -> None:
        """
        End the run, if it is the training's own. Its tracker stays, for records that come late.

        Args:
            status: By default that of *error*; `completed` without one.
            error: The exception that ended it. One that was being handled already when the training began is not the
                reason: a script may train again in an `except`.
        """
        self._listen(False)
        self._number += 1
        if error is not None and id(error) == self._handled:
            error = None
        if self._tracker is not None and self._is_own:
            self._tracker.end_run(status, error=error)
            _with_own_run.pop(self._tracker.run_id or "", None)  # then: until its end it is around no other training
            self._left = self._tracker.folder if self._goes_on else None

    def error(self) -> BaseException | None:
        """Return the exception that is being handled, unless it was handled already when the training began."""
        error = sys.exc_info()[1]
        return error if id(error) != self._handled else None

    def leave(self) -> None:
        """End the run, if it is the training's own: as `failed`, unless the training is over."""
        self.end("completed" if self._is_over else "failed")

    def _listen(self, listens: bool) -> None:
        """Take the lines of the framework's loggers, or take them no more."""
        if self._lines is not None and not listens:
            self._lines.close()
            self._lines = None
        elif self._lines is None and listens and self._lines_of:
            self._lines = RunHandler.capture(*self._lines_of, tracker=self._tracker)


def _nothing() -> None:
    """Stand for a reference to no object."""


def run_around() -> ExperimentTracker | None:
    """Return the open run that the caller is in, unless a training has opened it, or nothing but a logger's call."""
    owners = _with_own_run.copy()  # before the look at the run: a training of another thread may end meanwhile
    found = active_run()
    if found is None or found.is_implicit:
        return None
    owner = owners.get(found.run_id or "")
    is_of_training = owner is not None and owner.is_open
    return None if is_of_training or found.status != "running" else found


@in_child
def _after_fork_in_child() -> None:
    global _beginning
    _beginning = threading.RLock()
