"""
MLLogger: turns a call into a record, hands it over, and does nothing else.

Its parts are `Lines` (text with fields, on `Emission`: handlers and log files), `Recorder` (params, metrics, artifacts,
on `Places`: step and epoch), `Delivering` (integrations) and `Entries` (reading back); this file joins them into one
logger, and configures it.
"""

from __future__ import annotations

import logging
from os import PathLike
from typing import TYPE_CHECKING, Any

from refunc.logging import current, named
from refunc.logging.active.nowhere import Nowhere, is_disabled
from refunc.logging.console.handler import set_console
from refunc.logging.console.throttle import Echo, open_bars, show_in_open_bar
from refunc.logging.entries import Entries
from refunc.logging.formatters import JSONFormatter
from refunc.logging.formatters.fields import Fields
from refunc.logging.guesses import OF_LOGGERS, OF_RECORDERS, answers
from refunc.logging.levels import LogLevel, level_name, level_number, register_level_names
from refunc.logging.lines.calls import Lines
from refunc.logging.logfiles.logfile import FileSettings, LogFile
from refunc.logging.logfiles.rotation import check_max_bytes, check_max_files
from refunc.logging.logfiles.shelf import close_unused, files_for
from refunc.logging.logfiles.written import DatedFormatter
from refunc.logging.own_runs import OwnRuns
from refunc.outlets.durability import Durability, check_durability
from refunc.outlets.foreign import flush
from refunc.values.levels import EXPERIMENT, METRIC
from refunc.values.paths import absolute

if TYPE_CHECKING:
    from typing_extensions import Self

    from refunc.logging.active.aside import Aside

DEFAULT_LOG_DIR = "logs"


@answers(OF_RECORDERS, OF_LOGGERS)
class MLLogger(OwnRuns, Entries, Lines):
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
        Make the logger. No file, folder or thread is made before the first record.

        Args:
            name: Also the stdlib logger's name and, as a slug, the log file's. Loggers of one name share their
                handlers, which follow the settings of the latest logger.
            log_dir: Folder of the log files; default `./logs`.
            experiment_tracking: False makes no run: lines and data are shown and go to the log files, and the last
                1,000 records can be read back.
            colored_output: False never colours; True colours if the terminal supports it (`NO_COLOR`, `FORCE_COLOR`).
            json_logging: Write a log file of JSON lines, with every record, as well as the text file.
            max_log_files: How many files rotation keeps of each log file, including the current one.
            max_file_size: Size at which a log file is rotated, such as `500KB`, `100MB` or a number of bytes.
            durability: When a record of this logger's runs is safe: `async` within 50 ms of the call, `process` when
                the call returns (survives kill -9), `disk` after an fsync (survives a power cut).

        Raises:
            ValueError: An option has a value that is not allowed; the text names it and the allowed values.
            TypeError: *name* is not text.
        """
        OwnRuns.__init__(self)
        if not isinstance(name, str):
            raise TypeError(f"name: {name!r} is not text.")
        self.name = self._logger_name = name or "refunc"
        self._files: list[LogFile] = []
        self._configure(
            level, log_dir, experiment_tracking, colored_output, json_logging, max_log_files, max_file_size, durability
        )
        named.remember(self)

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
        usual_folder = absolute(DEFAULT_LOG_DIR)
        folder = absolute(log_dir) if log_dir is not None else usual_folder
        limits: dict[str, Any] = {
            "max_bytes": check_max_bytes(max_file_size),
            "max_files": check_max_files(max_log_files),
            "level": number,
            "is_usual_folder": folder == usual_folder,
        }
        self._look = {
            "colored_output": colored_output,
            "json_logging": json_logging,
            "max_log_files": max_log_files,
            "max_file_size": max_file_size,
            "durability": durability,
        }
        self._level = number
        self.log_dir = folder
        self.experiment_tracking = experiment_tracking
        self._durability: Durability = checked_durability
        register_level_names()
        # Under the root logger's name, every library's lines would be ours.
        self._stdlib = logging.getLogger("refunc.root" if self.name == "root" else self.name)
        self._stdlib.setLevel(self._level)
        set_console(self._stdlib, colored=None if colored_output else False)
        own = logging.getLogger("refunc")
        if not own.handlers:  # refunc's own warnings land above progress bars too
            set_console(own, colored=None)
        self._echo = Echo()
        self._metric_set = self._echo.metric_set(())
        wanted = {} if is_disabled() else _log_files(json_logging, limits)
        self._aside: Aside | Nowhere = current.aside if wanted else Nowhere()
        if self._files:
            current.aside.flush()  # earlier records go to the earlier files
        self._files = files_for(self, self.log_dir, self.name, wanted)
        close_unused(self.name)

    def __repr__(self) -> str:
        return f"<MLLogger {self.name!r} {level_name(self._level)}>"

    # -- copies ------------------------------------------------------------------------------------------------------

    @classmethod
    def _plain(cls, name: str, **settings: Any) -> Self:
        """Return a logger made from these settings alone, without a subclass's own `__init__`."""
        logger = cls.__new__(cls)
        MLLogger.__init__(logger, name, **settings)
        return logger

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the name, and settings without secrets for a process that has no logger of that name."""
        # Imported here: only programs that send loggers to other processes pay for it.
        from refunc.logging.copies import logger_of, packed, reference_to

        settings = {
            **self._look,
            "level": self._level,
            "log_dir": str(self.log_dir),
            "experiment_tracking": self._is_tracking,
        }
        run = self._run
        reference = reference_to(run) if run is not None and run.is_tracked and run.accepts() else None
        return logger_of, (type(self), self.name, settings, reference, self._packed or packed(self.integrations))

    # -- how runs and data calls are shown --------------------------------------------------------------------------

    def _tell(self, line: str) -> None:
        self._say(EXPERIMENT, line)

    def _show(self, level: int, message: str, fields: Fields) -> None:
        self._say(level, message, fields)

    def _show_metrics(self, fields: Fields) -> None:
        if self._level > METRIC or not fields.metrics:
            return
        if open_bars:
            show_in_open_bar(fields.metrics)
        else:
            self._say(METRIC, ", ".join(fields.metrics), fields)

    @property
    def experiment_tracking(self) -> bool:
        """Whether lines and data of this logger go to runs."""
        return self._is_tracking

    @experiment_tracking.setter
    def experiment_tracking(self, experiment_tracking: bool) -> None:
        self._is_tracking = experiment_tracking
        self._place = self._loose_place  # the current run is looked up again

    def flush(self, *, sync: bool = False) -> bool:
        """
        Write everything logged before this call, to every open run and the log files; with *sync*, force it to disk.

        Returns:
            False if that took more than about a second, or if the disk refuses.
        """
        done = [run.writer.flush(sync=sync) for run in current.open_runs()]
        done += [run.writer.flush() for run in (self._run, self._untracked) if run is not None and not run.is_tracked]
        done.append(self._aside.flush())
        done += [file.flush(sync=sync) for file in self._files]
        done += [flush(handler) for handler in self.handlers]
        return all(done)

    def close(self) -> None:
        """
        Write all queued records, and close the log files and handlers of this logger's name.

        The logger stays usable: a later line opens them again. The run stays open.
        """
        self.flush()
        for file in self._files:
            file.close()
        for handler in self._stdlib.handlers:
            handler.close()


def _log_files(json_logging: bool, limits: dict[str, Any]) -> dict[str, FileSettings]:
    files = {".log": FileSettings(DatedFormatter(), **limits)}
    if json_logging:
        files[".jsonl"] = FileSettings(JSONFormatter(), has_all=True, **limits)
    return files
