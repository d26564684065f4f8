"""
The console handler: one line a record, on the calling thread, never in the way of the training.

A record keeps its order with the script's own `print`, lands above open progress bars, and is left to the root logger
where that would show it on the same stream. Nothing that a stream does (closed, broken pipe, no such encoding)
reaches the caller.
"""

from __future__ import annotations

import logging
import sys
from typing import TextIO
from weakref import WeakSet

from refunc.journal.masking import is_wanted
from refunc.logging.attached import has_parent
from refunc.logging.fields import without_secrets_in
from refunc.logging.formatters import ColoredFormatter
from refunc.logging.terminal import CLEAR_DOWN, above_bars, fix_windows_console, in_notebook, is_terminal, wants_color


class ConsoleHandler(logging.Handler):
    """Writes to stderr, or to stdout in a notebook, wherever these point when the record comes."""

    def __init__(
        self, level: int | str = logging.NOTSET, stream: TextIO | None = None, *, colored: bool | None = None
    ) -> None:
        """
        Make a handler with a `ColoredFormatter`.

        Args:
            stream: A fixed stream instead of whatever `sys.stderr` is at the time.
            colored: Whether to colour; None asks the environment and the stream (see `terminal.wants_color`).
                A `ColoredFormatter(colored=…)` set on this handler comes first.
        """
        super().__init__(level)
        fix_windows_console()
        self._fixed_stream = stream
        self._colored = colored
        # The last stream and its answer: asking costs system calls, and streams change rarely.
        self._color_of: tuple[TextIO | None, bool] = (None, False)
        self._masks = is_wanted()
        self.setFormatter(ColoredFormatter())

    @property
    def stream(self) -> TextIO | None:
        """The stream that a record would go to now; None where there is none (pythonw, a detached daemon)."""
        if self._fixed_stream is not None:
            return self._fixed_stream
        return sys.stdout if in_notebook() else sys.stderr

    def emit(self, record: logging.LogRecord) -> None:
        """Write *record* as one line with one call, and flush. Never raises an `Exception`."""
        try:
            stream = self.stream
            if stream is None or _shown_further_up(self, record, stream):
                return
            shown = without_secrets_in(record) if self._masks else record
            _write_line(stream, self._text(shown, stream) + "\n")
        except Exception:
            # The stream is closed, full, or its reader is gone. stdlib's handleError would print a traceback to the
            # very stream that just failed; the journal has the record.
            pass

    def flush(self) -> None:
        """Do nothing: each line is flushed as it is written."""

    def _text(self, record: logging.LogRecord, stream: TextIO) -> str:
        formatter = self.formatter
        if not isinstance(formatter, ColoredFormatter) or formatter.colored is not None:
            try:
                return self.format(record)
            except Exception as error:  # a user's formatter: its bug is shown, its line not lost
                return ColoredFormatter(colored=False).broken_line(record, error)
        known_stream, colored = self._color_of
        if known_stream is not stream:
            colored = wants_color(stream, colored=self._colored)
            self._color_of = (stream, colored)
        return formatter.render(record, colored=colored)


# The console handlers that refunc gave its loggers. One that a user made has a level, stream or formatter for a reason.
_own_consoles: WeakSet[logging.Handler] = WeakSet()


def set_console(logger: logging.Logger, *, colored: bool | None) -> None:
    """Give *logger* a new console handler in the place of its last one: its own, or a target of one of its wrappers."""
    console = ConsoleHandler(colored=colored)
    replaced = False
    others: list[logging.Handler] = []
    for handler in logger.handlers[:]:
        others.append(handler)
        if handler in _own_consoles:
            logger.removeHandler(handler)
            others.remove(handler)
        elif (replace := getattr(handler, "replace_target", None)) is not None:
            replaced = replace(_own_consoles, console) or replaced
            others += handler.all_targets()  # type: ignore[attr-defined]  # what has the one has the other
    is_there = any(isinstance(other, ConsoleHandler) and other.stream is console.stream for other in others)
    if not (replaced or is_there):
        logger.addHandler(console)
    _own_consoles.add(console)


def _write_line(stream: TextIO, line: str) -> None:
    if has_parent() and is_terminal(stream):
        line = CLEAR_DOWN + line  # a worker does not know whether the process that started it has bars just now
    bars = above_bars(stream)
    if bars is None:
        _write_whole(stream, line)
        return
    with bars:
        _write_whole(stream, line)


def _write_whole(stream: TextIO, line: str) -> None:
    try:
        stream.write(line)
    except UnicodeEncodeError:
        # The text layer encodes before it writes, so nothing of the line is out yet.
        encoding = stream.encoding or "ascii"
        stream.write(line.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def _shown_further_up(handler: logging.Handler, record: logging.LogRecord, stream: TextIO) -> bool:
    """
    Return whether the root logger, or one on the way to it, is about to show *record* on the same *stream*.

    Looked up for each record: handlers come and go, and `propagate` is a plain attribute.
    """
    name = record.name
    if not logging.root.handlers and "." not in name:  # nearly always: there is nobody further up
        return False
    logger = logging.root if name == logging.root.name else logging.Logger.manager.loggerDict.get(name)
    passed = False
    while isinstance(logger, logging.Logger):
        # Those below *handler*'s own logger have had their turn. One that another handler wraps (a buffer, say) is
        # on no logger: for it only root counts.
        if passed or logger.parent is None:
            for other in logger.handlers:
                if other is not handler and _shows(other, record, stream):
                    return True
        passed = passed or handler in logger.handlers
        if not logger.propagate:
            return False
        logger = logger.parent
    return False


def _shows(handler: logging.Handler, record: logging.LogRecord, stream: TextIO) -> bool:
    return (
        isinstance(handler, (logging.StreamHandler, ConsoleHandler))
        and record.levelno >= handler.level
        # What a filter would say is unknown without running it, and some filters let each message pass only once.
        and not handler.filters
        and _same_stream(handler.stream, stream)
    )


def _same_stream(one: object, other: TextIO) -> bool:
    if one is other:
        return True
    try:
        return one.fileno() == other.fileno()  # type: ignore[attr-defined, no-any-return]
    except Exception:  # no file behind it (StringIO), closed, or a user's stream-like object
        return False
