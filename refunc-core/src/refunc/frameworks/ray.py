"""The callbacks of Ray: a run for each trial of Ray Tune, and the reports of Ray Train."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from os import PathLike
from typing import Any, Final

from refunc.frameworks import Resume, Training
from refunc.frameworks.packages import imported_for
from refunc.logging import ExperimentTracker, active_run, experiment_context, get_logger, warning

with imported_for(__name__, "ray[train,tune]>=2.50"):
    import ray.cloudpickle as cloudpickle
    from ray.train import Checkpoint, UserCallback
    from ray.tune.experiment import Trial
    from ray.tune.logger import LoggerCallback
    from ray.tune.result import (
        AUTO_RESULT_KEYS,
        DEBUG_METRICS,
        DONE,
        EXPERIMENT_TAG,
        SHOULD_CHECKPOINT,
        TRAINING_ITERATION,
        TRIAL_ID,
    )

__all__ = ["RefuncLoggerCallback", "RefuncTrainCallback"]

#: The values that Tune adds to the results of each trial. The step is one of these.
_BOOKKEEPING: Final = frozenset({*AUTO_RESULT_KEYS, *DEBUG_METRICS, DONE, EXPERIMENT_TAG, SHOULD_CHECKPOINT, TRIAL_ID})


class RefuncLoggerCallback(LoggerCallback):
    """
    Logs each trial of Ray Tune as a run: `tune.RunConfig(callbacks=[RefuncLoggerCallback("search")])`.

    The trials are children of one run: the run that is open around `fit()`, or one of its own. A trial has its config
    as params, its results at their `training_iteration`, and references to its checkpoints. Its status is `completed`,
    also if a scheduler stopped it, or `failed`, with the error; or `interrupted` where the search was.
    `Tuner.restore` goes on with the runs of the search.
    """

    def __init__(
        self,
        experiment_name: str | None = None,
        log_dir: str | PathLike[str] | None = None,
        *,
        tags: Mapping[str, Any] | None = None,
        copy_checkpoints: bool = False,
    ) -> None:
        """
        Prepare; nothing is written before the first trial starts.

        Args:
            experiment_name: Default the name of Tune's experiment.
            log_dir: The store; default `REFUNC_DIR`, else `./experiments`.
            tags: Tags of each trial.
            copy_checkpoints: Whether checkpoints are copied into the run, also those that Tune deletes later.
        """
        self._experiment_name = experiment_name
        self._log_dir = os.fspath(log_dir) if log_dir is not None else None
        self._tags = dict(tags or {})
        self._copies = copy_checkpoints
        self._forget()

    def _forget(self) -> None:
        self._search: ExperimentTracker | None = None
        self._handled = id(None)
        self._block: AbstractContextManager[ExperimentTracker] | None = None
        self._trials: dict[str, Training] = {}
        self._states: dict[str, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the runs: the process that has the copy goes on with them by `set_state`."""
        copied = type(self)(self._experiment_name, self._log_dir, tags=self._tags, copy_checkpoints=self._copies)
        return {**vars(self), **vars(copied)}

    def get_state(self) -> dict[str, Any]:
        """Return the runs and their steps, which Tune saves with the experiment."""
        open_ones = {name: training.tracker.state_dict() for name, training in self._trials.items()}
        own = {"": self._search.state_dict()} if self._search is not None and self._block is not None else {}
        return {**self._states, **open_ones, **own}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on with these runs; called by `Tuner.restore`."""
        self._states = dict(state)

    # -- one run of the search ---------------------------------------------------------------------------------------

    def _begin(self, name: str) -> None:
        """Find the run around, or open the run of the search, whose block is that of all trials from here on."""
        self._search = active_run()
        if self._search is None:
            try:
                self._enter(name, self._states.get(""))
            except ValueError as error:  # it was deleted, or another process has it open
                warning("The search cannot go on with its run, and has a new one. %s", error)
                self._enter(name, None)

    def _enter(self, name: str, resume: Mapping[str, Any] | None) -> None:
        block = experiment_context(name, log_dir=self._log_dir, resume=resume)
        self._search, self._block = block.__enter__(), block
        self._handled = id(sys.exc_info()[1])  # a library may leave one behind, as CatBoost does

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """End the runs that are still open, and that of the search."""
        # Tune has marked those that it has stopped here as terminated.
        is_whole = not self._trials and all(trial.is_finished() for trial in trials)
        for training in self._trials.values():
            training.end("interrupted")
        if self._search is not None and self._block is not None:
            error = sys.exc_info()[1]
            if not is_whole and error is not None and id(error) != self._handled:
                self._search.end_run("failed", error=error)
            self._search.end_run("completed" if is_whole else "interrupted")
            self._block.__exit__(None, None, None)
        self._forget()

    # -- a run a trial -----------------------------------------------------------------------------------------------

    def log_trial_start(self, trial: Trial) -> None:
        """Open the run of the trial, or go on with it: a trial that paused or failed starts again."""
        if trial.trial_id in self._trials:
            return
        name = self._experiment_name or trial.experiment_dir_name
        if self._search is None:
            self._begin(name)
        saved = self._states.get(trial.trial_id)
        training = Training(name, str(trial), self._log_dir, checkpoint=saved, is_trial=True, shows_metrics=False)
        self._trials[trial.trial_id] = training
        tracker = training.begin()
        tracker.log_params(trial.config)
        tracker.add_tags({**self._tags, "trial_id": trial.trial_id})

    def log_trial_restore(self, trial: Trial) -> None:
        """Go back to the step of the checkpoint that the trial goes on from."""
        training, saved = self._trials.get(trial.trial_id), trial.latest_checkpoint_result
        if training is not None and saved is not None and saved.metrics:
            tracker = training.tracker
            tracker.load_state_dict({**tracker.state_dict(), "step": saved.metrics.get(TRAINING_ITERATION)})

    def log_trial_result(self, iteration: int, trial: Trial, result: dict[str, Any]) -> None:
        """Log a result."""
        metrics = {name: value for name, value in result.items() if name not in _BOOKKEEPING}
        self._trials[trial.trial_id].tracker.log_metrics(metrics, result.get(TRAINING_ITERATION))

    def log_trial_save(self, trial: Trial) -> None:
        """Refer to the checkpoint, or keep it, where it is a folder of this machine."""
        if trial.checkpoint is not None and trial.trial_id in self._trials:
            _keep(self._trials[trial.trial_id].tracker, trial.checkpoint, copies=self._copies)

    def log_trial_end(self, trial: Trial, failed: bool = False) -> None:
        """End the run of the trial."""
        training = self._trials.pop(trial.trial_id, None)
        if training is not None:
            self._states[trial.trial_id] = training.tracker.state_dict()
            training.end("failed" if failed else "completed", error=_error_of(trial) if failed else None)


class RefuncTrainCallback(UserCallback):
    """
    Logs the reports of Ray Train: `ray.train.RunConfig(callbacks=[RefuncTrainCallback("vision")])`.

    The run is the one that is open around, or one of its own, from here to the end of the process or the next training.
    It has the config of the training function as params, and each report: the metrics of rank 0 under their names,
    those of the others as `rank_1/loss`, with references to the checkpoints. The errors of workers are lines.
    """

    def __init__(
        self,
        experiment_name: str = "train",
        run_name: str | None = None,
        log_dir: str | PathLike[str] | None = None,
        *,
        all_ranks: bool = True,
        copy_checkpoints: bool = False,
        resume: Resume = None,
    ) -> None:
        """
        Open the run, if none is open around: Ray calls the other methods in a process of its own.

        Args:
            all_ranks: False for the metrics of rank 0 alone.
            copy_checkpoints: Whether checkpoints are copied into the run, also those that Train deletes later.

        Raises:
            ValueError: *resume* cannot be continued.
        """
        self._training = Training(experiment_name, run_name, log_dir, resume=resume)
        #: The tracker of the run, for calls of your own.
        self.tracker: ExperimentTracker = self._training.begin()
        self._training.rest()
        self._all_ranks, self._copies = all_ranks, copy_checkpoints
        self._has_params = False

    def after_report(self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Checkpoint | None) -> None:
        """Log a report of all workers."""
        tracker = self.tracker
        if not self._has_params:
            self._has_params = True
            tracker.log_params(run_context.train_loop_config or {})
        reported: dict[str, Any] = dict(metrics[0] or {}) if metrics else {}
        for rank, of_rank in enumerate(metrics[1:] if self._all_ranks else (), start=1):
            others = {name: value for name, value in (of_rank or {}).items() if name not in ("step", "epoch")}
            if others:
                reported[f"rank_{rank}"] = others
        tracker.log_metrics(reported)
        if checkpoint is not None:
            _keep(tracker, checkpoint, copies=self._copies)

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """Log the errors of workers. Train may start these again, so the training has not ended."""
        for rank, error in worker_exceptions.items():
            get_logger().error("rank %d: %s", rank, error, exc_info=error)


def _error_of(trial: Trial) -> BaseException | None:
    """Return the error of a trial that has failed just now: Tune has it in a file here, and not in its storage yet."""
    try:
        with open(trial.pickled_error_file, "rb") as file:
            error = cloudpickle.load(file)
    except Exception:  # none, or one of a class that this process does not have
        return None
    return error if isinstance(error, BaseException) else None


def _keep(tracker: ExperimentTracker, checkpoint: Checkpoint, *, copies: bool) -> None:
    if os.path.isdir(checkpoint.path):  # else it is in an object store
        tracker.log_artifact(checkpoint.path, "checkpoint", copy=copies)
