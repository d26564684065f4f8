"""
What the commands print with: text that is safe to print, columns that fit the window, JSON.

Everything that a user may have written (names, tags, messages) passes through `shown` or `printable`, and is handed to
rich as `Text`, in which `[bold]` is five letters and not markup.
"""

from __future__ import annotations

import codecs
import io
import json
import math
import re
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from itertools import islice
from typing import Any, TextIO

import click
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from refunc.journal.values import spell_nonfinite
from refunc.logging.quantities import figure
from refunc.logging.terminal import is_terminal, printable_line, wants_color

#: Stands before what of a line goes on below it.
INDENT = " " * 8

#: Stands behind the best value.
BEST = "*"

#: The name of the rule by which letters are written that the encoding lacks.
_LACKING = "refunc-plain"
_PLAIN = {"…": "~", "≠": "#", "│": "|", "─": "-", "└": "+", "━": "=", "→": ">"}
_BRAILLE = frozenset(map(chr, range(0x2800, 0x2900)))

STATUS_STYLES = {
    "completed": "green",
    "running": "cyan",
    "failed": "red",
    "crashed": "bold red",
    "interrupted": "yellow",
    "unreadable": "red",
}


def shown(value: object) -> str:
    """Return *value* as text on one line with nothing in it that acts on a terminal."""
    return printable_line(str(value)).replace("\t", "\\t")


def write_what_it_can(stream: object) -> None:
    """Have *stream* write in other letters what its encoding lacks: a name must not end the command."""
    if isinstance(stream, io.TextIOWrapper):
        codecs.register_error(_LACKING, _in_other_letters)
        stream.reconfigure(errors=_LACKING)


def _in_other_letters(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return for what the commands draw with one plain letter each, so that columns stay; the rest is spelled out."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letter = error.object[error.start]
    if letter in _PLAIN:
        return _PLAIN[letter], error.start + 1
    if letter in _BRAILLE:
        return "*", error.start + 1
    return codecs.backslashreplace_errors(
        UnicodeEncodeError(error.encoding, error.object, error.start, error.start + 1, error.reason)
    )


def error_line(message: str) -> None:
    """Print one line on stderr."""
    click.echo(f"refunc: {shown(message)}", err=True)


def left_out(problems: Sequence[Exception]) -> None:
    """Print on stderr which runs were left out, and why, by the first of them."""
    if problems:
        more = f", and {len(problems) - 1} more like it" if len(problems) > 1 else ""
        error_line(f"left out: {str(problems[0]).removesuffix('.')}{more}")


def stdout_on_stderr() -> redirect_stdout[TextIO]:
    """Keep stdout for the command's own while this lasts: plugins and clients of trackers print what they like."""
    return redirect_stdout(sys.stderr)


def window_width() -> int | None:
    """Return the width of the window; None where stdout is no terminal and lines may be of any length."""
    return max(20, shutil.get_terminal_size().columns) if is_terminal(sys.stdout) else None


def print_lines(lines: Iterable[Text]) -> None:
    """Print *lines*, coloured where that is wanted; what a window is too narrow for goes on below, word by word."""
    # NO_COLOR, FORCE_COLOR and pipes by the same rule as the lines of a training.
    colored = wants_color(sys.stdout)
    console = (
        Console(color_system="standard", force_terminal=True, no_color=False, highlight=False) if colored else None
    )
    width = window_width()
    remaining = iter(lines) if width is None else (piece for line in lines for piece in _wrapped(line, width))
    # Written by click, which knows what to do about a closed pipe; a hundred at a time, for rich takes long to begin.
    while chunk := list(islice(remaining, 100)):
        for line in chunk:
            line.rstrip()
        if console is None:
            text = "\n".join(line.plain for line in chunk)
        else:
            with console.capture() as capture:
                console.print(Text("\n").join(chunk), soft_wrap=True, end="")
            text = capture.get()
        click.echo(text, color=True)


def _wrapped(text: Text, width: int) -> Iterator[Text]:
    """Yield *text* in lines of at most *width* columns; a longer word stays whole, so that a path can be copied."""
    if cell_len(text.plain) <= width:
        yield text
        return
    for line in text.split("\n", allow_blank=True):
        first, *others = line.divide(list(_breaks(line.plain, width)))
        yield first
        yield from (Text(INDENT).append_text(piece) for piece in others)


def _breaks(line: str, width: int) -> Iterator[int]:
    """Yield where the words begin that *line* has no more room for."""
    begin, room = 0, width
    for word in re.finditer(r"\S+", line):
        if line[begin : word.start()].strip() and cell_len(line[begin : word.end()]) > room:
            begin, room = word.start(), width - len(INDENT)
            yield begin


def print_json(value: object) -> None:
    """Print *value* as one document of strict JSON in ASCII; NaN and ±inf as words."""
    click.echo(json.dumps(spell_nonfinite(value), indent=2, allow_nan=False))


def fitted(text: str, width: int) -> str:
    """Return *text* at exactly *width* columns, cut with `…` or filled with spaces."""
    size = cell_len(text)
    if size > width:
        return set_cell_size(text, max(0, width - 1)) + "…" * (width > 0)
    return text + " " * (width - size)


def table(
    head: Sequence[Text], rows: Sequence[Sequence[Text]], width: int | None, dispensable: Sequence[int] = ()
) -> Iterator[Text]:
    """
    Yield a heading and *rows* as columns, two spaces in. The first stands at the left, the others at the right.

    In a window of *width* columns the first gives way, down to 12, before the *dispensable* ones go, one after the
    other, by their numbers.
    """
    widths = [max(cell_len(line[at].plain) for line in (head, *rows)) for at in range(len(head))]
    left = list(range(len(widths)))
    if width is not None:
        least = min(12, widths[0])
        for at in dispensable:
            if sum(widths[at] + 2 for at in left) - widths[0] + least <= width:
                break
            left.remove(at)
        widths[0] = max(least, min(widths[0], width - 2 - sum(widths[at] + 2 for at in left[1:])))
    for line in (head, *rows):
        text = Text.assemble("  ", (fitted(line[0].plain, widths[0]), line[0].style))
        for at in left[1:]:
            text.append(" " * (2 + widths[at] - cell_len(line[at].plain)))
            text.append_text(line[at])
        yield text


def number(value: object, digits: int = 6) -> str:
    """Return a metric's value with so many digits that matter; whole numbers in full, `-` for none."""
    if value is None:
        return "-"
    if isinstance(value, float) and math.isfinite(value):
        return figure(value, digits)
    return shown(spell_nonfinite(value))


def moment(seconds: float) -> str:
    """Return a time as `2026-11-23 14:45:39`, local time."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    except (OverflowError, OSError, ValueError):
        return "?"


def ago(seconds: float, now: float) -> str:
    """Return a time as `just now`, `5m ago`, `2d ago`; the date where that is more than a week, or in the future."""
    age = now - seconds
    if not -60 < age < 7 * 86_400:
        return moment(seconds)[:10]
    if age < 60:
        return "just now"
    if age < 3_600:
        return f"{age // 60:.0f}m ago"
    return f"{age // 3_600:.0f}h ago" if age < 86_400 else f"{age // 86_400:.0f}d ago"


def plain(value: Any) -> str:
    """Return a param's value as a person writes it: text bare, the rest as JSON, NaN as a word."""
    spelled = spell_nonfinite(value)
    return shown(spelled if isinstance(spelled, str) else json.dumps(spelled, ensure_ascii=False, allow_nan=False))
