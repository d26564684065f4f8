"""
Lines of text: how a call like `logger.info("epoch %d", 3, metrics={...})` becomes a record.

A line goes to the journal of its run (or waits for the first one), to the log file, and, through the stdlib logger of
the same name, to the console and to whatever handlers others have put there or on the root logger.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from os import PathLike
from time import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypedDict

from refunc.journal import kinds
from refunc.journal.values import jsonable_mapping, short_repr, text
from refunc.logging import current
from refunc.logging.fields import Fields
from refunc.logging.levels import level_number
from refunc.logging.recording import known, split_metrics, tag_texts
from refunc.logging.run import ActiveRun
from refunc.logging.steps import Steps

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from refunc.logging.logfile import LogFile

    _ExcInfo = (
        bool
        | BaseException
        | tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None]
        | None
    )

TRACE, DEBUG, INFO, WARNING, ERROR, CRITICAL = 5, 10, 20, 30, 40, 50
EXPERIMENT, PROGRESS, RESULT, METRIC = 22, 23, 24, 25


_PACKAGE = __name__.rpartition(".")[0]


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


class Lines:
    """The level methods. Whoever inherits them says which run is current and has a stdlib logger and log files."""

    name: str
    level: int
    experiment_tracking: bool
    _stdlib: logging.Logger
    _files: list[LogFile]
    _has_lines: bool
    _loose_steps: Steps

    def _current_run(self) -> ActiveRun | None:
        """Return the run that a call belongs to, without opening one."""
        raise TypeError(f"{type(self).__name__} does not say which run it is in.")

    def _steps_in(self, run: ActiveRun) -> Steps:
        """Return this logger's place in *run*."""
        raise TypeError(f"{type(self).__name__} does not say where it stands in a run.")

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
            *steps.place(step, epoch),
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
            # As `extra=` does in the stdlib, for other libraries' handlers; a name that is taken is no error here.
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
    """Return the frame *depth* levels above `_log`; where that is refunc's own (a tracker's line), its caller's."""
    try:
        frame = sys._getframe(depth + 1)
    except ValueError:
        return _caller_outside()
    return _caller_outside() if _is_ours(frame) else frame


def _caller_outside() -> Any:
    """Return the first frame outside this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_ours(frame):
        frame = frame.f_back
    return frame


def _is_ours(frame: Any) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith(_PACKAGE)


def _exc_info(exc_info: _ExcInfo) -> Any:
    if isinstance(exc_info, BaseException):
        return (type(exc_info), exc_info, exc_info.__traceback__)
    if exc_info and not isinstance(exc_info, tuple):
        exc_info = sys.exc_info()
    return exc_info if exc_info and exc_info[0] is not None else None  # type: ignore[index]  # a tuple by now


def _stack_text(frame: Any) -> str:
    import traceback

    return "Stack (most recent call last):\n" + "".join(traceback.format_stack(frame)).rstrip("\n")
