"""
MLLogger: turns a call into a record, hands it over, and does nothing else.

Its parts are `Lines` (text with fields, on `Emission`: handlers and log files), `Recorder` (params, metrics, artifacts,
on `Places`: step and epoch), `Delivering` (integrations) and `Entries` (reading back); this file makes them one logger:
configuration, and which run a call belongs to.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refunc.journal.kinds import COMPLETED
from refunc.journal.levels import ERROR, EXPERIMENT, METRIC
from refunc.journal.outlet import Durability, check_durability
from refunc.journal.values import text_of
from refunc.logging import current
from refunc.logging.console import set_console
from refunc.logging.echo import Echo, open_bars
from refunc.logging.entries import Entries
from refunc.logging.fields import Fields
from refunc.logging.integrations import Delivering
from refunc.logging.levels import LogLevel, level_name, level_number, register_level_names
from refunc.logging.lines import Lines
from refunc.logging.logfile import (
    FileSettings,
    LogFile,
    check_max_bytes,
    check_max_files,
    close_unused,
    files_for,
)
from refunc.logging.recording import Recorder
from refunc.logging.report import report
from refunc.logging.run import ActiveRun, is_disabled, new_run

if TYPE_CHECKING:
    from refunc.runs import ExperimentContext

DEFAULT_LOG_DIR = "logs"


class MLLogger(Delivering, Recorder, Entries, Lines):
    """
    A logger for training scripts: leveled lines with structured fields, and the data of a run.

    Methods may be called from any thread, from signal handlers, `__del__` and forked children, and never raise because
    of a value, a disk or a tracker. Lines below `level` are dropped entirely; data calls never are.

    Lines do their console I/O on the calling thread, as stdlib logging does. ERROR and above, params, tags, results
    and artifacts are in the run's journal when the call returns; everything else within 50 ms (see `durability`).
    """

    def __init__(
        self,
        name: str = "refunc",
        level: int | str = LogLevel.INFO,
        log_dir: str | PathLike[str] | None = None,
        experiment_tracking: bool = True,
        colored_output: bool = True,
        json_logging: bool = False,
        max_log_files: int = 10,
        max_file_size: str | int = "100MB",
        *,
        durability: Durability = "async",
    ) -> None:
        """
        Make the logger. No file, thread or folder exists before the first record.

        Args:
            name: Also the stdlib logger's name and, as a slug, the log file's. One set of handlers exists a name:
                the latest logger of a name decides how it looks.
            log_dir: Folder of the log files; default `./logs`.
            experiment_tracking: False keeps lines out of runs and makes data calls show only.
            colored_output: False never colours; True colours where the terminal takes it (`NO_COLOR`, `FORCE_COLOR`).
            json_logging: Write a log file of JSON lines beside the one of text.
            max_log_files: Files that rotation leaves of each, the current one included.
            max_file_size: Size at which a log file is rotated, such as `500KB`, `100MB` or a number of bytes.
            durability: When a record of this logger's runs is safe: `async` within 50 ms of the call, `process` when
                the call returns (survives kill -9), `disk` after a sync (survives a power cut).

        Raises:
            ValueError: An option has a value that is not allowed; the text names it and what is.
            TypeError: *name* is no text.
        """
        Recorder.__init__(self)
        if not isinstance(name, str):
            raise TypeError(f"name: {name!r} is not text.")
        self.name = name or "refunc"
        self._files: list[LogFile] = []
        self._has_lines = False
        self._configure(
            level, log_dir, experiment_tracking, colored_output, json_logging, max_log_files, max_file_size, durability
        )

    def _configure(
        self,
        level: int | str,
        log_dir: str | PathLike[str] | None,
        experiment_tracking: bool,
        colored_output: bool,
        json_logging: bool,
        max_log_files: int,
        max_file_size: str | int,
        durability: str,
    ) -> None:
        # Everything is checked before anything changes.
        number = level_number(level)
        checked_durability = check_durability(durability)
        limits = {"max_bytes": check_max_bytes(max_file_size), "max_files": check_max_files(max_log_files)}
        self._level = number
        self.log_dir = Path(log_dir if log_dir is not None else DEFAULT_LOG_DIR).absolute()
        self.experiment_tracking = experiment_tracking
        self._durability: Durability = checked_durability
        register_level_names()
        # The root logger's own name would make every library's lines ours.
        self._stdlib = logging.getLogger("refunc.root" if self.name == "root" else self.name)
        self._stdlib.setLevel(self._level)
        set_console(self._stdlib, colored=None if colored_output else False)
        own = logging.getLogger("refunc")
        if not own.handlers:  # refunc's own warnings land above progress bars too
            set_console(own, colored=None)
        self._echo = Echo()
        self._metric_set = self._echo.metric_set(())
        wanted = {} if is_disabled() else _log_files(json_logging, limits)
        self._files = files_for(self, self.log_dir, self.name, wanted)
        close_unused(self.name)  # only now: a line of another thread would open what it finds in `_files` again

    def __repr__(self) -> str:
        return f"<MLLogger {self.name!r} {level_name(self._level)}>"

    # -- which run ---------------------------------------------------------------------------------------------------

    def _current_run(self) -> ActiveRun | None:
        run = self._run
        return run if run is not None and run.accepts() else current.existing_run()

    def _line_run(self, level: int) -> ActiveRun | None:
        run = self._current_run()
        if run is not None:
            return run
        # An error has to reach who is to be told of it, and what is delivered is a run.
        must_be_told = level >= ERROR and bool(self.integrations)
        return self._implicit_run() if must_be_told or current.is_ambiguous() else None

    def _data_run(self) -> ActiveRun | None:
        run = self._run
        if run is not None and run.accepts():
            return run
        return (current.existing_run() or self._implicit_run()) if self._is_tracking else None

    def _is_current(self, run: ActiveRun) -> bool:
        return super()._is_current(run) and (self._is_tracking or self._run is run)

    def _implicit_run(self) -> ActiveRun:
        return current.implicit_run(self._open_implicit)

    def _open_implicit(self) -> ActiveRun:
        run = self._new_run(self.name, None, implicit=True)
        current.register(run, self._tell)
        return run

    def _tell(self, line: str) -> None:
        self._say(EXPERIMENT, line)

    def _new_run(self, experiment: str, run_name: str | None, *, implicit: bool = False) -> ActiveRun:
        # Reading runs is not on the path of a script that only logs lines.
        from refunc.runs.store import store_path

        return new_run(
            experiment=experiment,
            run_name=run_name,
            store=store_path(),
            logger=self.name,
            parent=None if implicit else current.ambient_run(),
            durability=self._durability,
            implicit=implicit,
        )

    def start_experiment(
        self,
        experiment_name: str,
        run_name: str | None = None,
        *,
        parameters: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> ExperimentContext:
        """
        Open a run for this logger, in whatever thread it is used; one that it has open already is ended first.

        The same name again is a new run. The run ends with `end_experiment()`, or with the process.
        """
        if self._run is not None and self._run.accepts():
            report.warning("start_experiment: run %s was still open and is ended.", self._run.run_name)
            self.end_experiment()
        run = self._new_run(text_of(experiment_name), text_of(run_name) if run_name is not None else None)
        current.register(run, self._tell)
        self._run = run
        if parameters is not None:
            self.log_hyperparams(parameters)
        if tags is not None:
            self.add_tags(tags)
        return self._context(run)

    def end_experiment(self, status: str = COMPLETED, final_metrics: Mapping[str, Any] | None = None) -> None:
        """
        End the run that this logger started, or else the implicit one; its end record is written when this returns.

        Args:
            status: `completed`, `failed`, `interrupted`, or a word of your own.
            final_metrics: Recorded as metrics, by default at the step of the last ones, and with the end.
        """
        run = self._run if self._run is not None and self._run.accepts() else None
        if run is None:
            run = next((run for run in current.open_runs() if run.implicit), None)
        if run is None:
            report.warning("end_experiment: logger %s has no run open.", self.name)
            return
        current.finish(run, text_of(status, 100), metrics=self._log_final(final_metrics, run))
        self._run = None

    def get_experiment_context(self) -> ExperimentContext | None:
        """Return a snapshot of the current run, or of the last one after its end; None before the first."""
        run = self._run_to_read()
        return self._context(run) if run is not None else None

    def _context(self, run: ActiveRun) -> ExperimentContext:
        here, loose = run.steps.get(self) or self._loose_steps, self._loose_steps
        if run.accepts():
            return run.context(step=here.step, epoch=here.epoch)
        # After the end, what was counted since comes first.
        step = here.step if loose.step is None else loose.step
        return run.context(step=step, epoch=here.epoch if loose.epoch is None else loose.epoch)

    def _run_to_read(self) -> ActiveRun | None:
        """Return the current run, or the last that this logger logged to: of nested ones the one that ended last."""
        run = self._current_run()
        if run is not None:
            return run
        last = current.last_ended
        return last if last is not None and self in last.steps else self._last_run

    # -- how data calls are shown ------------------------------------------------------------------------------------

    def _show(
        self, level: int, message: str, metrics: Mapping[str, Any], step: Any, epoch: Any, run: ActiveRun
    ) -> None:
        self._say(level, message, Fields(step, epoch, metrics, {}, (), {}, run.experiment_id, run.run_id))

    def _show_metrics(self, metrics: Mapping[str, Any], step: Any, epoch: Any, run: ActiveRun) -> None:
        if self._level > METRIC or not metrics:
            return
        if open_bars:
            # Only who opened a bar has imported what draws it.
            from refunc.logging.bars import show_in_open_bar

            show_in_open_bar(metrics)
        else:
            self._show(METRIC, ", ".join(metrics), metrics, step, epoch, run)

    @property
    def experiment_tracking(self) -> bool:
        """Whether lines and data of this logger go to runs that it has not started itself."""
        return self._is_tracking

    @experiment_tracking.setter
    def experiment_tracking(self, experiment_tracking: bool) -> None:
        self._is_tracking = experiment_tracking
        self._place = self._loose_steps  # the run that was meant is looked for anew

    def flush(self, *, sync: bool = False) -> bool:
        """
        Write everything logged before this call, to every open run and the log files; with *sync*, force it to disk.

        Returns:
            False where that could not be done within about a second, or the disk refuses.
        """
        done = [file.flush(sync=sync) for file in self._files]
        done += [run.writer.flush(sync=sync) for run in current.open_runs()]
        for handler in self._stdlib.handlers:
            handler.flush()
        return all(done)


def _log_files(json_logging: bool, limits: dict[str, int]) -> dict[str, FileSettings]:
    from refunc.logging.formatters import ColoredFormatter, JSONFormatter

    files = {".log": FileSettings(ColoredFormatter(colored=False), **limits)}
    if json_logging:
        files[".jsonl"] = FileSettings(JSONFormatter(), **limits)
    return files
