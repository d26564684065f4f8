"""
The console handler: one line a record, on the calling thread, without disturbing the training.

A record keeps its order with the script's own `print`, lands above open progress bars, and is left to another handler
that shows it in the same place. No error of a stream (closed, broken pipe, unknown encoding) reaches the caller.
"""

from __future__ import annotations

import logging
import sys
from typing import TextIO
from weakref import WeakSet

from refunc.logging.console.elsewhere import handler_showing
from refunc.logging.console.ranks import is_shown_by, marked, rank_on_console
from refunc.logging.formatters import ColoredFormatter
from refunc.logging.formatters.fields import presentable
from refunc.processes.parent import has_parent
from refunc.values.masking import masks_secrets
from refunc.values.terminal import (
    CLEAR_DOWN,
    above_bars,
    fix_windows_console,
    in_notebook,
    is_in_keras,
    is_terminal,
    wants_color,
)

#: Characters of a message, and of a traceback, that are shown.
_LONGEST_TEXT = 24_576
#: How many places that may hold a secret are checked in one text: this is the training's thread.
_MOST_PLACES = 60
#: The call of an error waits for the disk as well.
_MOST_PLACES_OF_ERRORS = 500


class ConsoleHandler(logging.Handler):
    """Writes to stderr, or to stdout in a notebook, as they are when the record comes."""

    def __init__(
        self, level: int | str = logging.NOTSET, stream: TextIO | None = None, *, colored: bool | None = None
    ) -> None:
        """
        Make a handler with a `ColoredFormatter`.

        Args:
            stream: A fixed stream instead of the `sys.stderr` of the moment.
            colored: Whether to colour; None asks the environment and the stream (see `terminal.wants_color`).
                A `ColoredFormatter(colored=…)` set on this handler comes first.
        """
        super().__init__(level)
        fix_windows_console()
        self._fixed_stream = stream
        self._colored = colored
        # The last stream and its answer: asking costs system calls, and streams change rarely.
        self._color_of: tuple[TextIO | None, bool] = (None, False)
        self.setFormatter(ColoredFormatter())

    @property
    def stream(self) -> TextIO | None:
        """The stream that a record would go to now; None if there is none (pythonw, a detached daemon)."""
        if self._fixed_stream is not None:
            return self._fixed_stream
        return sys.stdout if in_notebook() else sys.stderr

    def emit(self, record: logging.LogRecord) -> None:
        """Write *record* as one line with one call, and flush. Never raises an `Exception`."""
        try:
            number = rank_on_console()
            if number is not None and not is_shown_by(number, record):
                return
            stream = self.stream
            if stream is not None and handler_showing(self, record, stream) is None:
                self._show(record, stream)
        except Exception:
            # The stream is closed, full, or its reader is gone. stdlib's handleError would print a traceback to the
            # very stream that just failed; the journal has the record.
            pass

    def stand_in_for(self, culprit: logging.Handler, record: logging.LogRecord) -> None:
        """
        Show *record* after all if it was left to *culprit*, which raised an error for it. Never raises an
        `Exception`.
        """
        try:
            stream = self.stream
            is_ours = record.levelno >= self.level and bool(self.filter(record))
            if is_ours and stream is not None and handler_showing(self, record, stream) is culprit:
                self._show(record, stream)
        except Exception:
            pass  # as in `emit`

    def _show(self, record: logging.LogRecord, stream: TextIO) -> None:
        is_brief = isinstance(self.formatter, ColoredFormatter)
        places = _MOST_PLACES if (record.levelno or 0) < logging.ERROR else _MOST_PLACES_OF_ERRORS
        shown = presentable(record, masks=masks_secrets(), longest=_LONGEST_TEXT, most_places=places, is_brief=is_brief)
        line, number = self._text(shown, stream) + "\n", rank_on_console()
        _write_line(stream, line if number is None else marked(number, line))

    def flush(self) -> None:
        """Do nothing: each line is flushed as it is written."""

    def _text(self, record: logging.LogRecord, stream: TextIO) -> str:
        formatter = self.formatter
        if not isinstance(formatter, ColoredFormatter) or formatter.colored is not None:
            try:
                return self.format(record)
            except Exception as error:  # a user's formatter: its error is shown, and the line is not lost
                return ColoredFormatter(colored=False).broken_line(record, error)
        known_stream, colored = self._color_of
        if known_stream is not stream:
            colored = wants_color(stream, colored=self._colored)
            self._color_of = (stream, colored)
        return formatter.render(record, colored=colored)


# The console handlers that refunc gave its loggers. One that a user made has a level, stream or formatter for a reason.
_own_consoles: WeakSet[logging.Handler] = WeakSet()


def set_console(logger: logging.Logger, *, colored: bool | None) -> None:
    """Replace the last console handler of *logger*, which may be its own, or a target of one of its wrappers."""
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
            others += handler.all_targets()  # type: ignore[attr-defined]  # objects with the one have the other
    is_there = any(isinstance(other, ConsoleHandler) and other.stream is console.stream for other in others)
    if not (replaced or is_there):
        logger.addHandler(console)
    _own_consoles.add(console)


def _write_line(stream: TextIO, line: str) -> None:
    # A worker does not know whether the process that started it has bars.
    if (has_parent() or is_in_keras()) and is_terminal(stream):
        line = CLEAR_DOWN + line
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
