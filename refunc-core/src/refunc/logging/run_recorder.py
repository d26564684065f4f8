"""The part of a tracker that records data in its one run, and tells the run's facts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from refunc.logging.active.run import ActiveRun
from refunc.logging.banner import shown_name
from refunc.logging.console.throttle import Echo, Mute
from refunc.logging.formatters.fields import Fields
from refunc.logging.levels import LogLevel
from refunc.logging.logger import MLLogger
from refunc.logging.recording import Recorder
from refunc.logging.shared_loggers import are_runs_announced, default_logger
from refunc.runs.entry import ExperimentContext
from refunc.values.texts import text_of


class RunRecorder(Recorder):
    """A recorder that is bound to one run. A subclass starts and ends the run."""

    def __init__(self, experiment_name: str, run_name: str | None, logger: MLLogger | None) -> None:
        super().__init__()
        self.experiment_name = text_of(experiment_name)
        self._name = text_of(run_name) if run_name is not None else None
        self._logger = logger

    @property
    def logger(self) -> MLLogger:
        """The logger that shows this run's lines."""
        return self._logger if self._logger is not None else default_logger()

    @property
    def run_id(self) -> str | None:
        """The run's id; None before its start."""
        return self._run.run_id if self._run is not None else None

    @property
    def run_name(self) -> str | None:
        """The run's name as given."""
        return self._name

    @property
    def id(self) -> str | None:
        """The run's id; the same as `run_id`."""
        return self.run_id

    @property
    def name(self) -> str:
        """The run's name for people: its own name, or its experiment's name with its id, if it has one by now."""
        if self._run is not None:
            return shown_name(self._run)
        return self._name or self.experiment_name

    @property
    def status(self) -> str | None:
        """`running`, or how the run has ended; None before its start."""
        return self._run.status if self._run is not None else None

    @property
    def params(self) -> dict[str, Any]:
        """A copy of the params that this process has recorded in the run."""
        return dict(self._run.params) if self._run is not None else {}

    @property
    def tags(self) -> dict[str, str]:
        """A copy of the tags that this process has recorded in the run."""
        return dict(self._run.tags) if self._run is not None else {}

    @property
    def folder(self) -> Path | None:
        """The run's folder; None before its start, and if the run is in memory only."""
        return self._run.folder if self._run is not None and self._run.is_written else None

    @property
    def context(self) -> ExperimentContext | None:
        """A snapshot of the run; None before its start."""
        if self._run is None:
            return None
        step, epoch = self._place_in(self._run).reached()
        return self._run.context(step=step, epoch=epoch)

    @property
    def shows_metrics(self) -> bool:
        """Whether its metrics are shown on the console; set it to False where something else shows them."""
        return not isinstance(self._echo, Mute)

    @shows_metrics.setter
    def shows_metrics(self, shows_metrics: bool) -> None:
        if shows_metrics is not self.shows_metrics:
            self._echo = Echo() if shows_metrics else Mute()
            self._metric_set = self._echo.metric_set(())

    @property
    def is_implicit(self) -> bool:
        """Whether a logger's data call has opened the run, where none was open."""
        return self._run is not None and self._run.implicit

    @property
    def unfinished(self) -> str | None:
        """
        Text that says what has not come to its end; it may be set while the run is open, and None takes it back.

        A run that is open until the process ends well is `failed` with this text as its error, instead of `completed`.
        """
        return self._run.unfinished if self._run is not None else None

    @unfinished.setter
    def unfinished(self, unfinished: str | None) -> None:
        if self._run is not None:
            self._run.unfinished = unfinished

    def flush(self, *, sync: bool = False) -> bool:
        """Write everything recorded before this call; with *sync*, force it to disk. False if that failed."""
        return self._run is None or self._run.writer.flush(sync=sync)

    # -- for the calls that record -------------------------------------------------------------------------------------

    def _current_run(self) -> ActiveRun | None:
        return self._run

    def _joined(self, run: ActiveRun) -> None:
        self.logger._joined(run)

    def _show(self, level: int, message: str, fields: Fields) -> None:
        self.logger._show(level, message, fields)

    def _show_metrics(self, fields: Fields) -> None:
        self.logger._show_metrics(fields)

    def _tell(self, line: str) -> None:
        if self._logger is not None or are_runs_announced():
            self.logger._say(LogLevel.EXPERIMENT, line)
