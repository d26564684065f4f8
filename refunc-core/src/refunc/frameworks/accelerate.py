"""The tracker of accelerate."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

from refunc.frameworks import Resume, Training
from refunc.frameworks.packages import imported_for
from refunc.logging import ExperimentTracker

with imported_for(__name__, "accelerate>=1.0"):
    from accelerate.tracking import GeneralTracker, on_main_process

__all__ = ["RefuncTracker"]


class RefuncTracker(GeneralTracker):
    """
    Logs a loop with accelerate: `Accelerator(log_with=RefuncTracker("vision"))`, and `init_trackers` as usual.

    Or by name, after `accelerate.tracking.register_tracker_class(RefuncTracker)`: `Accelerator(log_with="refunc")`.

    The run is the one that is open around `init_trackers`, or one of its own. The main process logs to it: the config,
    the values of `Accelerator.log`, and the lines of all loggers, those of `accelerate.logging.get_logger` among them.
    A run of its own ends with `end_training`, or with the process; as `failed` if an exception is the reason.

    A checkpoint has the run, and the step, after `accelerator.register_for_checkpointing(tracker)`. `load_state` goes
    on with it. Call it before `init_trackers`, which otherwise opens another run first.
    """

    name = "refunc"
    requires_logging_directory = False

    def __init__(
        self,
        experiment_name: str = "accelerate",
        logging_dir: str | PathLike[str] | None = None,
        *,
        run_name: str | None = None,
        resume: Resume = None,
    ) -> None:
        """
        Prepare; `init_trackers` opens the run.

        Args:
            experiment_name: By name, it is the project name of `init_trackers`, of which an instance does not hear.
            logging_dir: The store; default `REFUNC_DIR`, else `./experiments`.
            resume: The run to go on with; see ExperimentTracker.
        """
        super().__init__()
        self._options: dict[str, Any] = {
            "experiment_name": experiment_name,
            "run_name": run_name,
            "log_dir": logging_dir,
            "has_end": False,
            "lines_of": ("root",),
        }
        self._resume = resume
        self._saved: Mapping[str, Any] | None = None
        self._config: Mapping[str, Any] | None = None
        self._training: Training | None = None
        self._tracker: ExperimentTracker | None = None
        self._next_step: float = 0

    @property
    def tracker(self) -> ExperimentTracker | None:
        """The run's tracker; None before `init_trackers`, and on other processes than the main one."""
        return self._tracker

    @on_main_process
    def start(self) -> None:
        """Open the run, unless it is open."""
        if self._training is not None and self._training.is_open:
            return
        self._training = Training(**self._options, resume=self._resume, checkpoint=self._saved)
        self._tracker = self._training.begin()
        self._saved = self._resume = None

    def store_init_configuration(self, values: Mapping[str, Any]) -> None:
        """Log the config of `init_trackers` as params."""
        self._config = values
        if self._tracker is not None:
            self._tracker.log_params(values)

    def log(self, values: Mapping[str, Any], step: float | None = None, *, epoch: float | None = None) -> None:
        """
        Log numbers, tensors, or mappings of them; texts are kept beside the metrics.

        Args:
            step: Default the `step` among the values, else the one after the last step.
        """
        if self._tracker is None:
            self.start()
            if self._tracker is None:  # not the main process
                return
        if step is None:
            step = values.get("step", self._next_step)
        if isinstance(step, (int, float)):
            self._next_step = step + 1
        self._tracker.log_metrics(values, step, epoch=epoch)

    def finish(self) -> None:
        """End a run of its own. An exception that is handled just now, as in `finally`, is the reason."""
        if self._training is not None:
            self._training.end(error=self._training.error())

    def state_dict(self) -> dict[str, Any]:
        """Return the state by which a checkpoint goes on with the run; nothing on other processes than the main one."""
        return self._tracker.state_dict() if self._tracker is not None and self._tracker.folder is not None else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """
        Go on with the checkpoint's run, from the checkpoint's step.

        A run of its own that is open already ends with the status `superseded`; a run around stays as it is.
        """
        if not state:
            return
        self._next_step = state["step"] + 1 if state["step"] is not None else 0
        if self._tracker is not None and self._tracker.run_id == state["run_id"] and self._tracker.status == "running":
            self._tracker.load_state_dict(state)
            return
        self._saved = state
        if self._training is not None and self._training.is_open and self._training.is_own:
            self._training.end("superseded")
            self.start()
            if self._config is not None:
                self.store_init_configuration(self._config)
