"""
The formatter for people at a terminal: one aligned line a record, quiet colours, whole tracebacks.

    14:45:39 INFO       training  loaded 60,000 images  path=data/train
    14:45:41 INFO       training  epoch done            loss=0.234 accuracy=0.92  [step 100 epoch 3]  model=resnet
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any

from refunc.logging.formatters.fields import Fields, fields_of
from refunc.logging.formatters.schemes import SCHEMES, Scheme, level_color
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
from refunc.values.levels import LEVEL_NAMES, level_name
from refunc.values.printable import printable, printable_line
from refunc.values.terminal import wants_color

_LEVEL_WIDTH = max(map(len, LEVEL_NAMES.values()))
#: Longer messages do not push the metrics of other lines to the right.
_WIDEST_MESSAGE = 40
#: Longer logger names are shown whole, but do not push the messages of other lines to the right.
_WIDEST_NAME = 24
#: How many fields' names are cached with their colours.
_MOST_NAMES = 1_000
_RESET = "\x1b[0m"


class ColoredFormatter(TotalFormatter):
    """Formats records for a terminal, in colour or not, with the same layout."""

    def __init__(
        self,
        show_time: bool = True,
        show_level: bool = True,
        show_logger: bool = True,
        show_metrics: bool = True,
        color_scheme: str | Mapping[Any, str | int] = "default",
        *,
        colored: bool | None = None,
    ) -> None:
        """
        Choose the contents of a line.

        Args:
            color_scheme: "default" (the terminal's own colours), "dark" or "light" (fixed colours for a background); or
                one of your own, a mapping of levels and parts to colours: `{"base": "dark", "ERROR": "bold red"}`.
            colored: Whether to colour. None leaves it to the `ConsoleHandler`, which knows the stream; on any other
                handler it goes by the environment and stderr (see `terminal.wants_color`).

        Raises:
            ValueError: An unknown colour scheme, or an unknown level, part or colour in it.
        """
        super().__init__()
        self.colored = colored
        self._show_time, self._show_level, self._show_logger = show_time, show_level, show_logger
        self._show_metrics = show_metrics
        self._scheme = _scheme(color_scheme)
        self._plain, self._bright = _Paint(None), _Paint(self._scheme)
        # Formatters run on any thread: each of these is read once and replaced whole, so the worst race is a
        # line whose name column is one record late.
        self._second: tuple[int, str, str] = (-1, "", "")
        self._prefixes: dict[tuple[int, str, bool], str] = {}
        self._name_width = 0
        self._message_width = 0
        self._stderr: tuple[object, bool] = (None, False)

    def line(self, record: logging.LogRecord) -> str:
        """Return the line, coloured according to `colored`, or, if that is None, as stderr supports."""
        colored = self.colored
        if colored is None:
            known, colored = self._stderr
            if known is not sys.stderr:
                colored = wants_color(sys.stderr)
                self._stderr = (sys.stderr, colored)
        return self._line(record, colored)

    def render(self, record: logging.LogRecord, *, colored: bool) -> str:
        """Return the line in colour or not, regardless of the environment; like `format`, it never raises."""
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
        fields = fields_of(record)
        if (fields.metrics or fields.members) and "=" in message:
            message = message_of(record)  # without the values that a handler may have put into it
        if not message.isprintable():
            message = printable(message.rstrip("\n"))
        if fields.metrics and self._show_metrics and message == ", ".join(map(str, fields.metrics)):
            message = ""  # `log_metrics` and `log_result` have only the names as text, which are shown with the values
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
            text += paint(level_color(self._scheme, level), word) + " " * (max(0, _LEVEL_WIDTH - len(word)) + 1)
        if self._show_logger:
            shown_name = name_text(name)
            if self._name_width < len(shown_name) <= _WIDEST_NAME:
                self._name_width = len(shown_name)
                self._prefixes = {}
            text += paint(self._scheme.secondary, shown_name) + " " * (max(0, self._name_width - len(shown_name)) + 2)
        if len(self._prefixes) > 1000:  # generated logger names must not fill memory
            self._prefixes = {}
        self._prefixes[level, name, colored] = text
        return text

    def _fields_text(self, fields: Fields, paint: _Paint, message_width: int) -> str:
        """Return metrics, step, tags and the rest, with the space before them that puts them into their column."""
        step, epoch, metrics, tags, artifacts, extra, _, _, members = fields
        groups = []
        if metrics and self._show_metrics:
            groups.append(paint.metrics(shown(metrics)))
        if "params" in members:
            groups.append(paint.metrics(shown(members["params"])))
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


def _scheme(given: str | Mapping[Any, str | int]) -> Scheme:
    if not isinstance(given, Mapping):
        check_choice("color_scheme", given, tuple(SCHEMES), "a colour scheme")
        return SCHEMES[given]
    # Imported here: only scripts that make a scheme pay for it.
    from refunc.logging.formatters.own_scheme import scheme_of

    return scheme_of(given)


class _Paint:
    """Escape sequences of a scheme, ready to be put before and after; all empty if nothing is coloured."""

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
        """Return the text before the value of the field *name*, and cache it."""
        name_start, value_start = self._field
        begun = f"{name_start}{name_text(name)}={self.reset}{value_start}"
        if type(name) is str and len(self._fields_begun) < _MOST_NAMES:
            self._fields_begun[name] = begun
        return begun

    def _start(self, color: str) -> str:
        return f"\x1b[{color}m" if self._on and color else ""
