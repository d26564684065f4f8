"""
The structs that are encoded: one msgspec struct a record, and one for its metrics.

A struct takes its values by position and has its names encoded once, so encoding one costs half of a dict with the same
members. The fields are in the order of the file.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from operator import attrgetter
from typing import Any

import msgspec

from refunc.journal.line import line_values

#: Sets of names that get a class of their own, about 3 kB each; scripts that generate names without end get dicts.
_MAX_CLASSES = 500
#: A set with more names does not get one.
_MAX_FIELDS = 200

_numbers = count()


class MetricsRow(msgspec.Struct, omit_defaults=True, gc=False):
    """
    A line of kind `metrics`, made in the call; the writer's thread gives it its number.

    The garbage collector does not know of it. It looks at the youngest objects whenever 700 of them are new (the
    default up to Python 3.13), in any call: were records tuples, every 350th call would pay for that, 20 to 30 µs, and
    the training's own objects would be looked at more often too.
    """

    seq: int
    time: float
    kind: str
    step: int | float | None = None
    auto: bool = False
    epoch: int | float | None = None
    metrics: Any = None
    other: dict[str, Any] | None = None
    logger: str | None = None


class LineRow(msgspec.Struct, omit_defaults=True, gc=False):
    """A line of kind `log`."""

    seq: int
    time: float
    kind: str
    level: str
    message: str
    logger: str | None = None
    step: int | float | None = None
    epoch: int | float | None = None
    metrics: dict[str, Any] | None = None
    other: dict[str, Any] | None = None
    tags: dict[str, str] | None = None
    artifacts: list[str] | tuple[str, ...] | None = None
    extra: dict[str, Any] | None = None
    at: str | None = None
    exception: str | None = None
    stack: str | None = None


def line_row(item: tuple[Any, ...], seq: int, own_logger: str, *, masks: bool) -> LineRow:
    """Return the struct to encode for a queued line; see `line_values`."""
    return LineRow(seq, *line_values(item, own_logger, masks=masks))


def values_row(names: tuple[str, ...]) -> Callable[..., Any]:
    """Return the function that turns values of these *names* into the object that is encoded as their JSON object."""
    if 0 < len(names) <= _MAX_FIELDS and next(_numbers) < _MAX_CLASSES:
        fields = {f"field_{number}": name for number, name in enumerate(names)}
        try:
            return msgspec.defstruct("ValuesRow", list(fields), rename=fields, gc=False)
        except ValueError:  # a name that JSON has to escape
            pass
    return partial(_as_dict, names)


def _as_dict(names: tuple[str, ...], *values: Any) -> dict[str, Any]:
    return dict(zip(names, values, strict=True))


def column(rows: list[MetricsRow], at: int) -> list[Any]:
    """Return the *at*-th value of each of *rows*, whose values have one class."""
    return list(map(attrgetter(f"metrics.field_{at}"), rows))
