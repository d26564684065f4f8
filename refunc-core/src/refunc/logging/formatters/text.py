"""
How the parts of a record become text, and the base of the formatters, which never raises.

For any record (with arguments that do not fit, objects whose `__str__` raises, control characters), the result is a
string that is safe on a terminal.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from reprlib import Repr
from typing import Any

from refunc.logging.formatters.fields import bare_message
from refunc.logging.formatters.tracebacks import trace_text
from refunc.values.jsonable import number
from refunc.values.levels import level_name
from refunc.values.printable import CONTINUATION, printable, printable_line
from refunc.values.quantities import figure

#: How much of a value, and how many values, one line shows. The journal and the JSON formatter keep them whole.
LONGEST_VALUE = 120
MOST_FIELDS = 32

_repr = Repr()
_repr.maxstring = _repr.maxother = LONGEST_VALUE
_repr.maxdict = _repr.maxlist = _repr.maxtuple = _repr.maxset = 8
_repr.maxlevel = 3

# Of text values: they stand as they are unless one of these would blur where they begin or end.
_BLURRING = frozenset(" \t\n=\"'[]")


class TotalFormatter(logging.Formatter):
    """A formatter whose `format` returns a line for every record, however broken."""

    def __init__(self) -> None:
        super().__init__()

    def formatException(self, ei: Any) -> str:  # noqa: N802  # stdlib's name
        """Return the traceback; of a very long one the beginning and the end, and never an exception."""
        return trace_text(ei)

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line or lines, without a newline at the end."""
        try:
            return self.line(record)
        except Exception as error:  # from the caller's objects: a log call must not fail because of its values
            return self.broken_line(record, error)

    def line(self, record: logging.LogRecord) -> str:
        """Return the text for `format`, which catches any exception."""
        raise TypeError(f"{type(self).__name__} does not say how a line looks.")

    def broken_line(self, record: logging.LogRecord, error: Exception) -> str:
        """Return the line for a record that `line` failed on."""
        level, name = safe_text(level_name, record.levelno), safe_text(str, record.name)
        return printable(f"{level} {name}  {message_of(record)}  (not formatted: {type(error).__name__})")


def safe_text(convert: Any, value: object) -> str:
    """Return `convert(value)` as a plain string, or the type's name in angle brackets where that raises."""
    try:
        return str.__str__(convert(value))
    except Exception:  # a user's __str__ or __repr__
        return f"<{type(value).__name__}>"


def message_of(record: logging.LogRecord) -> str:
    """Return the record's message; one whose `%`-arguments do not fit is shown next to them."""
    try:
        return bare_message(record)
    except Exception:  # `%` and the arguments disagree, or an argument's __str__ raises
        return f"{safe_text(str, record.msg)}  (arguments: {safe_text(_repr.repr, record.args)})"


def traceback_of(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    """Return the record's traceback and stack, whole, or the empty string."""
    parts = []
    # A traceback formatted by another handler, or in another process, comes as `exc_text` alone.
    text = record.exc_text
    if not text and isinstance(record.exc_info, tuple) and record.exc_info[0] is not None:
        text = safe_text(formatter.formatException, record.exc_info)
        record.exc_text = text
    if text:
        parts.append(safe_text(str, text))
    if record.stack_info:
        parts.append(safe_text(formatter.formatStack, record.stack_info))
    return "\n".join(parts)


def traceback_block(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    """Return the traceback indented, with the newline before it, ready to follow the line; empty if there is none."""
    if not (record.exc_info or record.exc_text or record.stack_info):
        return ""
    text = traceback_of(formatter, record)
    return f"\n{CONTINUATION}{printable(text)}" if text else ""


#: Whole numbers below this are shown without checking their length.
_LONG_INT = 10**15


def number_text(value: object) -> str:
    """Return a metric's value for reading: four digits that matter, `12,345`, `1.2e-05`; other values as text."""
    kind = type(value)
    # Values other than floats are checked: numpy's and torch's scalars are numbers too.
    plain: float | None = value if kind is float else None if kind is bool else number(value)  # type: ignore[assignment]  # by identity
    if plain is None or (isinstance(plain, int) and abs(plain) >= 10**15):
        return value_text(value)
    return figure(plain, grouped=True)


def value_text(value: object) -> str:
    """Return the value of a field, short and on one line; text is quoted if its ends would not be clear."""
    kind = type(value)
    if kind is float:
        return f"{value:.6g}"
    if kind is int and -_LONG_INT < value < _LONG_INT:  # type: ignore[operator]  # by identity
        return str(value)
    if kind is str:
        if len(value) <= LONGEST_VALUE and value.isalnum():  # type: ignore[arg-type, attr-defined]  # by identity
            return value  # type: ignore[return-value]  # by identity
        text = _cut(value)  # type: ignore[arg-type]  # checked by identity: isinstance would admit subclasses
        if not text or not _BLURRING.isdisjoint(text):
            # Not json.dumps or repr: a path with backslashes should look as it does elsewhere.
            text = '"' + text.replace('"', '\\"') + '"'
        return printable_line(text)
    if isinstance(value, int) and value.bit_length() > 1000:
        return f"<int of {value.bit_length()} bits>"
    # Only the part of a container that is shown: `str` of a list of a million takes a second.
    container = isinstance(value, (dict, list, tuple, set, frozenset, deque))
    return printable_line(_cut(safe_text(_repr.repr if container else str, value)))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."


def name_text(name: object) -> str:
    """Return a field's name on one line."""
    if type(name) is str and name.isidentifier():
        return name
    return printable_line(name if type(name) is str else safe_text(str, name))


def shown(fields: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the fields that a line shows; those beyond the bound are only counted."""
    items = list(fields.items())
    if len(items) <= MOST_FIELDS:
        return items
    return [*items[:MOST_FIELDS], ("more", len(items) - MOST_FIELDS)]


def check_choice(option: str, value: object, allowed: tuple[object, ...], what: str) -> None:
    """
    Check an option of a formatter.

    Raises:
        ValueError: *value* is not one of *allowed*; the text names the option, the value and the allowed values.
    """
    if not any(type(value) is type(one) and value == one for one in allowed):
        names = ", ".join(str(one) for one in allowed)
        raise ValueError(f"{option}: {safe_text(_repr.repr, value)} is not {what}. Allowed: {names}.")


def check_range(option: str, value: object, low: int, high: int, what: str) -> None:
    """
    Check a whole number among the options of a formatter.

    Raises:
        ValueError: *value* is not an int, or outside *low* to *high*.
    """
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{option}: {safe_text(_repr.repr, value)} is not {what}. Allowed: {low} to {high}.")
