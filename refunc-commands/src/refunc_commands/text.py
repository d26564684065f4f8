"""
Lines of text with styles, as the commands print them.

A style is words, such as `bold red`. rich has a class like this one, whose import takes as long as a short command
does; of it, only the widths of characters are used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, TypeAlias

from rich.cells import cell_len

#: The SGR parameters of the words.
_CODES: Final = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}
_RESET: Final = "\x1b[0m"
_SGR: Final = "\x1b\\[([0-9;]*)m"

#: A part of a text: plain, or with its style, or a text with its own.
Part: TypeAlias = "str | tuple[str, str] | Text"


class Text:
    """A text in pieces with styles, which grows at its end. `[bold]` in it is not markup."""

    __slots__ = ("_pieces", "style")

    def __init__(self, text: str = "", style: str = "") -> None:
        """
        Args:
            style: The style of *text*, and below that of each piece that is appended.
        """
        self.style = style
        #: Each piece with its SGR parameters.
        self._pieces: list[tuple[str, str]] = []
        self.append(text)

    @classmethod
    def assemble(cls, *parts: Part) -> Text:
        """Return the text of *parts*, one after the other."""
        text = cls()
        for part in parts:
            if isinstance(part, Text):
                text.append_text(part)
            elif isinstance(part, str):
                text.append(part)
            else:
                text.append(*part)
        return text

    @classmethod
    def from_ansi(cls, line: str) -> Text:
        """Return the text of a *line* that has its styles as SGR sequences, each of which is ended by a reset."""
        plain, *others = re.split(_SGR, line)
        text = cls(plain)
        for codes, piece in zip(others[::2], others[1::2], strict=True):
            text._add(piece, codes if codes != "0" else "")
        return text

    @property
    def plain(self) -> str:
        """The text without its styles."""
        return "".join(piece for piece, _ in self._pieces)

    @property
    def width(self) -> int:
        """The columns that it takes on a terminal."""
        return cell_len(self.plain)

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def append(self, text: str, style: str = "") -> Text:
        """Add a piece at the end, and return this text."""
        self._add(text, ";".join(_CODES[word] for word in f"{self.style} {style}".split()))
        return self

    def _add(self, text: str, codes: str) -> None:
        if self._pieces and self._pieces[-1][1] == codes:
            text = self._pieces.pop()[0] + text
        if text:
            self._pieces.append((text, codes))

    def append_text(self, other: Text) -> Text:
        """Add *other* at the end, with its styles, and return this text."""
        self._pieces += other._pieces
        return self

    def divided(self, places: Sequence[int]) -> Iterator[Text]:
        """Yield the parts between *places*, which grow."""
        bounds = [0, *places, len(self.plain)]
        for first, last in pairwise(bounds):
            part = Text()
            begin = 0
            for piece, codes in self._pieces:
                cut = piece[max(0, first - begin) : max(0, last - begin)]
                part._add(cut, codes)
                begin += len(piece)
            yield part

    def stripped(self) -> Text:
        """Return it without white space at the end."""
        return next(self.divided([len(self.plain.rstrip())]))

    def ansi(self) -> str:
        """Return it for a terminal that shows colours."""
        return "".join(f"\x1b[{codes}m{piece}{_RESET}" if codes else piece for piece, codes in self._pieces)
