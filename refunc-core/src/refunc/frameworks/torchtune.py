"""The metric logger of torchtune's recipes."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

from refunc.frameworks import Resume, Training
from refunc.frameworks.packages import imported_for
from refunc.logging import ExperimentTracker

with imported_for(__name__, "torchtune>=0.6", "torchtune", "omegaconf"):
    from omegaconf import DictConfig
    from torchtune.training.metric_logging import MetricLoggerInterface, Scalar, save_config

__all__ = ["RefuncLogger"]


class RefuncLogger(MetricLoggerInterface):
    """
    Logs a recipe of torchtune: `metric_logger._component_=refunc.frameworks.torchtune.RefuncLogger` in its config.

    The run is the one that is open around, or one of its own. It has the config, as params and as a file, the metrics
    at their steps, and torchtune's lines. It is `completed` at `close()`, and otherwise ends with the process, `failed`
    if an exception ends it.
    """

    def __init__(
        self,
        experiment_name: str = "torchtune",
        run_name: str | None = None,
        log_dir: str | PathLike[str] | None = None,
        *,
        tags: Mapping[str, Any] | None = None,
        resume: Resume = None,
    ) -> None:
        """
        Open the run, if none is open around. Recipes do so on rank 0.

        Args:
            log_dir: The store of a run of its own; default `REFUNC_DIR`, else `./experiments`.

        Raises:
            ValueError: *resume* cannot be continued.
        """
        self._training = Training(
            experiment_name, run_name, log_dir, resume=resume, has_end=False, lines_of=("torchtune",)
        )
        #: The tracker of the run, for calls of your own.
        self.tracker: ExperimentTracker = self._training.begin()
        if tags is not None:
            self.tracker.add_tags(tags)

    def log(self, name: str, data: Scalar, step: int) -> None:
        """Log one value."""
        self.tracker.log_metric(name, data, step)

    def log_dict(self, payload: Mapping[str, Scalar], step: int) -> None:
        """Log values."""
        self.tracker.log_metrics(payload, step)

    def log_config(self, config: DictConfig) -> None:
        """Log the config as params. Keep the file `torchtune_config.yaml`, which is written to its `output_dir`."""
        self.tracker.log_params(config)
        path = save_config(config)  # warns if it cannot be written
        if path is not None:
            self.tracker.log_artifact(path, "config")

    def close(self) -> None:
        """End the run, if it is the logger's own; by the exception that is being handled, if there is one."""
        self._training.end(error=self._training.error())
