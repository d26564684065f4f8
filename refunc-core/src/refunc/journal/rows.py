"""
What a queued tuple is encoded from: one msgspec struct a record, and one for its metrics.

A struct takes its values by position and has its names encoded once for all, so encoding one costs half of a dict with
the same members. The fields stand in the order in which they stand in the file.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

import msgspec

from refunc.journal.levels import LEVEL_NAMES, level_name
from refunc.journal.metric_set import MetricSet
from refunc.journal.secrets import is_plain, masked, without_secrets
from refunc.journal.values import MAX_TEXT, jsonable_mapping, text

#: Sets of names that get a class of their own, about 3 kB each; whoever makes up names without end gets dicts.
_MAX_CLASSES = 500
#: Names in a set, above which it gets none.
_MAX_FIELDS = 200

_numbers = count()


class MetricsRow(msgspec.Struct, omit_defaults=True, gc=False):
    """A line of kind `metrics`."""

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


#: Lengths of the queued tuples by which they are told apart; see `writer`.
METRICS_ITEM, LINE_ITEM = 9, 15


def metrics_row(item: tuple[Any, ...], seq: int, own_logger: str, *, masks: bool) -> MetricsRow:
    """Return what is encoded for queued metrics; secrets in what is no number are masked if *masks*."""
    kind, moment, metric_set, values, step, epoch, automatic, name, other = item
    metrics = (metric_set.row or row_of(metric_set))(*values)
    if masks and other is not None:
        other = masked(other)
    return MetricsRow(seq, moment, kind, step, automatic, epoch, metrics, other, None if name == own_logger else name)


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


def row_of(metric_set: MetricSet) -> Callable[..., Any]:
    """Return what makes of the values of *metric_set* what is encoded as their JSON object, and remember it there."""
    metric_set.row = _new_row(metric_set.names)
    return metric_set.row


def _new_row(names: tuple[str, ...]) -> Callable[..., Any]:
    if 0 < len(names) <= _MAX_FIELDS and next(_numbers) < _MAX_CLASSES:
        fields = {f"field_{number}": name for number, name in enumerate(names)}
        try:
            return msgspec.defstruct("MetricsOfRow", list(fields), rename=fields, gc=False)
        except ValueError:  # a name that JSON has to escape
            pass
    return partial(_as_dict, names)


def _as_dict(names: tuple[str, ...], *values: Any) -> dict[str, Any]:
    return dict(zip(names, values, strict=True))
