"""Hydra: a callback that makes each job a run."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from refunc.frameworks.packages import imported_for
from refunc.logging import ExperimentTracker, RunHandler, experiment_context
from refunc.runs import open_store

with imported_for(__name__, "hydra-core>=1.3", "hydra", "omegaconf"):
    from hydra.core.utils import JobReturn, JobStatus
    from hydra.experimental.callback import Callback
    from omegaconf import DictConfig, OmegaConf

__all__ = ["RefuncCallback"]

#: The block of the job that runs in this process, until Hydra tells of its end, or the process ends: a callback is gone
#: before that, if the job exits.
_job = ExitStack()


class RefuncCallback(Callback):
    """
    Makes each job a run, with its records; `_target_: refunc.frameworks.hydra.RefuncCallback` in `hydra.callbacks`.

    The run has the job's config as params, with a text for each value that cannot be resolved, the overrides as tags,
    the files of `.hydra` as an artifact, the lines of all loggers, and a number that the job returns as the result
    `return_value`. Runs are in one store, whatever `hydra.job.chdir` is.

    The jobs of a multirun are children of one run, also in the processes of a launcher. A run ends as its job does:
    `completed`, `failed`, or `interrupted`.
    """

    def __init__(
        self,
        experiment_name: str | None = None,
        run_name: str | None = None,
        log_dir: str | None = None,
        *,
        capture: bool = True,
    ) -> None:
        """
        Args:
            experiment_name: Default the name of the job, which is that of the script.
            run_name: Default the job's overrides, as in `lr=0.1,model=small`.
            log_dir: The store; default `REFUNC_DIR`, else `experiments`. Hydra's first working folder counts.
            capture: Whether the lines of all loggers go into the run.
        """
        self._experiment_name, self._run_name = experiment_name, run_name
        self._store = open_store(log_dir).path  # by the folder in which Hydra makes its callbacks, before it changes it
        self._capture = capture
        self._parent_id: str | None = None
        self._parent: ExperimentTracker | None = None
        self._run: ExperimentTracker | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the open run: a launcher sends the callback to the processes of its jobs."""
        return {**vars(self), "_parent": None, "_run": None}

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Open the run whose children the jobs are."""
        self._parent = ExperimentTracker(**self._place(config), run_name=self._run_name or "multirun")
        self._parent_id = self._parent.start_run()
        self._parent.add_tags({"hydra.overrides": " ".join(config.hydra.overrides.task)})

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """End it. Hydra does not come here if a job has failed; then the run ends with the process."""
        if self._parent is not None:
            self._parent.end_run()
        self._parent = self._parent_id = None

    def on_job_start(self, config: DictConfig, *, task_function: Any = None, **kwargs: Any) -> None:
        """Open a run around the job."""
        job, runtime = config.hydra.job, config.hydra.runtime
        name = self._run_name if self._parent_id is None else None
        name = name or job.override_dirname or None
        _job.close()  # of a job that was interrupted
        context = experiment_context(**self._place(config), run_name=name, parent=self._parent_id)
        self._run = run = _job.enter_context(context)
        run.log_params(_params_of(config))
        overrides = " ".join(config.hydra.overrides.task)
        run.add_tags({"hydra.output_dir": runtime.output_dir, "hydra.overrides": overrides})
        files = Path(runtime.output_dir, config.hydra.output_subdir or ".hydra")
        if files.is_dir():
            run.log_artifact(files, "config", name="hydra")
        if self._capture:
            _job.callback(RunHandler.capture("root", tracker=run).close)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """End the run as the job has ended."""
        run, self._run = self._run, None
        error = job_return._return_value if job_return.status == JobStatus.FAILED else None
        if run is None:
            return
        if error is None and isinstance(job_return.return_value, (int, float, dict)):
            run.log_result("return_value", job_return.return_value)
            if self._parent is not None:
                self._parent.log_metrics({"return_value": job_return.return_value}, step=config.hydra.job.num)
        _job.__exit__(type(error) if error is not None else None, error, getattr(error, "__traceback__", None))

    def _place(self, config: DictConfig) -> dict[str, Any]:
        name = self._experiment_name or config.hydra.job.name
        return {"experiment_name": name, "log_dir": self._store}


def _params_of(config: DictConfig) -> DictConfig:
    """Return the script's own config, which refunc reads value by value."""
    return OmegaConf.masked_copy(config, [name for name in config if name != "hydra"])
