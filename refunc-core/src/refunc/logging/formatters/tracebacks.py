"""Exceptions and stacks on a line: the arguments of a call, and their text."""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Any

from refunc.values.texts import MAX_TEXT, excerpt, text_of


def exc_info_of(exc_info: object) -> Any:
    """Return stdlib's `exc_info`; None if there is no exception."""
    # The types are checked and not the values, whose `__class__` may raise.
    if issubclass(type(exc_info), BaseException):
        return (type(exc_info), exc_info, exc_info.__traceback__)  # type: ignore[attr-defined]  # as just checked
    triple = exc_info if type(exc_info) is tuple else sys.exc_info() if is_true(exc_info) else ()
    return triple if len(triple) == 3 and issubclass(type(triple[1]), BaseException) else None


def is_true(option: object) -> bool:
    """Whether *option* is true; a value without a truth value (an array) was given, and counts as true."""
    try:
        return bool(option)
    except Exception:  # a user's __bool__ may raise anything
        return True


def trace_text(error: Any) -> str:
    """Return the traceback of a result of `exc_info_of`; if it cannot be formatted, the exception's message."""
    try:
        return excerpt(_short(error) or logging.Formatter().formatException(error))
    except Exception:  # a triple made by hand, or an exception with code of its own
        return text_of(error[1])


def _short(error: Any) -> str | None:
    """
    Return the traceback with the exceptions' messages cut, if one is longer than is kept; otherwise None.

    Python splits messages into lines and indents them: for a megabyte, that takes as long as the rest of a line.
    """
    says_much, seen, one = False, set(), error[1]
    while one is not None and id(one) not in seen and not says_much:
        seen.add(id(one))
        says_much = any(type(said) is str and len(said) > MAX_TEXT for said in one.args)
        one = one.__cause__ or one.__context__
    if not says_much:
        return None
    told = traceback.TracebackException(*error)
    parts: list[Any] = []
    part: Any = told
    while part is not None:
        parts.append(part)
        part = part.__cause__ or part.__context__
    for part in parts:  # cut so that the frames between them are kept
        part._str = excerpt(part._str, MAX_TEXT // (len(parts) + 1))  # where all versions of Python keep `str()`
    return "".join(told.format()).rstrip("\n")


def stack_text(frame: Any) -> str:
    """Return the stack down to *frame* as stdlib logging shows it; of a very long one the beginning and the end."""
    return excerpt("Stack (most recent call last):\n" + "".join(traceback.format_stack(frame)).rstrip("\n"))
