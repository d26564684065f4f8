"""
MLLogger: turns a call into a record, hands it over, and does nothing else.

A line goes to the journal of its run (or waits for the first one), to the log file, and, through the stdlib logger of
the same name, to the console and to whatever handlers others have put there or on the root logger.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from time import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypedDict

from refunc.journal import kinds
from refunc.journal.outlet import Durability, check_durability
from refunc.journal.values import jsonable_mapping, short_repr, text
from refunc.logging import current
from refunc.logging.banner import end_line, start_line
from refunc.logging.console import ConsoleHandler
from refunc.logging.echo import Echo
from refunc.logging.fields import Fields
from refunc.logging.levels import LogLevel, level_name, level_number, register_level_names
from refunc.logging.logfile import LogFile, check_max_bytes, check_max_files
from refunc.logging.recording import Recorder, known, split_metrics, tag_texts
from refunc.logging.run import COMPLETED, ActiveRun, is_disabled, new_run

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from refunc.runs import ExperimentContext, LogEntry

_ExcInfo = bool | BaseException | tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None] | None

TRACE, DEBUG, INFO, WARNING, ERROR, CRITICAL = 5, 10, 20, 30, 40, 50
EXPERIMENT, PROGRESS, RESULT, METRIC = 22, 23, 24, 25

DEFAULT_LOG_DIR = "logs"


class LineFields(TypedDict, total=False):
    """What every line method takes by keyword, beside its message."""

    metrics: Mapping[str, Any] | None
    tags: Mapping[str, Any] | None
    artifacts: Sequence[str | PathLike[str]] | None
    extra: Mapping[str, Any] | None
    step: int | None
    epoch: int | None
    exc_info: _ExcInfo
    stack_info: bool
    stacklevel: int


class MLLogger(Recorder):
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
        super().__init__()
        if not isinstance(name, str):
            raise TypeError(f"name: {name!r} is not text.")
        self.name = name or "refunc"
        self._run: ActiveRun | None = None
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
        self.level = level_number(level)
        self.log_dir = Path(log_dir if log_dir is not None else DEFAULT_LOG_DIR)
        self.experiment_tracking = experiment_tracking
        self._durability = check_durability(durability)
        limits = {"max_bytes": check_max_bytes(max_file_size), "max_files": check_max_files(max_log_files)}
        register_level_names()
        # The root logger's own name would make every library's lines ours.
        self._stdlib = logging.getLogger("refunc.root" if self.name == "root" else self.name)
        self._stdlib.setLevel(self.level)
        for handler in self._stdlib.handlers[:]:
            if isinstance(handler, ConsoleHandler):
                self._stdlib.removeHandler(handler)
        self._stdlib.addHandler(ConsoleHandler(colored=None if colored_output else False))
        self._echo_rate = Echo()
        for file in self._files:
            file.close()
        self._files = [] if is_disabled() else _log_files(self.log_dir, self.name, json_logging, limits)

    def __repr__(self) -> str:
        return f"<MLLogger {self.name!r} {level_name(self.level)}>"

    # -- lines -------------------------------------------------------------------------------------------------------

    def trace(self, msg: object, *args: object, **fields: Unpack[LineFields]) -> None:
        """Log a line finer than DEBUG. Positional arguments are `%`-arguments, as in stdlib logging."""
        if self.level <= TRACE:
            self._log(TRACE, msg, args, **fields)

    def debug(self, msg: object, *args: object, **fields: Unpack[LineFields]) -> None:
        """Log a line for whoever debugs."""
        if self.level <= DEBUG:
            self._log(DEBUG, msg, args, **fields)

    def info(self, msg: object, *args: object, **fields: Unpack[LineFields]) -> None:
        """Log a line of general interest."""
        if self.level <= INFO:
            self._log(INFO, msg, args, **fields)

    def warning(self, msg: object, *args: object, **fields: Unpack[LineFields]) -> None:
        """Log something that may turn out wrong."""
        if self.level <= WARNING:
            self._log(WARNING, msg, args, **fields)

    def error(self, msg: object, *args: object, **fields: Unpack[LineFields]) -> None:
        """Log a failure. In the journal when this returns, so that a crash right after keeps it."""
        if self.level <= ERROR:
            self._log(ERROR, msg, args, **fields)

    def critical(self, msg: object, *args: object, **fields: Unpack[LineFields]) -> None:
        """Log a failure that ends the work. In the journal when this returns."""
        if self.level <= CRITICAL:
            self._log(CRITICAL, msg, args, **fields)

    def exception(self, msg: object, *args: object, **fields: Unpack[LineFields]) -> None:
        """Log an ERROR with the traceback of the exception that is being handled."""
        if self.level <= ERROR:
            fields.setdefault("exc_info", True)
            self._log(ERROR, msg, args, **fields)

    def metric(self, msg: object, *args: object, **fields: Unpack[LineFields]) -> None:
        """Log a METRIC line; a mapping behind the message is its payload: numbers are metrics, the rest is extra."""
        if self.level <= METRIC:
            self._log(METRIC, msg, args, **fields)

    def experiment(self, msg: object, *args: object, **fields: Unpack[LineFields]) -> None:
        """Log an EXPERIMENT line; a mapping behind the message is its payload."""
        if self.level <= EXPERIMENT:
            self._log(EXPERIMENT, msg, args, **fields)

    def progress(self, msg: object, *args: object, **fields: Unpack[LineFields]) -> None:
        """Log a PROGRESS line; a mapping behind the message is its payload."""
        if self.level <= PROGRESS:
            self._log(PROGRESS, msg, args, **fields)

    def result(self, msg: object, *args: object, **fields: Unpack[LineFields]) -> None:
        """Log a RESULT line; a mapping behind the message is its payload: numbers are metrics, the rest is extra."""
        if self.level <= RESULT:
            self._log(RESULT, msg, args, **fields)

    def log(self, level: int | str, msg: object, *args: object, **fields: Unpack[LineFields]) -> None:
        """Log a line at any level. Raises ValueError for a level that is none."""
        number = level if type(level) is int else level_number(level)
        if self.level <= number:
            self._log(number, msg, args, **fields)

    def _log(
        self,
        level: int,
        msg: object,
        args: tuple[object, ...],
        *,
        metrics: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
        artifacts: Sequence[str | PathLike[str]] | None = None,
        extra: Mapping[str, Any] | None = None,
        step: int | None = None,
        epoch: int | None = None,
        exc_info: _ExcInfo = None,
        stack_info: bool = False,
        stacklevel: int = 1,
    ) -> None:
        """Make a line of what a level method got; called by it directly, so that the caller is two frames up."""
        moment = time()
        if args and EXPERIMENT <= level <= METRIC and isinstance(args[0], Mapping):
            metrics, extra = _with_payload(level, args[0], metrics, extra)
            args = args[1:]
        message = _merged(msg, args)
        frame = _caller(stacklevel + 1)
        plain, other = split_metrics(metrics) if metrics else ({}, None)
        run = self._current_run() if self.experiment_tracking else None
        steps = self._loose_steps if run is None else self._steps_in(run)
        fields = Fields(
            step if step is not None else steps.step,
            epoch if epoch is not None else steps.epoch,
            {**plain, **other} if other else plain,
            tag_texts(tags) if tags else {},
            tuple(text(str(artifact), 1_000) for artifact in artifacts) if artifacts else (),
            jsonable_mapping(extra) if extra else {},
            run.experiment_id if run is not None else None,
            run.run_id if run is not None else None,
        )
        error = _exc_info(exc_info)
        record = self._record(level, message, frame, error, stack_info, moment, fields)
        if self.experiment_tracking:
            self._journal(run, moment, record, fields, plain, other)
        self._has_lines = True
        self._emit(record)

    def _record(
        self, level: int, message: str, frame: Any, error: Any, stack_info: bool, moment: float, fields: Fields
    ) -> logging.LogRecord:
        """Return the stdlib record of a line; its text is merged, because it is formatted again by another thread."""
        code = frame.f_code
        stack = _stack_text(frame) if stack_info else None
        record = self._stdlib.makeRecord(
            self._stdlib.name, level, code.co_filename, frame.f_lineno, message, (), error, code.co_name, None, stack
        )
        record.created = moment
        record.msecs = moment % 1 * 1000
        record.refunc = fields
        if error is not None:
            record.exc_text = logging.Formatter().formatException(error)
        for key, value in fields.extra.items():
            # As `extra=` does in the stdlib, for the handlers of other libraries; a name that is taken is no error here.
            record.__dict__.setdefault(key, value)
        return record

    def _journal(
        self,
        run: ActiveRun | None,
        moment: float,
        record: logging.LogRecord,
        fields: Fields,
        plain: dict[str, Any],
        other: dict[str, Any] | None,
    ) -> None:
        line = {"level": record.levelname, "message": text(record.msg), "logger": self.name}
        line.update(
            known(
                step=fields.step,
                epoch=fields.epoch,
                metrics=plain,
                other=other,
                tags=fields.tags,
                artifacts=list(fields.artifacts),
                extra=fields.extra,
                at=f"{record.filename}:{record.lineno}",
                exception=record.exc_text,
            )
        )
        if run is None:
            current.loose_lines.append((kinds.LOG, moment, line))
        elif record.levelno >= ERROR:
            run.put_through(kinds.LOG, line, moment)
        else:
            run.put(kinds.LOG, line, moment)

    def _emit(self, record: logging.LogRecord) -> None:
        """Give *record* to the log files and to the handlers of the stdlib logger."""
        # What refunc says of its own accord makes no file: `logs/` has one for each logger that somebody used.
        for file in self._files if self._has_lines else ():
            if record.levelno >= ERROR:
                file.write(record)
            else:
                file.append(record)
        if self._stdlib.isEnabledFor(record.levelno):
            self._stdlib.handle(record)

    def say(self, level: int, message: str, fields: Fields = Fields(), *, moment: float | None = None) -> None:  # noqa: B008  # a frozen value
        """Show a line on the console and in the log files only: what it says stands in the journal in another form."""
        if self.level <= level:
            frame = _caller_outside()
            self._emit(self._record(level, message, frame, None, False, moment or time(), fields))

    # -- which run ---------------------------------------------------------------------------------------------------

    def _current_run(self) -> ActiveRun | None:
        run = self._run
        return run if run is not None and run.open else current.existing_run()

    def _data_run(self) -> ActiveRun | None:
        run = self._run
        if run is not None and run.open:
            return run
        run = current.ambient.get()
        if run is not None and run.open:
            return run if self.experiment_tracking else None
        return self._implicit_run() if self.experiment_tracking else None

    def _implicit_run(self) -> ActiveRun:
        run = current.existing_run()
        if run is None:
            run = self._new_run(self.name, None, implicit=True)
            current.register(run)
            self.say(EXPERIMENT, start_line(run))
        return run

    def _new_run(self, experiment: str, run_name: str | None, *, implicit: bool = False) -> ActiveRun:
        # Reading runs is not on the path of a script that only logs lines.
        from refunc.runs.store import store_path

        return new_run(
            experiment=experiment,
            run_name=run_name,
            store=store_path(),
            logger=self.name,
            parent=None if implicit else current.existing_run(),
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
        if self._run is not None and self._run.open:
            current.report.warning("start_experiment: run %s was still open and is ended.", self._run.run_name)
            self.end_experiment()
        run = self._new_run(str(experiment_name), str(run_name) if run_name is not None else None)
        current.register(run)
        self._run = run
        self.say(EXPERIMENT, start_line(run))
        if parameters:
            self.log_hyperparams(parameters)
        if tags:
            self.add_tags(tags)
        return self._context(run)

    def end_experiment(self, status: str = COMPLETED, final_metrics: Mapping[str, Any] | None = None) -> None:
        """
        End the run that this logger started, or else the implicit one; its end record is written when this returns.

        Args:
            status: `completed`, `failed`, `interrupted`, or a word of your own.
            final_metrics: Recorded as metrics, and with the end.
        """
        run = self._run if self._run is not None and self._run.open else None
        if run is None:
            run = next((run for run in current.open_runs() if run.implicit), None)
        if run is None:
            current.report.warning("end_experiment: logger %s has no run open.", self.name)
            return
        if final_metrics:
            self.log_metrics(final_metrics)
        plain = split_metrics(final_metrics)[0] if final_metrics else None
        current.finish(run, text(str(status), 100), metrics=plain)
        self._run = None
        if run.is_own:
            self.say(EXPERIMENT, end_line(run))

    def get_experiment_context(self) -> ExperimentContext | None:
        """Return a snapshot of the current run, or of the last one after its end; None before the first."""
        run = self._current_run() or self._last_run
        return self._context(run) if run is not None else None

    def _context(self, run: ActiveRun) -> ExperimentContext:
        steps = self._steps_in(run) if run.open or self._loose_steps.step is None else self._loose_steps
        return context_of(run, step=steps.step, epoch=steps.epoch)

    # -- how data calls are shown ------------------------------------------------------------------------------------

    def _show(self, level: int, message: str, metrics: Mapping[str, Any], step: Any, epoch: Any) -> None:
        run = self._current_run()
        identity = (run.experiment_id, run.run_id) if run is not None else (None, None)
        self.say(level, message, Fields(step, epoch, metrics, {}, (), {}, *identity))

    def _echo(self, metrics: Mapping[str, Any], step: Any, epoch: Any) -> None:
        if self.level <= METRIC and metrics and self._echo_rate.is_due(metrics):
            # A script without a progress bar never imports what draws them.
            bars = sys.modules.get("refunc.logging.bars")
            if bars is None or not bars.show_in_open_bar(metrics):
                self._show(METRIC, ", ".join(metrics), metrics, step, epoch)

    # -- reading back ------------------------------------------------------------------------------------------------

    def get_log_entries(
        self,
        level: int | str | None = None,
        last_n: int | None = None,
        experiment_id: str | None = None,
        start_time: float | None = None,
        end_time: float | None = None,
        tags: Mapping[str, str] | None = None,
        *,
        run_id: str | None = None,
        min_level: int | str | None = None,
        contains: str | None = None,
    ) -> list[LogEntry]:
        """
        Return the entries of the current run (or the last one) that match, oldest first.

        What was logged before this call is in it. Entries are read from the journal, newest first, so a small *last_n*
        is quick however long the run is.

        Args:
            level: Exactly this level; *min_level* takes this one and above.
            last_n: The newest so many that match.
            experiment_id: An experiment's id or name: all its runs in the store are searched. *run_id* likewise.
            start_time: In seconds since 1970, inclusive; *end_time* exclusive.
            tags: The entry carries at least these.
            contains: The message has this text, in any case.
        """
        from refunc.logging.reading import entries_for
        from refunc.runs.query import Query, newest, select

        query = Query(
            level=level_name(level_number(level)) if level is not None else None,
            min_level=level_number(min_level) if min_level is not None else None,
            experiment_id=experiment_id,
            run_id=run_id,
            start_time=start_time,
            end_time=end_time,
            tags=tags,
            contains=contains,
        )
        source = entries_for(self._current_run() or self._last_run, query, newest_first=True)
        return newest(select(source, query, level_number), last_n)

    def export_logs(self, path: str | PathLike[str], format: str | None = None) -> int:
        """
        Write all entries of the current run (or the last one) to *path* and return how many there were.

        Args:
            format: `json`, `jsonl` or `csv`; by default what the path's suffix says. A CSV has one column a metric,
                and text in it that a spreadsheet would run as a formula is quoted.

        Raises:
            ValueError: Another format.
            OSError: The file cannot be written.
        """
        from refunc.logging.reading import entries_for
        from refunc.runs.export import check_format, export
        from refunc.runs.query import Query

        format = check_format(path, format)
        run = self._current_run() or self._last_run
        return export(lambda: entries_for(run, Query(), newest_first=False), path, format)

    # -- handlers and files ------------------------------------------------------------------------------------------

    @property
    def handlers(self) -> list[logging.Handler]:
        """The stdlib handlers of this logger's name, refunc's console handler among them."""
        return list(self._stdlib.handlers)

    def add_handler(self, handler: logging.Handler) -> None:
        """
        Add any stdlib handler. An AsyncHandler or BufferedHandler without a target takes over the handlers that the
        logger has: it stands before them.
        """
        if not isinstance(handler, logging.Handler):
            raise TypeError(f"add_handler: {handler!r} is not a logging.Handler.")
        adopt = getattr(handler, "adopt", None)
        if adopt is not None and adopt(self._stdlib.handlers):
            for wrapped in self._stdlib.handlers[:]:
                self._stdlib.removeHandler(wrapped)
        self._stdlib.addHandler(handler)

    def remove_handler(self, handler: logging.Handler) -> None:
        """Take *handler* away; one that is not there is no error."""
        self._stdlib.removeHandler(handler)

    def set_level(self, level: int | str) -> None:
        """Change the level below which lines are dropped. Raises ValueError for a level that is none."""
        self.level = level_number(level)
        self._stdlib.setLevel(self.level)

    def flush(self, *, sync: bool = False) -> bool:
        """
        Write everything logged before this call, to the journal and the log files; with *sync*, force it to disk.

        Returns:
            False where that could not be done within about a second, or the disk refuses.
        """
        done = [file.flush(sync=sync) for file in self._files]
        run = self._current_run()
        if run is not None:
            done.append(run.writer.flush(sync=sync))
        for handler in self._stdlib.handlers:
            handler.flush()
        return all(done)


def context_of(run: ActiveRun, *, step: int | None = None, epoch: int | None = None) -> ExperimentContext:
    """Return a snapshot of *run*."""
    # attrs classes cost 30 ms to import, and a script that asks for no context need not pay.
    from refunc.runs.entry import ExperimentContext

    return ExperimentContext(
        experiment_id=run.experiment_id,
        experiment_name=run.experiment_name,
        run_id=run.run_id,
        run_name=run.run_name,
        start_time=run.start_time,
        end_time=run.end_time,
        status=run.status,
        parameters=dict(run.params),
        metrics=run.latest_metrics(),
        tags=dict(run.tags),
        artifacts=list(run.artifacts),
        metadata={"folder": str(run.folder), "parent_id": run.parent_id},
        step=step,
        epoch=epoch,
    )


def _log_files(folder: Path, name: str, json_logging: bool, limits: dict[str, int]) -> list[LogFile]:
    from refunc.logging.formatters import ColoredFormatter, JSONFormatter

    text_format = ColoredFormatter(colored=False)
    files = [LogFile(folder, name, ".log", text_format, **limits)]
    if json_logging:
        files.append(LogFile(folder, name, ".jsonl", JSONFormatter(), **limits))
    return files


def _with_payload(
    level: int, payload: Mapping[str, Any], metrics: Mapping[str, Any] | None, extra: Mapping[str, Any] | None
) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    """Add an ML level's payload to the metrics and the extra of its line."""
    if level in (METRIC, RESULT):
        plain, other = split_metrics(payload, warn=False)  # in a payload text is no mistake
        return {**plain, **(metrics or {})}, {**(other or {}), **(extra or {})}
    return metrics, {**jsonable_mapping(payload), **(extra or {})}


def _merged(msg: object, args: tuple[object, ...]) -> str:
    """Return *msg* with its `%`-arguments; where they do not fit, both of them, for a line must not be lost."""
    try:
        message = msg if isinstance(msg, str) else str(msg)
        if not args:
            return message
        only = args[0] if len(args) == 1 and isinstance(args[0], Mapping) and args[0] else args
        return message % only
    except Exception:  # a user's __str__ may raise what it likes
        return f"{short_repr(msg)} {short_repr(args)}" if args else short_repr(msg)


def _caller(depth: int) -> Any:
    """Return the frame *depth* levels above `_log`, or the outermost one."""
    try:
        return sys._getframe(depth + 1)
    except ValueError:
        return _caller_outside()


def _caller_outside() -> Any:
    """Return the first frame outside this package."""
    frame = sys._getframe(1)
    package = __name__.rpartition(".")[0]
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).startswith(package):
        frame = frame.f_back
    return frame


def _exc_info(exc_info: _ExcInfo) -> Any:
    if isinstance(exc_info, BaseException):
        return (type(exc_info), exc_info, exc_info.__traceback__)
    if exc_info and not isinstance(exc_info, tuple):
        exc_info = sys.exc_info()
    return exc_info if exc_info and exc_info[0] is not None else None  # type: ignore[index]  # a tuple by now


def _stack_text(frame: Any) -> str:
    import traceback

    return "Stack (most recent call last):\n" + "".join(traceback.format_stack(frame)).rstrip("\n")
