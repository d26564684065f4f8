"""
Any Python value as JSON data: total (it never raises), bounded, and copied at once.

Called on the training thread with any value that a user passed, so it must survive cycles, hostile `__repr__` and
values of a million elements. Non-finite floats stay floats here; `codec` writes them as `null` and their values in a
separate member.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Mapping, Set
from typing import Any, SupportsFloat

from refunc.values.scalars import NO_SCALAR, has, is_array, is_of, scalar
from refunc.values.shapes import MAX_MEMBERS, Unreadable, elements_of, is_large, pairs_of
from refunc.values.texts import MAX_REPR, MAX_TEXT, key_text, short_repr, short_text, text
from refunc.values.twins import Twins

MAX_DEPTH = 8
MAX_ITEMS = 10_000
#: Characters of text that count as one more item, so that a value with all its texts stays around a megabyte.
TEXT_PER_ITEM = 100
MAX_BYTES = 1_024

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

#: Types whose values are copied by keeping a reference.
UNCHANGING = frozenset({str, int, float, bool, type(None)})

#: Fields that cannot be read, by their name within the argument (`optimizer.lr`, `layers[2]`), and why.
Faults = dict[str, str]


def jsonable(value: object, faults: Faults | None = None, *, is_given: bool = False) -> Any:
    """
    Return a copy of *value* made of dict, list, str, int, float, bool and None only.

    Sequences and sets become lists, mappings and objects with fields dicts (see `shapes.pairs_of`), arrays lists of at
    most 1,000; numbers of any library, dates, spans of time in seconds, paths and enums become their plain value, and
    missing values None. Anything else is a short text. At most 10,000 items and 8 levels are kept, and 65,536
    characters a string; a mark shows each cut.

    Args:
        faults: Gets the name of each field that cannot be read, and why; the field's value is a text that says so.
        is_given: See `shapes.pairs_of`.
    """
    if type(value) is str:  # not isinstance, which reads `__class__`, and that may raise
        return text(value)
    if value is None or type(value) in (float, bool):
        return value
    return _Reading(faults).convert(value, MAX_DEPTH, is_given=is_given)


def jsonable_mapping(values: object, faults: Faults | None = None) -> dict[str, Any]:
    """Return *values* as a dict with string keys: a mapping, or an object that has fields. Anything else: `value`."""
    plain = jsonable(values, faults, is_given=True)
    return plain if isinstance(plain, dict) else {"value": plain}


def is_unchanging(values: object) -> bool:
    """Whether *values* is a dict of immutable values only: then a copy of it is a snapshot."""
    if type(values) is not dict or len(values) > MAX_MEMBERS:
        return False
    for value in values.values():  # noqa: SIM110  # runs for every line; a generator costs twice as much
        if type(value) not in UNCHANGING:
            return False
    return True


def is_mapping(value: object) -> bool:
    """Whether *value* is a mapping; an object that raises when checked does not count."""
    try:
        return isinstance(value, Mapping)
    except Exception:  # see `number`
        return False


def nonfinite_name(value: float) -> str:
    """Return the word for NaN or ±inf, which are not numbers in JSON."""
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def spell_nonfinite(value: Any) -> Any:
    """Return *value*, a result of `jsonable`, with NaN and ±inf as words, which are valid in strict JSON."""
    if isinstance(value, dict):
        return {key: spell_nonfinite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [spell_nonfinite(item) for item in value]
    return nonfinite_name(value) if isinstance(value, float) and value - value != 0 else value


def number(value: Any) -> int | float | None:
    """
    Return *value* as an int in 64 bits or a float, or None if it is not a number.

    Takes bool, numpy and torch scalars, Decimal and Fraction, arrays of one element, and spans of time, in seconds.
    `.item()` of a tensor on a device waits for the device.
    """
    try:
        if isinstance(value, int):
            plain = int(value)
            return plain if INT64_MIN <= plain <= INT64_MAX else float(plain)
        if isinstance(value, float):
            return float(value)
        if isinstance(value, (str, bytes, bytearray, type)) or value is None:
            return None
        if has(value, "item") and not has(value, "mask"):
            item = value.item()  # a value other than a float is nearly always a scalar of numpy or torch
            if type(item) is float:
                return item
        if is_of(value, "decimal", "Decimal"):
            return float(value)
        found = scalar(value)
        if found is not NO_SCALAR:
            return number(found) if isinstance(found, (int, float)) else None
        if has(value, "item"):
            item = _item(value)
            return number(item) if isinstance(item, (int, float)) or is_array(item) else None
        if isinstance(value, SupportsFloat):
            return float(value)
    except Exception:  # a user's object may raise anything, but a logging call must not
        return None
    return None


class _Reading:
    """One reading of a value: the remaining items, the current position in it, and the parts that could not be read."""

    __slots__ = ("faults", "left", "open", "path")

    def __init__(self, faults: Faults | None) -> None:
        self.left = MAX_ITEMS
        self.path: list[str] = []
        self.faults = faults
        #: The objects that are read by their attributes right now: one may lead back to itself.
        self.open: set[int] = set()

    def convert(self, value: Any, depth: int, *, is_given: bool = False) -> Any:
        self.left -= 1
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
                self.left -= len(plain_text) // TEXT_PER_ITEM
                return text(plain_text, MAX_TEXT if self.left > 0 else MAX_REPR)
            if kind is Unreadable:
                return self._unreadable(value.error)
            if kind is dict or kind is list or kind is tuple:
                if depth <= 0 or self.left <= 0:
                    return short_repr(value)
                return self._named(value.items(), depth) if kind is dict else self._listed(value, depth)
            return self._object(value, depth, is_given=is_given)
        except Exception as error:  # see `number`
            return self._unreadable(error, short_text(value))

    def _object(self, value: Any, depth: int, *, is_given: bool) -> Any:
        if isinstance(value, (bytes, bytearray, memoryview)):
            raw = bytes(value)
            return binascii.b2a_base64(raw, newline=False).decode() if len(raw) <= MAX_BYTES else f"<{len(raw)} bytes>"
        if is_of(value, "enum", "Enum"):
            return self.convert(value.value, depth - 1) if depth > 0 else short_text(value)
        if not isinstance(value, type):
            plain = scalar(value)
            if plain is not NO_SCALAR:
                return self.convert(plain, 0)
        if depth <= 0 or self.left <= 0 or id(value) in self.open:
            return short_text(value)
        pairs = pairs_of(value, is_given=is_given)
        if pairs is not None:
            self.open.add(id(value))
            try:
                return self._named(pairs, depth)
            finally:
                self.open.discard(id(value))
        if has(value, "tolist") and not isinstance(value, type):
            return _size_text(value) if is_large(value) else self.convert(value.tolist(), depth)
        elements = elements_of(value)
        if elements is not None:
            is_set = isinstance(value, Set)
            return self._listed(sorted(elements, key=short_repr) if is_set else elements, depth)
        return _size_text(value) if is_large(value) else short_text(value)

    def _listed(self, values: Iterable[Any], depth: int) -> list[Any]:
        out: list[Any] = []
        for value in values:
            if self.left <= 0:
                out.append("… [cut]")
                break
            self.path.append(f"[{len(out)}]")
            out.append(self.convert(value, depth - 1))
            self.path.pop()
        return out

    def _named(self, pairs: Iterable[tuple[Any, Any]], depth: int) -> dict[str, Any]:
        out: dict[str, Any] = {}
        twins: Twins | None = None
        try:
            for key, value in pairs:
                if self.left <= 0:
                    out["…"] = "[cut]"
                    break
                name = key_text(key)
                if name in out:  # {1: …, "1": …}: both are kept
                    twins = twins or Twins()
                    name = twins.apart(name, out.__contains__)
                self.path.append(f".{name}")
                out[name] = self.convert(value, depth - 1)
                self.path.pop()
        except Exception as error:  # of a mapping that cannot list all its names
            out["…"] = self._unreadable(error)
        return out

    def _unreadable(self, error: Exception, said: str | None = None) -> str:
        said_lines = short_repr(error, str).splitlines()
        why = f"{type(error).__name__}{': ' * bool(said_lines)}{''.join(said_lines[:1])}"
        if self.faults is not None:
            self.faults.setdefault("".join(self.path).lstrip(".") or "all of it", why)
        return said if said is not None else f"<cannot be read: {why}>"


def _size_text(value: Any) -> str:
    shape = "×".join(str(length) for length in value.shape)
    return f"<{type(value).__name__} {shape} {getattr(value, 'dtype', '')}".rstrip() + ">"


def _item(value: Any) -> Any:
    """Return the only element of an array; None if it is masked, or if there are several."""
    if has(value, "mask"):
        value = value.tolist()
        while isinstance(value, list) and len(value) == 1:
            value = value[0]
        return value
    return value.item()
