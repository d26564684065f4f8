"""
Any Python value as one that JSON can say: total (it never raises), bounded, and taken at once.

Called on the training thread with whatever a user passed, so it must survive cycles, hostile `__repr__` and values of
a million elements. Non-finite floats stay floats here; `codec` writes them as `null` and says beside it what they were.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterable, Mapping
from typing import Any, SupportsFloat

MAX_DEPTH = 8
MAX_ITEMS = 10_000
MAX_TEXT = 65_536
#: Characters of text that count as one more item, so that a value with all its texts stays around a megabyte.
TEXT_PER_ITEM = 100
MAX_REPR = 300
MAX_KEY = 1_000
MAX_BYTES = 1_024
MAX_ARRAY = 1_000

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

#: Types whose values are copied by keeping a reference.
_UNCHANGING = frozenset({str, int, float, bool, type(None)})

#: An attribute that turns an object of a well-known library into plain data, without importing that library.
_PLAIN_DATA = ("model_dump", "_asdict", "isoformat", "__fspath__")


def jsonable(value: object) -> Any:
    """
    Return a copy of *value* made of dict, list, str, int, float, bool and None only.

    Tuples and sets become lists; dataclasses, attrs classes, named tuples, pydantic models and namespaces become
    dicts; numpy and torch scalars become numbers, small arrays lists; paths, dates and enums what they stand for; and
    anything else a short `repr`. At most 10,000 items and 8 levels are kept, and 65,536 characters a string; what is
    cut says so in its place.
    """
    if type(value) is str:  # and no isinstance: that asks `__class__`, which may raise
        return text(value)
    if value is None or type(value) in (float, bool):
        return value
    return _convert(value, MAX_DEPTH, [MAX_ITEMS])


def jsonable_mapping(values: object) -> dict[str, Any]:
    """Return *values* as a dict with string keys: a mapping, or an object that has fields. Anything else: `value`."""
    plain = jsonable(values)
    return plain if isinstance(plain, dict) else {"value": plain}


def is_unchanging(values: object) -> bool:
    """Whether *values* is a dict without anything in it that could change: a copy of it is a snapshot."""
    if type(values) is not dict or len(values) > MAX_ARRAY:
        return False
    for value in values.values():  # noqa: SIM110  # on the path of every line; a generator costs twice as much
        if type(value) not in _UNCHANGING:
            return False
    return True


def text(value: str, limit: int = MAX_TEXT) -> str:
    """Return *value* as a plain str of at most *limit* characters, saying so where it was cut."""
    if len(value) <= limit:
        return str.__str__(value)
    return f"{value[:limit]}… [cut: {len(value)} characters]"


def text_of(value: object, limit: int = MAX_TEXT) -> str:
    """
    Return any object as a plain str of at most *limit* characters: `str()` of it, or a short `repr` where that raises.

    What a call takes as text (a name, a type, a tag) passes through here, whatever it is.
    """
    try:
        return text(str.__str__(value if isinstance(value, str) else str(value)), limit)
    except Exception:  # see `number`
        return text(short_repr(value), limit)


def is_mapping(value: object) -> bool:
    """Whether *value* is a mapping; one that raises when it is asked is none."""
    try:
        return isinstance(value, Mapping)
    except Exception:  # see `number`
        return False


def nonfinite_name(value: float) -> str:
    """Return the word for NaN or ±inf, which JSON has no number for."""
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def spell_nonfinite(value: Any) -> Any:
    """Return *value*, made of what `jsonable` gives, with NaN and ±inf as words, which strict JSON can say."""
    if isinstance(value, dict):
        return {key: spell_nonfinite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [spell_nonfinite(item) for item in value]
    return nonfinite_name(value) if isinstance(value, float) and value - value != 0 else value


def number(value: object) -> int | float | None:
    """
    Return *value* as an int in 64 bits or a float, or None where it is no number.

    Takes bool, numpy and torch scalars, Decimal and Fraction, and arrays of one element. `.item()` of a tensor on a
    device waits for the device.
    """
    try:
        if isinstance(value, int):
            plain = int(value)
            return plain if INT64_MIN <= plain <= INT64_MAX else float(plain)
        if isinstance(value, float):
            return float(value)
        if isinstance(value, (str, bytes, bytearray)) or value is None:
            return None
        item = getattr(value, "item", None)
        if callable(item):
            scalar = item()
            return number(scalar) if type(scalar) in (int, float, bool) else None
        if isinstance(value, SupportsFloat):
            return float(value)
    except Exception:  # a user's object may raise what it likes, and a logging call must not
        return None
    return None


def _convert(value: Any, depth: int, budget: list[int]) -> Any:
    budget[0] -= 1
    kind = type(value)
    if kind is float or kind is bool or value is None:
        return value
    try:
        if isinstance(value, int):
            plain = int(value)
            # Many readers know 64 bits only, and text keeps every digit where a float would not.
            return plain if INT64_MIN <= plain <= INT64_MAX else short_repr(plain)
        if isinstance(value, float):
            return float(value)
        if isinstance(value, str):
            plain_text = str.__str__(value)
            budget[0] -= len(plain_text) // TEXT_PER_ITEM
            return text(plain_text, MAX_TEXT if budget[0] > 0 else MAX_REPR)
        if depth <= 0 or budget[0] <= 0:
            return short_repr(value)
        if isinstance(value, Mapping):
            return _convert_items(value.items(), depth, budget)
        if isinstance(value, (list, tuple)) and not hasattr(value, "_asdict"):
            return _convert_list(value, depth, budget)
        return _convert_object(value, depth, budget)
    except Exception:  # see `number`
        return short_repr(value)


def _convert_list(values: Iterable[Any], depth: int, budget: list[int]) -> list[Any]:
    out: list[Any] = []
    for value in values:
        if budget[0] <= 0:
            out.append("… [cut]")
            break
        out.append(_convert(value, depth - 1, budget))
    return out


def _convert_items(items: Iterable[tuple[Any, Any]], depth: int, budget: list[int]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in items:
        if budget[0] <= 0:
            out["…"] = "[cut]"
            break
        name = key_text(key)
        while name in out:  # {1: …, "1": …}: both are kept
            name = f"{name} ({type(key).__name__})"
        out[name] = _convert(value, depth - 1, budget)
    return out


def key_text(key: object) -> str:
    """Return a mapping's key as text."""
    if type(key) is str and len(key) <= MAX_KEY:
        return key
    return text_of(key, MAX_KEY) if issubclass(type(key), str) else short_repr(key)


def _convert_object(value: Any, depth: int, budget: list[int]) -> Any:
    if isinstance(value, (bytes, bytearray, memoryview)):
        raw = bytes(value)
        return binascii.b2a_base64(raw, newline=False).decode() if len(raw) <= MAX_BYTES else f"<{len(raw)} bytes>"
    if isinstance(value, (set, frozenset)):
        return _convert_list(sorted(value, key=short_repr), depth, budget)
    if hasattr(value, "_name_") and hasattr(value, "value"):  # an enum's member
        return _convert(value.value, depth - 1, budget)
    if callable(getattr(value, "tolist", None)):
        return _convert_array(value, depth, budget)
    for name in _PLAIN_DATA:
        method = getattr(value, name, None)
        if callable(method) and not isinstance(value, type):
            return _convert(method(), depth - 1, budget)
    fields = _field_names(value)
    if fields is not None and not isinstance(value, type):
        return _convert_items(((name, getattr(value, name)) for name in fields), depth, budget)
    return short_repr(value)


def _convert_array(value: Any, depth: int, budget: list[int]) -> Any:
    size = getattr(value, "size", None)
    if callable(size):  # torch: size() is the shape, numel() the count
        size = value.numel()
    if isinstance(size, int) and size > MAX_ARRAY:
        shape = "×".join(str(n) for n in getattr(value, "shape", ()))
        return f"<{type(value).__name__} {shape} {getattr(value, 'dtype', '')}>"
    return _convert(value.tolist(), depth, budget)


def _field_names(value: object) -> Iterable[str] | None:
    """Return the names of the fields of a dataclass, an attrs class or a plain namespace, else None."""
    declared: Mapping[str, object] | None = getattr(type(value), "__dataclass_fields__", None)
    if declared is not None:
        return list(declared)
    attributes: Iterable[Any] | None = getattr(type(value), "__attrs_attrs__", None)
    if attributes is not None:
        return [attribute.name for attribute in attributes]
    if type(value).__name__ in ("Namespace", "SimpleNamespace"):
        return list(vars(value))
    return None


def short_repr(value: object, represent: Callable[[Any], str] = repr) -> str:
    """Return `repr(value)`, at most 300 characters of it; the type's name where `__repr__` raises."""
    try:
        if isinstance(value, int) and value.bit_length() > 4_096:
            return f"{value >> (value.bit_length() - 64):#x}… [cut: {value.bit_length()} bits]"
        return text(represent(value), MAX_REPR)
    except Exception:  # see `number`
        return f"<{type(value).__name__} without a repr>"


def excerpt(long_text: str, limit: int = MAX_TEXT) -> str:
    """Return at most about *limit* characters of *long_text*, the middle cut out: a traceback's end says most."""
    if len(long_text) <= limit:
        return long_text
    half = limit // 2
    return f"{long_text[:half]}\n… [cut: {len(long_text)} characters] …\n{long_text[-half:]}"
