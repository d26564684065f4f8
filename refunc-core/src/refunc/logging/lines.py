"""
Lines of text: how a call like `logger.info("epoch %d", 3, metrics={...})` becomes a record.

A line goes to the journal of its run (or waits for the first one), to the log file, and, through the stdlib logger of
the same name, to the console and to whatever handlers others have put there or on the root logger.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from os import PathLike
from time import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypedDict

from refunc.journal.kinds import LOG
from refunc.journal.levels import (
    CRITICAL,
    DEBUG,
    ERROR,
    EXPERIMENT,
    INFO,
    METRIC,
    PROGRESS,
    RESULT,
    TRACE,
    WARNING,
    level_number,
)
from refunc.journal.masking import is_plain
from refunc.journal.values import (
    is_mapping,
    is_unchanging,
    jsonable_mapping,
)
from refunc.logging import current
from refunc.logging.emission import Emission
from refunc.logging.fields import EMPTY, Fields
from refunc.logging.payload import artifact_texts, merged_text, split_metrics, tag_texts, with_payload
from refunc.logging.records import caller_at, caller_outside, known_sources, source_of
from refunc.logging.run import ActiveRun
from refunc.logging.steps import Steps
from refunc.logging.tracebacks import exc_info_of, is_wanted, trace_text

if TYPE_CHECKING:
    from typing_extensions import Unpack

    _ExcInfo = (
        bool
        | BaseException
        | tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None]
        | None
    )
    _Values = Mapping[str, Any] | None


class LineFields(TypedDict, total=False):
    """
    What every line method takes by keyword, beside its message, its metrics and its extra.

    Collecting keywords in a dict and passing it on takes Python longer than all the rest of a line: so those that stand
    on most lines are parameters of each method, and only these few are collected.
    """

    tags: Mapping[str, Any] | None
    artifacts: Sequence[str | PathLike[str]] | None
    step: int | None
    epoch: int | None
    exc_info: _ExcInfo
    stack_info: bool
    stacklevel: int


#: `Fields(…)` at a third of its price.
_new_fields = tuple.__new__


class Lines(Emission):
    """The level methods. Whoever inherits them says which run is current."""

    name: str
    _is_tracking: bool
    _loose_steps: Steps
    _place: Steps

    def _line_run(self, level: int) -> ActiveRun | None:
        """Return the run that a line of *level* belongs to; None where it waits for one."""
        raise TypeError(f"{type(self).__name__} does not say which run it is in.")

    def _steps_in(self, run: ActiveRun) -> Steps:
        """Return this logger's place in *run*."""
        raise TypeError(f"{type(self).__name__} does not say where it stands in a run.")

    def trace(
        self, msg: object, *args: object, metrics: _Values = None, extra: _Values = None, **fields: Unpack[LineFields]
    ) -> None:
        """Log a line finer than DEBUG. Positional arguments are `%`-arguments, as in stdlib logging."""
        if self._level <= TRACE:
            self._log(TRACE, msg, args, metrics, extra, fields)

    def debug(
        self, msg: object, *args: object, metrics: _Values = None, extra: _Values = None, **fields: Unpack[LineFields]
    ) -> None:
        """Log a line for whoever debugs."""
        if self._level <= DEBUG:
            self._log(DEBUG, msg, args, metrics, extra, fields)

    def info(
        self, msg: object, *args: object, metrics: _Values = None, extra: _Values = None, **fields: Unpack[LineFields]
    ) -> None:
        """Log a line of general interest."""
        if self._level <= INFO:
            self._log(INFO, msg, args, metrics, extra, fields)

    def warning(
        self, msg: object, *args: object, metrics: _Values = None, extra: _Values = None, **fields: Unpack[LineFields]
    ) -> None:
        """Log something that may turn out wrong."""
        if self._level <= WARNING:
            self._log(WARNING, msg, args, metrics, extra, fields)

    def error(
        self, msg: object, *args: object, metrics: _Values = None, extra: _Values = None, **fields: Unpack[LineFields]
    ) -> None:
        """Log a failure. In its run's journal when this returns, so that a crash keeps it."""
        if self._level <= ERROR:
            self._log(ERROR, msg, args, metrics, extra, fields)

    def critical(
        self, msg: object, *args: object, metrics: _Values = None, extra: _Values = None, **fields: Unpack[LineFields]
    ) -> None:
        """Log a failure that ends the work. In its run's journal when this returns."""
        if self._level <= CRITICAL:
            self._log(CRITICAL, msg, args, metrics, extra, fields)

    def exception(
        self, msg: object, *args: object, metrics: _Values = None, extra: _Values = None, **fields: Unpack[LineFields]
    ) -> None:
        """Log an ERROR with the traceback of the exception that is being handled."""
        if self._level <= ERROR:
            fields.setdefault("exc_info", True)
            self._log(ERROR, msg, args, metrics, extra, fields)

    def metric(
        self, msg: object, *args: object, metrics: _Values = None, extra: _Values = None, **fields: Unpack[LineFields]
    ) -> None:
        """Log a METRIC line; a mapping behind the message is its payload: numbers are metrics, the rest is extra."""
        if self._level <= METRIC:
            self._log(METRIC, msg, args, metrics, extra, fields)

    def experiment(
        self, msg: object, *args: object, metrics: _Values = None, extra: _Values = None, **fields: Unpack[LineFields]
    ) -> None:
        """Log an EXPERIMENT line; a mapping behind the message is its payload."""
        if self._level <= EXPERIMENT:
            self._log(EXPERIMENT, msg, args, metrics, extra, fields)

    def progress(
        self, msg: object, *args: object, metrics: _Values = None, extra: _Values = None, **fields: Unpack[LineFields]
    ) -> None:
        """Log a PROGRESS line; a mapping behind the message is its payload."""
        if self._level <= PROGRESS:
            self._log(PROGRESS, msg, args, metrics, extra, fields)

    def result(
        self, msg: object, *args: object, metrics: _Values = None, extra: _Values = None, **fields: Unpack[LineFields]
    ) -> None:
        """Log a RESULT line; a mapping behind the message is its payload: numbers are metrics, the rest is extra."""
        if self._level <= RESULT:
            self._log(RESULT, msg, args, metrics, extra, fields)

    def log(
        self,
        level: int | str,
        msg: object,
        *args: object,
        metrics: _Values = None,
        extra: _Values = None,
        **fields: Unpack[LineFields],
    ) -> None:
        """Log a line at any level. Raises ValueError for a level that is none."""
        number = level if type(level) is int else level_number(level)
        if self._level <= number:
            self._log(number, msg, args, metrics, extra, fields)

    def _log(
        self, level: int, msg: object, args: tuple[object, ...], metrics: Any, extra: Any, fields: LineFields
    ) -> None:
        """Make a line of what a level method got; called by it directly, so that the caller is two frames up."""
        moment = time()
        # Nothing here asks a value of the caller's whether it is true: an array is neither.
        plain, other = (None, None) if metrics is None else split_metrics(metrics)
        more: Any = extra.copy() if type(extra) is dict else extra  # at once: another thread may change it
        is_raw = is_unchanging(more)  # then the writer's thread sees to names and lengths
        if not is_raw and more is not None:
            more = jsonable_mapping(more)
        if args and EXPERIMENT <= level <= METRIC and is_mapping(args[0]):
            plain, more = with_payload(level, args[0], plain or {}, jsonable_mapping(more) if is_raw else more or {})
            is_raw = False
            args = args[1:]
        message = msg if type(msg) is str and not args else merged_text(msg, args)
        frame = sys._getframe(2)  # the level method's own is between
        texts = names = step = epoch = error = trace = None
        with_stack = False
        if fields:
            try:
                tags, artifacts, step, epoch, exc_info, stack_info, stacklevel = _line_fields(**fields)
            except TypeError:
                raise _unknown(fields) from None
            if type(stacklevel) is not int or stacklevel != 1:
                frame = caller_at(stacklevel)
            texts = None if tags is None else tag_texts(tags)
            names = None if artifacts is None else artifact_texts(artifacts)
            error = None if exc_info is None else exc_info_of(exc_info)
            trace = None if error is None else trace_text(error)
            with_stack = stack_info is not False and is_wanted(stack_info)
        path = frame.f_code.co_filename
        source = known_sources.get(path) or source_of(path)
        if source.is_own:  # a tracker's line
            frame = caller_outside()
            source = source_of(frame.f_code.co_filename)
        steps, run, is_tracking = self._place, None, self._is_tracking
        if not is_tracking:
            steps = self._loose_steps
        elif steps.is_current:
            run = steps.run
        else:
            run = self._line_run(level)
            steps = self._loose_steps if run is None else self._steps_in(run)
        if step is None and epoch is None:
            step, epoch = steps.step, steps.epoch
        else:
            step, epoch = steps.place(step, epoch)
        if is_tracking:
            name, at = self.name, (source.file, frame.f_lineno)
            item = (LOG, moment, level, message, step, epoch, plain, other, texts, names, more, is_raw, at, trace, name)
            if run is None:
                current.loose_lines.append(item)
            elif level >= ERROR:
                run.writer.write(item)
            else:
                writer = run.writer
                queue = writer.queue
                queue.append(item)
                if len(queue) > writer.high_water:
                    writer.relieve()
        self._has_lines = True
        is_shown = self._is_shown(level)
        if is_shown or self._files:
            values = {**plain, **other} if plain and other else plain or other or EMPTY
            more = jsonable_mapping(more) if is_raw and not is_plain(more or {}, masks=False) else more or EMPTY
            experiment, number = (None, None) if run is None else (run.experiment_id, run.run_id)
            said = _new_fields(Fields, (step, epoch, values, texts or EMPTY, names or (), more, experiment, number))
            self._emit(level, message, frame, error, trace, with_stack, moment, said, is_shown)


def _line_fields(
    *,
    tags: Any = None,
    artifacts: Any = None,
    step: Any = None,
    epoch: Any = None,
    exc_info: Any = None,
    stack_info: Any = False,
    stacklevel: Any = 1,
) -> tuple[Any, ...]:
    """Return the fields of a line in this order. Raises TypeError for a name that is none of them."""
    return tags, artifacts, step, epoch, exc_info, stack_info, stacklevel


def _unknown(fields: Mapping[str, Any]) -> TypeError:
    """Return what says to the caller which of *fields* a line does not take."""
    known = LineFields.__annotations__
    wrong = ", ".join(repr(name) for name in fields if name not in known)
    return TypeError(
        f"a line does not take {wrong}. Allowed: metrics, extra, {', '.join(known)}; what else belongs to it goes into "
        "extra={...}."
    )
