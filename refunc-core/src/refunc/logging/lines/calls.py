"""
Lines of text: how a call like `logger.info("epoch %d", 3, metrics={...})` becomes a record.

A line goes to the journal of its run (or waits for the first one), from there to the log files, and, through the stdlib
logger of the same name, to the console and to any other handlers there or on the root logger.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from time import time
from typing import TYPE_CHECKING, Any

from refunc.journal.kinds import LOG
from refunc.logging.active.loose_lines import loose_lines
from refunc.logging.active.place import Place
from refunc.logging.active.run import ActiveRun
from refunc.logging.arguments import (
    artifact_texts,
    as_given,
    meant_payload,
    named_values,
    tag_texts,
    with_payload,
)
from refunc.logging.formatters.fields import EMPTY, Fields
from refunc.logging.formatters.tracebacks import exc_info_of, is_true, stack_text, trace_text
from refunc.logging.lines.emission import Emission
from refunc.logging.lines.line_fields import LineFields, line_fields, unknown_field
from refunc.logging.lines.records import caller_at, caller_outside, code_file_of, known_files
from refunc.logging.messages import merged_apart, merged_text
from refunc.logging.metrics import split_metrics
from refunc.values.jsonable import UNCHANGING, is_mapping, is_unchanging, jsonable_mapping
from refunc.values.levels import (
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
from refunc.values.masking import is_plain

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from refunc.journal.writer import JournalWriter
    from refunc.logging.active.aside import Aside
    from refunc.logging.active.nowhere import Nowhere

    _Values = Mapping[str, Any] | None


_NO_MESSAGE = object()


#: `Fields(…)` at a third of its cost.
_new_fields = tuple.__new__


class Lines(Emission):
    """The level methods. Subclasses define which run is current."""

    name: str
    _loose_place: Place
    _place: Place
    #: Takes the lines that wait for a run.
    _aside: Aside | Nowhere

    def _line_run(self, level: int) -> ActiveRun | None:
        """Return the run that a line of *level* belongs to; None if it waits for one."""
        raise TypeError(f"{type(self).__name__} does not say which run it is in.")

    def _place_in(self, run: ActiveRun) -> Place:
        """Return this logger's place in *run*."""
        raise TypeError(f"{type(self).__name__} does not say which place it has in a run.")

    def trace(
        self, msg: object, *args: object, metrics: _Values = None, extra: _Values = None, **fields: Unpack[LineFields]
    ) -> None:
        """
        Log a line finer than DEBUG.

        Positional arguments are `%`-arguments, as in stdlib logging. A mapping after them that the message does not use
        becomes extra.
        """
        if self._level <= TRACE:
            self._log(TRACE, msg, args, metrics, extra, fields)

    def debug(
        self, msg: object, *args: object, metrics: _Values = None, extra: _Values = None, **fields: Unpack[LineFields]
    ) -> None:
        """Log a line for debugging."""
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
        """Log a failure. It is in the run's journal when this returns, so that it survives a crash."""
        if self._level <= ERROR:
            self._log(ERROR, msg, args, metrics, extra, fields)

    def critical(
        self, msg: object, *args: object, metrics: _Values = None, extra: _Values = None, **fields: Unpack[LineFields]
    ) -> None:
        """Log a failure that ends the work. It is in the run's journal when this returns."""
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
        """
        Log a METRIC line. A mapping after the message is its payload: numbers are metrics, the rest is extra.

        `metric("loss", 0.5)` and `metric({"loss": 0.5})` have the payload `{"loss": 0.5}`, with one warning.
        """
        if self._level <= METRIC:
            self._log(METRIC, msg, args, metrics, extra, fields)

    def experiment(
        self, msg: object, *args: object, metrics: _Values = None, extra: _Values = None, **fields: Unpack[LineFields]
    ) -> None:
        """Log an EXPERIMENT line; a mapping after the message is its payload."""
        if self._level <= EXPERIMENT:
            self._log(EXPERIMENT, msg, args, metrics, extra, fields)

    def progress(
        self, msg: object, *args: object, metrics: _Values = None, extra: _Values = None, **fields: Unpack[LineFields]
    ) -> None:
        """Log a PROGRESS line; a mapping after the message is its payload."""
        if self._level <= PROGRESS:
            self._log(PROGRESS, msg, args, metrics, extra, fields)

    def result(
        self, msg: object, *args: object, metrics: _Values = None, extra: _Values = None, **fields: Unpack[LineFields]
    ) -> None:
        """Log a RESULT line; its payload is as with `metric`: numbers are metrics, the rest is extra."""
        if self._level <= RESULT:
            self._log(RESULT, msg, args, metrics, extra, fields)

    def log(
        self,
        level: int | str,
        msg: object = _NO_MESSAGE,
        *args: object,
        metrics: _Values = None,
        extra: _Values = None,
        **fields: Unpack[LineFields],
    ) -> None:
        """Log a line at any level. Raises ValueError if the level is not valid."""
        number = level if type(level) is int and msg is not _NO_MESSAGE else _number_of(level, msg)
        if self._level <= number:
            self._log(number, msg, args, metrics, extra, fields)

    def _log(  # noqa: C901  # the hot path: each call within it would cost every line
        self, level: int, msg: object, args: tuple[object, ...], metrics: Any, extra: Any, fields: LineFields
    ) -> None:
        """Make a line from the arguments of a level method, which calls this directly: the caller is two frames up."""
        moment = time()
        # Nothing here tests the truth of a caller's value: an array has none.
        plain, other = (None, None) if metrics is None else split_metrics(metrics)
        more: Any = extra.copy() if type(extra) is dict else extra  # at once: another thread may change it
        is_raw = is_unchanging(more)  # then the writer's thread checks names and lengths
        given = None
        if not is_raw and more is not None:
            given = extra
            more = named_values("extra", more, 'extra={"name": 1}')
        if not args and type(msg) is str:
            message = msg
        elif EXPERIMENT <= level <= METRIC and (meant := meant_payload(level, msg, args)) is not None:
            message, payload = meant
            plain, more = with_payload(level, payload, plain or {}, jsonable_mapping(more) if is_raw else more or {})
            is_raw, given = False, as_given(payload, extra)
        elif not args or type(args[-1]) in UNCHANGING or not is_mapping(args[-1]):
            message = merged_text(msg, args)
        else:
            message, trailing = merged_apart(msg, args)
            if trailing is not None:
                more = {**named_values("extra", trailing, ""), **(jsonable_mapping(more) if is_raw else more or {})}
                is_raw, given = False, as_given(trailing, extra)
        frame = sys._getframe(2)  # the level method's own is between
        texts = names = step = epoch = error = trace = stack = None
        if fields:
            try:
                tags, artifacts, step, epoch, exc_info, stack_info, stacklevel = line_fields(**fields)
            except TypeError:
                raise unknown_field(fields) from None
            if type(stacklevel) is not int or stacklevel != 1:
                frame = caller_at(stacklevel)
            texts = None if tags is None else tag_texts(tags)
            names = None if artifacts is None else artifact_texts(artifacts)
            error = None if exc_info is None else exc_info_of(exc_info)
            trace = None if error is None else trace_text(error)
            if stack_info is not False and is_true(stack_info):
                stack = stack_text(caller_outside() if code_file_of(frame.f_code.co_filename).is_own else frame)
        path = frame.f_code.co_filename
        code = known_files.get(path) or code_file_of(path)
        if code.is_own:  # a tracker's line
            frame = caller_outside()
            code = code_file_of(frame.f_code.co_filename)
        place = self._place
        if place.is_current:
            run: ActiveRun | None = place.run
        else:
            run = self._line_run(level)
            place = self._loose_place if run is None else self._place_in(run)
        if step is None and epoch is None:
            step, epoch = place.step, place.epoch
        else:
            step, epoch = place.place(step, epoch)
        name, at = self.name, (code.file, frame.f_lineno)
        item = (  # a line.QueuedLine
            LOG, moment, level, message, step, epoch, plain, other, texts, names, more, is_raw, at, trace, stack, name,
        )  # fmt: skip
        if run is None:
            loose_lines.append(item)
            writer: JournalWriter | Aside | Nowhere = self._aside
        else:
            writer = run.writer
        if level >= ERROR:
            writer.write(item)
        else:
            queue = writer.queue
            queue.append(item)
            if len(queue) > writer.high_water:
                writer.relieve()
        if self._is_shown(level):
            values = {**plain, **other} if plain and other else plain or other or EMPTY
            more = jsonable_mapping(more) if is_raw and not is_plain(more or {}, masks=False) else more or EMPTY
            experiment, number = (None, None) if run is None else (run.experiment_id, run.run_id)
            said = _new_fields(
                Fields, (step, epoch, values, texts or EMPTY, names or (), more, experiment, number, EMPTY)
            )
            self._emit(level, message, frame, error, stack, moment, said, given)


def _number_of(level: int | str, msg: object) -> int:
    """
    Return the number of a level; raises TypeError if the call does not log a line, as with other libraries'
    `log`.
    """
    if msg is not _NO_MESSAGE and not is_mapping(level):
        return level_number(level)
    raise TypeError(
        'log takes a level and a message: log("INFO", "text"), or info("text"). '
        'Metrics are recorded by log_metrics({"loss": 0.5}, step=3).'
    )
