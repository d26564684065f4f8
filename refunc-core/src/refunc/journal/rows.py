"""
What is encoded: one msgspec struct a record, and one for its metrics.

A struct takes its values by position and has its names encoded once for all, so encoding one costs half of a dict with
the same members. The fields stand in the order in which they stand in the file.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from operator import attrgetter
from typing import Any

import msgspec

from refunc.journal.levels import LEVEL_NAMES, level_name
from refunc.journal.masking import is_plain, masked
from refunc.journal.secrets import without_secrets
from refunc.journal.values import MAX_TEXT, jsonable_mapping, text

#: Sets of names that get a class of their own, about 3 kB each; whoever makes up names without end gets dicts.
_MAX_CLASSES = 500
#: Names in a set, above which it gets none.
_MAX_FIELDS = 200

_numbers = count()


class MetricsRow(msgspec.Struct, omit_defaults=True, gc=False):
    """
    A line of kind `metrics`, made in the call; the writer's thread gives it its number.

    The garbage collector does not know of it. It looks at the youngest objects whenever 700 of them are new (the
    default up to Python 3.13), in whatever call that happens: were records tuples, every 350th call would pay for that,
    20 to 30 µs, and the training's own objects would be looked at more often too.
    """

    seq: int
    time: float
    kind: str
    step: int | None = None
    auto: bool = False
    epoch: int | None = None
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
    step: int | None = None
    epoch: int | None = None
    metrics: dict[str, Any] | None = None
    other: dict[str, Any] | None = None
    tags: dict[str, str] | None = None
    artifacts: list[str] | tuple[str, ...] | None = None
    extra: dict[str, Any] | None = None
    at: str | None = None
    exception: str | None = None


#: The length of a line's tuple in the queue, by which it is told from the rest; see `writer`.
LINE_ITEM = 15


def line_row(item: tuple[Any, ...], seq: int, own_logger: str, *, masks: bool) -> LineRow:
    """Return what is encoded for a queued line; its secrets are masked if *masks*, which is done here."""
    kind, moment, level, message, step, epoch, metrics, other, tags, artifacts, extra, is_raw, place, trace, name = item
    if len(message) > MAX_TEXT:
        message = text(message)
    if masks:
        message = without_secrets(message)
        if trace is not None:
            trace = without_secrets(trace)
        if other or tags or artifacts:
            other, tags, artifacts = map(masked, (other, tags, list(artifacts or ())))
    if extra and not (is_raw and is_plain(extra, masks=masks)):
        extra = jsonable_mapping(extra) if is_raw else extra
        extra = masked(extra) if masks else extra
    return LineRow(
        seq,
        moment,
        kind,
        LEVEL_NAMES.get(level) or level_name(level),
        message,
        None if name == own_logger else name,
        step,
        epoch,
        metrics or None,
        other or None,
        tags or None,
        artifacts or None,
        extra or None,
        f"{place[0]}:{place[1]}",
        trace,
    )


def values_row(names: tuple[str, ...]) -> Callable[..., Any]:
    """Return what makes of the values of these *names* what is encoded as their JSON object."""
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
