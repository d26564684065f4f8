"""The values of runs: missing ones, numbers that were written as texts, comparisons, and their order."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from typing import Any, Final

import attrs


class _Missing:
    """A value that a run does not have: every comparison with it is false."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()
Operation = Callable[[Any, Any], Any]

#: A number as programs write it. `007` is a name, and so is `1_000`.
_NUMBER: Final = re.compile(r"[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_LONGEST_NUMBER: Final = 64
_WORDS: Final = {
    "inf": math.inf,
    "+inf": math.inf,
    "-inf": -math.inf,
    "nan": math.nan,
    "Infinity": math.inf,
    "-Infinity": -math.inf,
    "NaN": math.nan,
}


def number_in(text: str) -> int | float | None:
    """Return the number that *text* reads as, as trackers that keep params as texts write it; None if it is not one."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
        return None
    return int(text) if text.lstrip("+-").isdecimal() else float(text)


def number_of(value: Any) -> int | float | None:
    """Return *value* as a number, also if it is a text that reads as one; None for other values."""
    if isinstance(value, (int, float)):
        return value
    return number_in(value) if isinstance(value, str) else None


def is_true(value: Any) -> bool:
    """Whether *value*, alone, holds: True, or a number other than 0; a text such as `"False"` does not."""
    return bool(number_of(value))


def are_comparable(one: Any, other: Any) -> bool:
    """Whether two values have an order: two texts, two numbers, or a number and a text that reads as one."""
    if isinstance(one, str) and isinstance(other, str):
        return True
    return number_of(one) is not None and number_of(other) is not None


def ordered(compare: Operation) -> Operation:
    """Return *compare*, such as `operator.lt`, for values of runs."""

    def holds(one: Any, other: Any) -> bool:
        if one is MISSING or other is MISSING:
            return False
        if isinstance(one, str) is not isinstance(other, str):
            one, other = number_of(one), number_of(other)
        try:
            return bool(compare(one, other))
        except TypeError:  # they have no order
            return False

    return holds


def are_equal(one: Any, other: Any) -> bool:
    """Whether two values are equal; a text that reads as a number equals it."""
    if isinstance(one, str) is not isinstance(other, str):
        numbers = number_of(one), number_of(other)
        return None not in numbers and numbers[0] == numbers[1]
    return bool(one == other)


def _equal(one: Any, other: Any) -> bool:
    return one is not MISSING and other is not MISSING and are_equal(one, other)


def _unequal(one: Any, other: Any) -> bool:
    return one is not MISSING and other is not MISSING and not are_equal(one, other)


def _contained(one: Any, many: Any) -> bool | None:
    """Return whether *many* has *one*; None if that cannot be asked."""
    if one is MISSING or many is MISSING:
        return None
    if isinstance(many, str):
        return one in many if isinstance(one, str) else None
    return any(are_equal(one, item) for item in many) if isinstance(many, (list, tuple, dict)) else None


COMPARISONS: Final[dict[str, Operation]] = {
    "==": _equal,
    "!=": _unequal,
    "<": ordered(operator.lt),
    "<=": ordered(operator.le),
    ">": ordered(operator.gt),
    ">=": ordered(operator.ge),
    "in": lambda one, many: _contained(one, many) is True,
    "not in": lambda one, many: _contained(one, many) is False,
}
#: Those that need values with an order.
ORDERS: Final = frozenset(("<", "<=", ">", ">="))


def calculated(calculate: Operation, one: Any, other: Any) -> Any:
    """Return the result for two numbers; MISSING for other values, or if there is no result."""
    one, other = number_of(one), number_of(other)
    if one is None or other is None:
        return MISSING
    try:
        result = calculate(one, other)
    except (ArithmeticError, ValueError):
        return MISSING
    return MISSING if isinstance(result, complex) else result


#: The sorting key of values without an order, which come last.
NO_ORDER: Final[tuple[int, Any]] = (2, 0)


@attrs.frozen(eq=False)
class _Descending:
    """A text that is sorted in reverse order."""

    text: str

    def __lt__(self, other: _Descending) -> bool:
        return other.text < self.text


def sorting_key(value: Any, *, descends: bool = False) -> tuple[int, Any]:
    """
    Return a sorting key for values of an expression: numbers, then texts, then values without an order.

    Args:
        descends: Whether the highest number and the last text come first.
    """
    number = number_of(value)
    if number is not None and number == number:
        return 0, -number if descends else number
    if not isinstance(value, str) or number is not None:
        return NO_ORDER
    return 1, _Descending(value) if descends else value
