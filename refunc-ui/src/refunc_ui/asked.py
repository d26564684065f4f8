"""What a request asks for: its parameters, read and checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import click
from starlette.datastructures import QueryParams

from refunc.runs.errors import ExpressionError
from refunc.runs.expression.asked import Asked as Name
from refunc_commands.cli.columns import named_column
from refunc_ui.answers import AskedWronglyError

_Word = TypeVar("_Word", bound=str)


class Asked:
    """The parameters of one request."""

    def __init__(self, params: QueryParams) -> None:
        self._params = params

    def text(self, name: str) -> str | None:
        """Return a text; None if it is missing or empty."""
        return self._params.get(name) or None

    def texts(self, name: str, most: int) -> list[str]:
        """Return all texts under one name, each once. Raises AskedWronglyError for more than *most*."""
        found = list(dict.fromkeys(text for text in self._params.getlist(name) if text))
        if len(found) > most:
            raise AskedWronglyError(f"{name}: {len(found):,} are too many. Allowed: {most:,}.")
        return found

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        """Return a whole number. Raises AskedWronglyError if it is not one from *low* to *high*."""
        text = self.text(name)
        if text is None:
            return default
        if not text.isascii() or not text.isdecimal() or len(text) > 15 or not low <= int(text) <= high:
            raise AskedWronglyError(f"{name}: {text!r} is not allowed. Allowed: {low:,} to {high:,}.")
        return int(text)

    def number(self, name: str) -> float | None:
        """Return a number; None if it is missing. Raises AskedWronglyError for NaN, infinities and other texts."""
        text = self.text(name)
        if text is None:
            return None
        try:
            found = float(text)
        except ValueError:
            found = math.nan
        if not math.isfinite(found):
            raise AskedWronglyError(f"{name}: {text!r} is not a number.")
        return found

    def word(self, name: str, allowed: Sequence[str], default: str) -> Any:
        """Return one of the *allowed* words. Raises AskedWronglyError for another."""
        text = self.text(name) or default
        if text not in allowed:
            raise AskedWronglyError(f"{name}: {text!r} is not known. Allowed: {', '.join(allowed)}.")
        return text

    def is_on(self, name: str) -> bool:
        """Whether a switch is on."""
        return self.text(name) in ("1", "true", "yes")


def place_in(error: ExpressionError) -> tuple[int, int]:
    """Return where in its expression the error is: the begin and end of the word there."""
    text = error.text
    begin = min(error.column - 1, len(text))
    end = begin
    while end < len(text) and (text[end].isalnum() or text[end] in "_./"):
        end += 1
    return begin, max(end, min(begin + 1, len(text)))


def column_named(word: str) -> Name:
    """Return a name as one writes it for a column, such as `params.lr`. Raises AskedWronglyError."""
    try:
        return named_column(word)
    except (ExpressionError, click.ClickException) as error:
        problem = error.problem if isinstance(error, ExpressionError) else error.format_message()
        raise AskedWronglyError(f"{word!r}: {problem}") from error
