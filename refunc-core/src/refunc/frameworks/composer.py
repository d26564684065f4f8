"""The logger of MosaicML's Composer."""

from __future__ import annotations

import os
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from refunc.frameworks import Resume, Training
from refunc.frameworks.packages import imported_for
from refunc.logging import ExperimentTracker, warning

with imported_for(__name__, "mosaicml>=0.32", "composer"):
    from composer.core import State
    from composer.loggers import Logger, LoggerDestination
    from composer.utils import dist

__all__ = ["RefuncLogger"]


class RefuncLogger(LoggerDestination):
    """
    Logs a training of Composer: `Trainer(loggers=[RefuncLogger("vision")])`.

    The run is the one that is open around, or one of its own. It has the hyperparameters, each metric at its batch and
    epoch, the files that Composer uploads, and Composer's log lines. Rank 0 logs. A training that loads a checkpoint
    goes on with the checkpoint's run, from its step. Tables, images and traces are left out, with one warning for each
    kind.

    A run of its own is `completed` if the last `fit` came to its end, and otherwise ends by the exception; it ends with
    `Trainer.close()`, with the next training, or with the process.
    """

    def __init__(
        self,
        experiment_name: str = "composer",
        run_name: str | None = None,
        log_dir: str | PathLike[str] | None = None,
        *,
        tags: Mapping[str, Any] | None = None,
        resume: Resume = None,
    ) -> None:
        """
        Prepare; nothing is opened before the Trainer is made.

        Args:
            run_name: Default the `run_name` of the Trainer.
            resume: The run to go on with; default that of a checkpoint that is loaded.
        """
        self._names = (experiment_name, run_name, os.fspath(log_dir) if log_dir is not None else None)
        self._tags, self._resume = dict(tags or {}), resume
        self._state: State | None = None
        self._training: Training | None = None
        self._params: dict[str, Any] = {}
        self._told: set[str] = set()
        self._checkpoint: Mapping[str, Any] | None = None
        self._is_whole = True
        #: The tracker of the run, for calls of your own; None before the Trainer is made, and on other ranks.
        self.tracker: ExperimentTracker | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the Trainer's state."""
        return {**vars(self), "_state": None}

    # -- the run -----------------------------------------------------------------------------------------------------

    def init(self, state: State, logger: Logger) -> None:
        """Note the Trainer's state; its checkpoint may still name the run."""
        self._state = state

    def state_dict(self) -> dict[str, Any]:
        """Return the run and its step, for a checkpoint."""
        return {"refunc_run": self.tracker.state_dict()} if self.tracker is not None else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the run of a checkpoint."""
        self._checkpoint = state.get("refunc_run") if self._resume is None else None

    def after_load(self, state: State, logger: Logger) -> None:
        """Begin the run, once it is known whether a checkpoint names it."""
        self._begin()

    def _begin(self) -> ExperimentTracker | None:
        if self._training is None:
            name, run_name, log_dir = self._names
            run_name = run_name or (self._state.run_name if self._state is not None else None)
            self._training = Training(
                name,
                run_name,
                log_dir,
                resume=self._resume,
                checkpoint=self._checkpoint,
                has_end=False,
                shows_metrics=False,
                lines_of=("composer",),
            )
            if dist.get_global_rank() == 0:
                self.tracker = self._training.begin()
                self.tracker.add_tags(self._tags)
                self.log_hyperparameters(self._params)
            else:
                self._training.join()
        return self.tracker

    def fit_start(self, state: State, logger: Logger) -> None:
        """Note that a training has begun."""
        self._is_whole = False

    def fit_end(self, state: State, logger: Logger) -> None:
        """Note that the training has come to its end; the run stays open for evaluations."""
        self._is_whole = True

    def post_close(self) -> None:
        """End the run, unless the process is about to end with an exception, which ends the run as well."""
        error = self._training.error() if self._training is not None else None
        if self._training is not None and (error is not None or self._is_whole):
            self._training.end(error=error)

    # -- values that are logged --------------------------------------------------------------------------------------

    def log_hyperparameters(self, hyperparameters: dict[str, Any]) -> None:
        """Log hyperparameters."""
        if self._training is None:
            self._params.update(hyperparameters)
        elif self.tracker is not None and hyperparameters:
            self.tracker.log_params(hyperparameters)

    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Log metrics; the step is the number of batches."""
        tracker = self.tracker or self._begin()
        if tracker is not None:
            epoch = self._state.timestamp.epoch.value if self._state is not None else None
            tracker.log_metrics(metrics, step, epoch=epoch)

    def can_upload_files(self) -> bool:
        """Whether it takes files: it keeps copies of them in the run."""
        return True

    def upload_file(self, state: State, remote_file_name: str, file_path: Path, *, overwrite: bool) -> None:
        """Keep a file with the run, of any size: Composer may delete it when this returns."""
        if self.tracker is not None:
            self.tracker.log_artifact(file_path, name=remote_file_name, copy=True)

    def log_table(
        self, columns: list[str], rows: list[list[Any]], name: str = "Table", step: int | None = None
    ) -> None:
        """Leave the table out."""
        self._leave_out("tables", name)

    def log_images(self, images: Any, name: str = "Images", *args: Any, **kwargs: Any) -> None:
        """Leave the images out."""
        self._leave_out("images", name)

    def log_traces(self, traces: dict[str, Any]) -> None:
        """Leave the traces out."""
        self._leave_out("traces", ", ".join(map(str, traces)))

    def _leave_out(self, kind: str, name: str) -> None:
        if kind not in self._told:
            self._told.add(kind)
            warning("RefuncLogger: %s of Composer are not in the run (first: %s).", kind, name)
