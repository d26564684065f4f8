"""
Objects that represent one value: a number, a text, a time, or a missing value.

No library is imported to recognise its types: a program with such an object has imported it.
"""

from __future__ import annotations

import sys
from typing import Any, Final

#: The result of `scalar` for an object that is not one value.
NO_SCALAR: Final = object()

#: Scalars for a missing value, by module and name; numpy's are arrays, and found by their content.
_MISSING: Final = {("pandas", "NAType"), ("pandas", "NaTType")}


def is_of(value: object, module: str, name: str) -> bool:
    """Whether *value* is an instance of the class *name* of *module*, which need not be imported."""
    # Not `of_loaded`, on the hot path: a class is complete as soon as it has a name, while its module is imported.
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(value, kind)


def has(value: object, name: str) -> bool:
    """Whether the class of *value* has the attribute *name*: an instance may have any attribute, as configs do."""
    return hasattr(type(value), name)


def scalar(value: Any) -> Any:
    """
    Return the int, float, bool or str that *value* represents, None for a missing one, otherwise `NO_SCALAR`.

    Spans of time become seconds. Raises any exception of the object's own code.
    """
    kind = type(value)
    if (kind.__module__.partition(".")[0], kind.__name__) in _MISSING:
        return None
    if is_of(value, "decimal", "Decimal"):
        return _decimal(value)
    if is_of(value, "datetime", "timedelta"):
        return float(value.total_seconds())
    if is_array(value):
        return _of_array(value)
    if is_of(value, "numbers", "Real"):
        return float(value)
    for name in ("isoformat", "__fspath__"):
        text = getattr(value, name)() if has(value, name) else None
        if isinstance(text, (str, bytes)):
            return text.decode(errors="backslashreplace") if isinstance(text, bytes) else str.__str__(text)
    return NO_SCALAR


def is_array(value: Any) -> bool:
    """Whether *value* is an array without dimensions, or a scalar of a library of arrays."""
    return has(value, "dtype") and has(value, "shape") and value.shape == ()


def _decimal(value: Any) -> Any:
    """Return a decimal as a number if that has the same digits, otherwise as a text with all of them."""
    if value.is_snan():
        return float("nan")
    if not value.is_finite():
        return float(value)
    if value == value.to_integral_value() and abs(value) < 2**63:
        return int(value)
    plain = float(value)
    return plain if type(value)(repr(plain)) == value else str(value)


def _of_array(value: Any) -> Any:
    """Return the content of an array without dimensions."""
    if has(value, "mask") and value.mask:  # numpy's masked element: as a float it is NaN, and as an item 0.0
        return None
    kind = getattr(value.dtype, "kind", "")
    if kind in ("m", "M"):
        if value != value:
            return None
        return str(value) if kind == "M" else float(value / sys.modules["numpy"].timedelta64(1, "s"))
    item = value.item() if callable(getattr(value, "item", None)) else float(value)
    if item is None or isinstance(item, (bool, int, str)):
        return item
    if isinstance(item, complex):
        return NO_SCALAR
    return float(item) if isinstance(item, float) or hasattr(type(item), "__float__") else NO_SCALAR
