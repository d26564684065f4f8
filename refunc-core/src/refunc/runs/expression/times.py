"""Times in expressions: a text beside `start_time` or `duration`, and how it is mistaken for a number."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable
from typing import Final

import attrs

from refunc.runs.expression.syntax import Syntax
from refunc.runs.expression.values import ORDERS
from refunc.values.moments import AGES, MOMENTS, age_of, moment_of

#: A date without quotes is a number, or a difference of numbers: 2026-12-24 is 1990.
_DATE: Final = re.compile(r"(?:19|20)\d\d(?:\s*-\s*\d{1,2}){0,2}|(?:19|20)\d{6}", re.ASCII)

#: Seconds since 1970 until the year 5138; more are milliseconds.
_LATEST: Final = 1e11


@attrs.frozen
class Clock:
    """A fact that is a time or a time span."""

    name: str
    #: From a text to seconds; None if it is not a time.
    read: Callable[[str], float | None]
    #: How it is written.
    expected: str


CLOCKS: Final = {
    "start_time": Clock("start_time", moment_of, f"a time: write it as {MOMENTS}"),
    "duration": Clock("duration", age_of, f"a time span: write it as {AGES}"),
}


def clock_of(node: ast.expr) -> Clock | None:
    """Return the fact that *node* names, if it is a time or a time span."""
    return CLOCKS.get(node.id) if isinstance(node, ast.Name) else None


def seconds_beside(clock: Clock, node: ast.expr, op: str, syntax: Syntax) -> float | None:
    """
    Return the seconds of *node*, a text that is compared with *clock*; None if it is another value.

    Raises:
        ExpressionError: It is not a time, or cannot be compared with one in this way.
    """
    texts = [each for each in _values(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    if not texts:
        if clock.name == "start_time" and _DATE.fullmatch(syntax.written(node)):
            raise syntax.error(node, f"a date is written in quotes: start_time {op} '{syntax.written(node)}'")
        if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and _LATEST < node.value < math.inf:
            problem = "is in milliseconds, or no time: start_time is in seconds since 1970"
            raise syntax.error(node, f"{syntax.written(node)} {problem}")
        return None
    name = clock.name
    if op in ("~", "!~"):
        raise syntax.error(node, f"{name} is a number, and a pattern fits texts only; {_span(name)}")
    times = [clock.read(str(each.value)) for each in texts]
    for each, seconds in zip(texts, times, strict=True):
        if seconds is None:
            raise syntax.error(each, f"{each.value!r} is not {clock.expected}")
    if op not in ORDERS:
        raise syntax.error(node, f"{name} is exact to the microsecond, so {op} never fits; {_span(name)}")
    return times[0] if texts[0] is node else None


def _values(node: ast.expr) -> list[ast.expr]:
    return node.elts if isinstance(node, (ast.Tuple, ast.List, ast.Set)) else [node]


def _span(name: str) -> str:
    return f"write {name} >= and {name} < for a span of it"
