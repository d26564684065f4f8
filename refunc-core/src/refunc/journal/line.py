"""
The records in the queue of a writer, but for metrics; and preparing a line: its secrets masked, its texts cut.

This is separate from the structs that are encoded, because a script without a run writes lines to its log files and
does not need encoding.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from refunc.values.jsonable import jsonable_mapping
from refunc.values.levels import LEVEL_NAMES, level_name
from refunc.values.masking import is_plain, masked
from refunc.values.secrets import without_secrets
from refunc.values.texts import MAX_TEXT, text


class QueuedLine(NamedTuple):
    """
    The fields that a call queues for a line: as a plain tuple in this order, because this class would cost 0.2 µs more.
    No other record is queued as a plain tuple.

    `is_raw` says that the writer's thread has to check the names and lengths of `extra`.
    """

    kind: str
    time: float
    level: int
    message: str
    step: int | float | None
    epoch: int | float | None
    metrics: dict[str, Any] | None
    other: dict[str, Any] | None
    tags: dict[str, str] | None
    artifacts: list[str] | tuple[str, ...] | None
    extra: Any
    is_raw: bool
    caller: tuple[str, int]
    trace: str | None
    stack: str | None
    logger: str


#: The positions of these in such a tuple.
TIME, LEVEL, MESSAGE, STEP, EPOCH, METRICS, LOGGER = map(
    QueuedLine._fields.index, ("time", "level", "message", "step", "epoch", "metrics", "logger")
)


class QueuedRecord(NamedTuple):
    """A record in the queue that is neither a line of a logger nor metrics."""

    kind: str
    time: float
    #: JSON-able.
    fields: dict[str, Any]


class Line(NamedTuple):
    """The members of a line in a journal, in this order; see `encoded.LineRow`, which is encoded."""

    seq: int
    time: float
    kind: str
    level: str
    message: str
    logger: str | None
    step: int | None
    epoch: int | None
    metrics: dict[str, Any] | None
    other: dict[str, Any] | None
    tags: dict[str, str] | None
    artifacts: list[str] | tuple[str, ...] | None
    extra: dict[str, Any] | None
    at: str
    exception: str | None
    stack: str | None


def _trace_without(trace: str | None) -> str | None:
    return without_secrets(trace) if trace is not None else None


def line_values(item: tuple[Any, ...], own_logger: str, *, masks: bool) -> tuple[Any, ...]:
    """Return the values of a `Line` for a queued one; its secrets are masked here if *masks*."""
    (kind, moment, level, message, step, epoch, metrics, other, tags, artifacts, extra, is_raw, caller, trace, stack,
     name) = item  # fmt: skip
    if len(message) > MAX_TEXT:
        message = text(message)
    if masks:
        message, trace, stack = without_secrets(message), _trace_without(trace), _trace_without(stack)
        if other or tags or artifacts:
            other, tags, artifacts = map(masked, (other, tags, list(artifacts or ())))
    if extra and not (is_raw and is_plain(extra, masks=masks)):
        extra = jsonable_mapping(extra) if is_raw else extra
        extra = masked(extra) if masks else extra
    return (
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
        f"{caller[0]}:{caller[1]}",
        trace,
        stack,
    )
