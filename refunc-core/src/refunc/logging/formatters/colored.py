"""
The formatter for people at a terminal: one aligned line a record, quiet colours, whole tracebacks.

    14:45:39 INFO       training  loaded 60,000 images  path=data/train
    14:45:41 INFO       training  epoch done            loss=0.234 accuracy=0.92  [step 100 epoch 3]  model=resnet
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable
from typing import Any

from refunc.journal.levels import LEVEL_NAMES, level_name
from refunc.logging.fields import Fields, fields_of
from refunc.logging.formatters.schemes import SCHEMES, level_color
from refunc.logging.formatters.text import (
    TotalFormatter,
    check_choice,
    message_of,
    name_text,
    number_text,
    shown,
    traceback_block,
    value_text,
)
from refunc.logging.terminal import printable, printable_line, wants_color

_LEVEL_WIDTH = max(map(len, LEVEL_NAMES.values()))
#: Longer messages do not push everybody's metrics to the right.
_WIDEST_MESSAGE = 40
#: Longer logger names are shown whole, but do not push everybody's messages to the right.
_WIDEST_NAME = 24
#: Names of fields whose beginnings are remembered.
_MOST_NAMES = 1_000
_RESET = "\x1b[0m"


class ColoredFormatter(TotalFormatter):
    """Formats records for a terminal, in colour where that is wanted, with the same layout where it is not."""

    def __init__(
        self,
        show_time: bool = True,
        show_level: bool = True,
        show_logger: bool = True,
        show_metrics: bool = True,
        color_scheme: str = "default",
        *,
        colored: bool | None = None,
    ) -> None:
        """
        Choose what a line shows.

        Args:
            color_scheme: "default" (the terminal's own colours), "dark" or "light" (fixed colours for a background).
            colored: Whether to colour. None leaves it to the `ConsoleHandler`, which knows the stream; on any other
                handler it goes by the environment and stderr (see `terminal.wants_color`).

        Raises:
            ValueError: An unknown colour scheme.
        """
        super().__init__()
        check_choice("color_scheme", color_scheme, tuple(SCHEMES), "a colour scheme")
        self.colored = colored
        self._show_time, self._show_level, self._show_logger = show_time, show_level, show_logger
        self._show_metrics = show_metrics
        self._scheme = SCHEMES[color_scheme]
        self._plain, self._bright = _Paint(None), _Paint(self._scheme)
        # Formatters run on any thread: each of these is read once and replaced whole, so the worst race is a
        # line whose name column is one record late.
        self._second: tuple[int, str, str] = (-1, "", "")
        self._prefixes: dict[tuple[int, str, bool], str] = {}
        self._name_width = 0
        self._message_width = 0
        self._stderr: tuple[object, bool] = (None, False)

    def line(self, record: logging.LogRecord) -> str:
        """Return the line, coloured as `colored` says or, without that, as stderr takes it."""
        colored = self.colored
        if colored is None:
            known, colored = self._stderr
            if known is not sys.stderr:
                colored = wants_color(sys.stderr)
                self._stderr = (sys.stderr, colored)
        return self._line(record, colored)

    def render(self, record: logging.LogRecord, *, colored: bool) -> str:
        """Return the line in colour or not, whatever the environment says; like `format`, it never raises."""
        try:
            return self._line(record, colored)
        except Exception as error:  # from the caller's objects, as in `format`
            return self.broken_line(record, error)

    def _line(self, record: logging.LogRecord, colored: bool) -> str:
        prefix = self._prefixes.get((record.levelno, record.name, colored))
        if prefix is None:
            prefix = self._new_prefix(record.levelno, record.name, colored)
        clock = self._clock(record.created, colored) if self._show_time else ""
        message = record.msg
        if record.args or type(message) is not str:
            message = message_of(record)
        if not message.isprintable():
            message = printable(message.rstrip("\n"))
        fields = fields_of(record)
        if fields.metrics and self._show_metrics and message == ", ".join(map(str, fields.metrics)):
            message = ""  # `log_metrics` and `log_result` have no text but the names, which stand with the values
        paint = self._bright if colored else self._plain
        message_width = len(message) if "\n" not in message else _WIDEST_MESSAGE + 1
        if record.levelno >= logging.ERROR:
            message = paint.alarm + message + paint.reset
        text = clock + prefix + message
        return text + self._fields_text(fields, paint, message_width) + traceback_block(self, record)

    def _clock(self, created: float, colored: bool) -> str:
        second = int(created)
        known, plain, bright = self._second
        if known != second:
            plain = time.strftime("%H:%M:%S ", time.localtime(second))
            bright = self._bright.secondary + plain[:-1] + self._bright.reset + " "
            self._second = (second, plain, bright)
        return bright if colored else plain

    def _new_prefix(self, level: int, name: str, colored: bool) -> str:
        """Return level and logger in their columns; kept for the next record of the same."""
        paint = self._bright if colored else self._plain
        text = ""
        if self._show_level:
            word = printable_line(level_name(level))
            text += paint(level_color(self._scheme, level), word) + " " * (_LEVEL_WIDTH - len(word) + 1)
        if self._show_logger:
            shown_name = name_text(name)
            if self._name_width < len(shown_name) <= _WIDEST_NAME:
                self._name_width = len(shown_name)
                self._prefixes = {}
            text += paint(self._scheme.secondary, shown_name) + " " * (self._name_width - len(shown_name) + 2)
        if len(self._prefixes) > 1000:  # logger names made up on the fly must not fill the memory
            self._prefixes = {}
        self._prefixes[level, name, colored] = text
        return text

    def _fields_text(self, fields: Fields, paint: _Paint, message_width: int) -> str:
        """Return metrics, step, tags and the rest, with the space before them that puts them into their column."""
        step, epoch, metrics, tags, artifacts, extra, _, _ = fields
        groups = []
        if metrics and self._show_metrics:
            groups.append(paint.metrics(shown(metrics)))
        if step is not None or epoch is not None:
            place = zip(("step", "epoch"), (step, epoch), strict=True)
            text = " ".join([f"{name} {value_text(number)}" for name, number in place if number is not None])
            groups.append(f"{paint.secondary}[{text}]{paint.reset}")
        if tags:
            groups.append(paint.fields(shown(tags)))
        if extra:
            groups.append(paint.fields(shown(extra)))
        if artifacts:
            groups.append(paint.fields([("artifact", path) for path in artifacts]))
        text = "  ".join(groups)
        if not text or not message_width:
            return text
        if self._message_width < message_width <= _WIDEST_MESSAGE:
            self._message_width = message_width
        return " " * (self._message_width - message_width + 2 if message_width <= self._message_width else 2) + text


class _Paint:
    """Escape sequences of a scheme, ready to be put before and after; all empty where nothing is coloured."""

    def __init__(self, scheme: Any) -> None:
        self._on = scheme is not None
        self.reset = _RESET if self._on else ""
        self.secondary = self._start(scheme.secondary if scheme else "")
        self.alarm = self._start(scheme.alarm if scheme else "")
        self._metric = tuple(map(self._start, (scheme.metric_name, scheme.metric_value) if scheme else ("", "")))
        self._field = tuple(map(self._start, (scheme.field_name, scheme.field_value) if scheme else ("", "")))
        self._field_end = self.reset if self._field[1] else ""
        self._fields_begun: dict[object, str] = {}  # by name, the same few all the time

    def __call__(self, color: str, text: str) -> str:
        return f"\x1b[{color}m{text}{_RESET}" if self._on and color else text

    def metrics(self, items: Iterable[tuple[object, object]]) -> str:
        """Return `loss=0.234 accuracy=0.92`."""
        name_start, value_start = self._metric
        reset = self.reset
        return " ".join(
            [f"{name_start}{name_text(name)}={reset}{value_start}{number_text(value)}{reset}" for name, value in items]
        )

    def fields(self, items: Iterable[tuple[object, object]]) -> str:
        """Return `model=resnet path="a b"`."""
        known, end = self._fields_begun, self._field_end
        return " ".join([f"{known.get(name) or self._begun(name)}{value_text(value)}{end}" for name, value in items])

    def _begun(self, name: object) -> str:
        """Return what stands before the value of the field *name*, and remember it."""
        name_start, value_start = self._field
        begun = f"{name_start}{name_text(name)}={self.reset}{value_start}"
        if type(name) is str and len(self._fields_begun) < _MOST_NAMES:
            self._fields_begun[name] = begun
        return begun

    def _start(self, color: str) -> str:
        return f"\x1b[{color}m" if self._on and color else ""
