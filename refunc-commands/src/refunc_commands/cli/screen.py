"""
Printing for the commands: text that is safe to print, columns that fit the window, JSON.

All text that a user may have written (names, tags, messages) passes through `shown` or `printable`, and is handed to
rich as `Text`, in which `[bold]` is not markup.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import click
from rich.cells import cell_len, set_cell_size
from rich.text import Text

from refunc.values.jsonable import spell_nonfinite
from refunc.values.moments import moment_text
from refunc.values.quantities import figure
from refunc.values.spelled import spelled
from refunc.values.terminal import is_terminal, wants_color
from refunc_commands.cli.streams import shown

#: The indent of a wrapped line.
INDENT = " " * 8

#: Follows the best value.
BEST = "*"
#: The same if the goal is guessed from the metric's name; and the meanings of both.
GUESSED_BEST = "~"
BEST_NOTES = {BEST: "the best", GUESSED_BEST: "the best, guessed from the metric's name"}

STATUS_STYLES = {
    "completed": "green",
    "running": "cyan",
    "failed": "red",
    "crashed": "bold red",
    "interrupted": "yellow",
    "preempted": "yellow",
    "pruned": "blue",
    "exited": "yellow",
    "unreadable": "red",
}


def window_width() -> int | None:
    """Return the width of the window; None if stdout is not a terminal and lines may have any length."""
    if not is_terminal(sys.stdout):
        return None
    from shutil import get_terminal_size

    return max(20, get_terminal_size().columns)


def print_lines(lines: Iterable[Text]) -> None:
    """Print *lines*, coloured if enabled, and wrapped at words to the width of the window."""
    # The same rule for NO_COLOR, FORCE_COLOR and pipes as for the lines of a training.
    console = None
    if wants_color(sys.stdout):
        from rich.console import Console  # it takes longer to load than a list takes to print

        console = Console(color_system="standard", force_terminal=True, no_color=False, highlight=False)
    width = window_width()
    remaining = iter(lines) if width is None else (piece for line in lines for piece in _wrapped(line, width))
    # Written by click, which handles a closed pipe; a hundred lines at a time, because each rich call starts slowly.
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
    """Yield *text* in lines of at most *width* columns; a longer word is not broken, so that a path can be copied."""
    if cell_len(text.plain) <= width:
        yield text
        return
    for line in text.split("\n", allow_blank=True):
        first, *others = line.divide(list(_breaks(line.plain, width)))
        yield first
        yield from (Text(INDENT).append_text(piece) for piece in others)


def _breaks(line: str, width: int) -> Iterator[int]:
    """Yield the starts of the words that no longer fit on *line*."""
    begin, room = 0, width
    for word in re.finditer(r"\S+", line):
        if line[begin : word.start()].strip() and cell_len(line[begin : word.end()]) > room:
            begin, room = word.start(), width - len(INDENT)
            yield begin


#: Pieces of a JSON document that are written at once.
_PIECES = 10_000


def print_json(value: object) -> None:
    """Print *value* as one document of strict JSON in ASCII; NaN and ±inf as words."""
    encoder = json.JSONEncoder(indent=2, allow_nan=False)
    waiting: list[str] = []
    for piece in encoder.iterencode(spell_nonfinite(value)):  # in one piece, it would be in memory several times
        waiting.append(piece)
        if len(waiting) >= _PIECES:
            click.echo("".join(waiting), nl=False)
            waiting.clear()
    click.echo("".join(waiting))


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
    Yield a heading and *rows* as columns, indented by two spaces. The first is aligned left, the others right.

    In a window of *width* columns, the first column shrinks, down to 12; then the *dispensable* ones are left out, one
    after the other, by their numbers.
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
    """Return a metric's value with *digits* significant digits; whole numbers in full, `-` for None."""
    if value is None:
        return "-"
    if isinstance(value, float) and math.isfinite(value):
        return figure(value, digits)
    return shown(spell_nonfinite(value))


def of_rank(rank: int | str) -> str:
    """Return whose values are shown: `rank 3`, `mean of all ranks`."""
    if isinstance(rank, int):
        return f"rank {rank}"
    return "all ranks" if rank == "all" else f"{rank} of all ranks"


def ranges(numbers: Iterable[int]) -> str:
    """Return numbers that grow as `0-7, 9`."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def ago(seconds: float, now: float) -> str:
    """Return a time as `just now`, `5m ago`, `2d ago`; the date if that is more than a week ago, or in the future."""
    age = now - seconds
    if not -60 < age < 7 * 86_400:
        return moment_text(seconds)[:10]
    if age < 60:
        return "just now"
    if age < 3_600:
        return f"{age // 60:.0f}m ago"
    return f"{age // 3_600:.0f}h ago" if age < 86_400 else f"{age // 86_400:.0f}d ago"


def plain(value: Any) -> str:
    """Return a param's value as a person writes it, on one line; see `spelled`."""
    return shown(spelled(value))
