"""Exceptions and stacks on a line: what a call said of them, and their text."""

from __future__ import annotations

import logging
import sys
from typing import Any

from refunc.journal.values import excerpt, text_of


def exc_info_of(exc_info: object) -> Any:
    """Return what stdlib calls `exc_info`; None where there is no exception to tell of."""
    # The types are asked and not the values, whose `__class__` may raise.
    if issubclass(type(exc_info), BaseException):
        return (type(exc_info), exc_info, exc_info.__traceback__)  # type: ignore[attr-defined]  # as just checked
    triple = exc_info if type(exc_info) is tuple else sys.exc_info() if is_wanted(exc_info) else ()
    return triple if len(triple) == 3 and issubclass(type(triple[1]), BaseException) else None


def is_wanted(option: object) -> bool:
    """Whether *option* is true; what cannot say so (an array) was given, and so it is."""
    try:
        return bool(option)
    except Exception:  # a user's __bool__ may raise what it likes
        return True


def trace_text(error: Any) -> str:
    """Return the traceback of what `exc_info_of` gave; where it cannot be formatted, what the exception says."""
    try:
        return excerpt(logging.Formatter().formatException(error))
    except Exception:  # a triple made by hand, or an exception with code of its own
        return text_of(error[1])


def stack_text(frame: Any) -> str:
    """Return the stack down to *frame* as stdlib logging shows it."""
    import traceback

    return "Stack (most recent call last):\n" + "".join(traceback.format_stack(frame)).rstrip("\n")
