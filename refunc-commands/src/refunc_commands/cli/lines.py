"""
Log entries as lines for people, as the training's own console showed them: the same columns, the same colours.

On a terminal, a line that is wider than the window is wrapped and indented, so that no long message can be taken for
several lines.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator

import click
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from refunc.logging.formatters import ColoredFormatter
from refunc.logging.formatters.fields import Fields, carry
from refunc.runs.entry import LogEntry
from refunc.values.levels import LEVEL_NAMES, written_level
from refunc.values.moments import moment_text
from refunc.values.printable import CONTINUATION
from refunc.values.terminal import wants_color
from refunc_commands.cli.screen import window_width


class LinePrinter:
    """Prints entries on stdout."""

    def __init__(self, since: float) -> None:
        """
        Args:
            since: The time of the oldest entry; unless that is today, lines include the date.
        """
        self._formatter = ColoredFormatter(show_time=False)
        self._colored = wants_color(sys.stdout)
        self._width = window_width()
        self._has_date = self._width is None or moment_text(since)[:10] != moment_text(time.time())[:10]
        self._console = Console(
            width=self._width, color_system="standard", force_terminal=True, no_color=False, highlight=False
        )
        self._unknown: dict[str, int] = {}

    def print(self, entry: LogEntry) -> None:
        """Print *entry*; any text in it may be hostile."""
        record = self._record(entry)
        text = self._clock(entry.timestamp) + self._formatter.render(record, colored=self._colored)
        if self._width is not None:
            self._width = window_width()  # it may have been resized since
            text = "\n".join(piece for line in text.split("\n") for piece in self._fitted(line))
        click.echo(text, color=True)

    def _clock(self, seconds: float) -> str:
        text = moment_text(seconds)[0 if self._has_date else 11 :]
        return f"\x1b[2m{text}\x1b[0m " if self._colored else f"{text} "

    def _record(self, entry: LogEntry) -> logging.LogRecord:
        extra = dict(entry.extra)
        exception, stack = extra.pop("exception", None), extra.pop("stack", None)
        fields = Fields(
            step=entry.step,
            epoch=entry.epoch,
            metrics=entry.metrics,
            tags=entry.tags,
            artifacts=tuple(entry.artifacts),
            extra=extra,
        )
        record = logging.makeLogRecord(
            {
                "name": entry.logger_name,
                "levelno": self._level(entry.level),
                "msg": _message(entry),
                "exc_text": str(exception) if exception else None,
                "stack_info": str(stack) if stack else None,
            }
        )
        carry(record, fields)
        return record

    def _level(self, name: str) -> int:
        """Return a level number for which the formatter shows *name*, even a name that only the training knew."""
        number = written_level(name)
        if number in LEVEL_NAMES or number > 0:
            return number
        if name not in self._unknown:
            self._unknown[name] = -1 - len(self._unknown)
            logging.addLevelName(self._unknown[name], name)
        return self._unknown[name]

    def _fitted(self, line: str) -> Iterator[str]:
        """Yield *line* in pieces as wide as the window, the second and later ones indented."""
        width = self._width or 0
        text = Text.from_ansi(line)
        if cell_len(text.plain) <= width:
            yield line
            return
        first, *others = text.divide(list(_breaks(text.plain, width)))
        yield self._ansi(first)
        for piece in others:
            yield CONTINUATION + self._ansi(piece)

    def _ansi(self, text: Text) -> str:
        text.rstrip()
        if not self._colored:
            return text.plain
        with self._console.capture() as capture:
            self._console.print(text, end="", soft_wrap=True)
        return capture.get()


def _message(entry: LogEntry) -> str:
    """Return the message, marked if it is of another rank than 0; for metrics, names and values are enough."""
    said = "" if entry.level == "METRIC" and entry.message == "metrics" else entry.message
    return f"[rank {entry.rank}] {said}".rstrip(" ") if entry.rank else said


def _breaks(text: str, width: int) -> Iterator[int]:
    """Yield the places at which to break *text*: after a space, if the second half of the piece has one."""
    start, room = 0, width
    while True:
        end = start + _fitting(text[start : start + room], room)
        if end >= len(text):
            return
        space = text.rfind(" ", start + (end - start) // 2, end)
        start = space + 1 if space >= 0 else end
        yield start
        room = width - len(CONTINUATION)


def _fitting(text: str, width: int) -> int:
    """Return how many characters of *text* fit *width* columns; at least one."""
    while cell_len(text) > width and len(text) > 1:
        text = text[: -max(1, (cell_len(text) - width) // 2)]
    return len(text)
