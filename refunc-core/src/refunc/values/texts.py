"""
Any Python value as a short text: total (it never raises), and bounded.

Called on the training thread with any value that a user passed; see `jsonable`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from refunc.values.scalars import is_of, scalar

MAX_TEXT = 65_536
MAX_REPR = 300
MAX_KEY = 1_000
#: An object's address in memory: it differs in each process, so no two runs would have the same text.
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def text(value: str, limit: int = MAX_TEXT) -> str:
    """Return *value* as a plain str of at most *limit* characters, with a mark if it was cut."""
    if len(value) <= limit:
        return str.__str__(value)
    return f"{value[:limit]}… [cut: {len(value)} characters]"


def text_of(value: object, limit: int = MAX_TEXT) -> str:
    """
    Return any object as a plain str of at most *limit* characters: `str()` of it, or a short `repr` if that raises.

    Every argument that is used as text (a name, a type, a tag) passes through here.
    """
    try:
        return text(str.__str__(value if isinstance(value, str) else str(value)), limit)
    except Exception:  # a user's object may raise anything
        return text(short_repr(value), limit)


def key_text(key: object) -> str:
    """Return a mapping's key as text: a number or an enum gives the text of its value."""
    if type(key) is str and len(key) <= MAX_KEY:
        return key
    if issubclass(type(key), str):
        return text_of(key, MAX_KEY)
    try:
        named: Any = key.value if is_of(key, "enum", "Enum") else key  # type: ignore[attr-defined]  # of any enum
        plain = named if isinstance(named, (type, str, int, float)) else scalar(named)
        return text_of(plain, MAX_KEY) if isinstance(plain, (str, int, float)) else short_text(named)
    except Exception:  # a user's object may raise anything
        return short_text(key)


def short_text(value: object) -> str:
    """
    Return a name for *value*, in at most 300 characters.

    That is the name of a class, a function or a module, `partial(relu)`, the `str` of a class that has its own,
    otherwise the `repr`. It does not contain addresses.
    """
    try:
        if isinstance(value, (type, FunctionType, BuiltinFunctionType, ModuleType)) and type(value.__name__) is str:
            return text(value.__name__, MAX_REPR)
        if isinstance(value, MethodType):
            return text(f"{type(value.__self__).__name__}.{value.__func__.__name__}", MAX_REPR)
        if isinstance(value, partial):
            named = [f"{name}={_argument(given)}" for name, given in value.keywords.items()]
            said = ", ".join([short_text(value.func), *map(_argument, value.args), *named])
            return text(f"partial({said})", MAX_REPR)
        kind = type(value)
        if kind.__str__ is not object.__str__ and not isinstance(value, (BaseException, str, int, float)):
            return short_repr(value, str)
    except Exception:  # a user's object may raise anything
        pass
    return short_repr(value)


def _argument(value: object) -> str:
    return short_repr(value) if isinstance(value, (str, int, float)) else short_text(value)


def short_repr(value: object, represent: Callable[[Any], str] = repr) -> str:
    """Return `repr(value)` without addresses, at most 300 characters of it; the type's name if that raises."""
    try:
        if isinstance(value, int) and value.bit_length() > 4_096:
            return f"{value >> (value.bit_length() - 64):#x}… [cut: {value.bit_length()} bits]"
        said = represent(value)
        if " at 0x" in said[:MAX_TEXT]:
            said = _ADDRESS.sub("", said[:MAX_TEXT]) + said[MAX_TEXT:]
        return text(said, MAX_REPR)
    except Exception:  # a user's object may raise anything
        return f"<{type(value).__name__} without a repr>"


def excerpt(long_text: str, limit: int = MAX_TEXT) -> str:
    """Return at most about *limit* characters of *long_text*, the middle cut out: a traceback's end says most."""
    if len(long_text) <= limit:
        return long_text
    half = limit // 2
    return f"{long_text[:half]}\n… [cut: {len(long_text)} characters] …\n{long_text[-half:]}"
