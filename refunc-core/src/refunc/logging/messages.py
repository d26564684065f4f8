"""The text of a line: its message with the `%`-arguments in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refunc.values.texts import short_repr, text_of


def merged_text(msg: object, args: tuple[object, ...]) -> str:
    """Return *msg* with its `%`-arguments; if they do not fit, both side by side, so that no line is lost."""
    try:
        message = str.__str__(msg if isinstance(msg, str) else str(msg))
        return _formatted(message, args) if args else message
    except Exception:  # a user's __str__ may raise anything
        return f"{short_repr(msg)} ({', '.join(map(short_repr, args))})" if args else text_of(msg)


def merged_apart(msg: object, args: tuple[object, ...]) -> tuple[str, Any]:
    """
    Return the text of a line whose last argument is a mapping, and that mapping if the text does not use it.

    `"loss %(a)s", {"a": 1}` uses it, as in stdlib logging; `"loss", {"a": 1}` and `"epoch %d", 3, {"a": 1}` do not.
    """
    *others, fields = args
    try:
        message = str.__str__(msg if isinstance(msg, str) else str(msg))
        if not others and "%" not in message.replace("%%", ""):
            return (_formatted(message, args) if "%" in message and fields else message), fields
        try:
            return _formatted(message, args), None
        except Exception:  # they do not fit, or one raises
            return (_formatted(message, tuple(others)) if others else message), fields
    except Exception:  # the others do not fit either
        return merged_text(msg, args), None


def _formatted(message: str, args: tuple[object, ...]) -> str:
    only = args[0] if len(args) == 1 and isinstance(args[0], Mapping) and args[0] else args
    return message % only
