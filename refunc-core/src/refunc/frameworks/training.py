"""The run of a training that a framework drives: the run that is open around it, or one of its own."""

from __future__ import annotations

from os import PathLike
from typing import Any

from refunc.logging import ExperimentTracker, active_run
from refunc.logging.active.opening import Resume


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
    ) -> None:
        """
        Prepare; nothing is opened before `begin()` or `tracker`.

        Args:
            experiment_name: The experiment of a run of its own; see ExperimentTracker for the three names and `resume`.
            tracker: The run to log to, whatever is open; the training never ends it.
        """
        self._options: dict[str, Any] = {"experiment_name": experiment_name, "run_name": run_name, "log_dir": log_dir}
        self._resume = resume
        self._given = tracker
        self._tracker: ExperimentTracker | None = None
        self._is_own = False

    def begin(self) -> ExperimentTracker:
        """
        Return the tracker of a training that begins now.

        A run of its own that is still open belongs to a training that raised, since no framework tells its callbacks so
        in every case: it ends as `failed`.
        """
        self.end("failed")
        if self._given is not None:
            self._tracker = self._given
            return self._given
        found = active_run()
        self._is_own = found is None
        if found is None:
            found = ExperimentTracker(**self._options, resume=self._resume)
            found.start_run()
            self._resume = None
        self._tracker = found
        return found

    @property
    def tracker(self) -> ExperimentTracker:
        """The tracker of the training, which begins here if it has not begun or has ended."""
        if self._tracker is None or (self._is_own and self._tracker.status != "running"):
            return self.begin()
        return self._tracker

    def end(self, status: str = "completed", error: BaseException | None = None) -> None:
        """End the run, if it is the training's own. Its tracker stays, for records that come late."""
        if self._tracker is not None and self._is_own:
            self._tracker.end_run(status, error=error)
