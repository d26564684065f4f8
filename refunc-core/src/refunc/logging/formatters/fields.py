"""
The fields of a log line besides its text, and how they travel on a stdlib `LogRecord`.

MLLogger puts one `Fields` on the record with `carry`. Formatters and handlers call `fields_of(record)`, which works for
any other library's record too: its `extra=` attributes become `Fields.extra`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from copy import copy
from operator import is_
from typing import Any, NamedTuple

from refunc.logging.formatters.tracebacks import exc_info_of, trace_text
from refunc.values.masking import masked
from refunc.values.secrets import trace_without_secrets, without_secrets
from refunc.values.texts import MAX_TEXT, excerpt, text

#: The fields of a line without any; never changed.
EMPTY: Mapping[str, Any] = {}
#: Characters that the mark of a cut adds to a text.
_CUT = 100
#: Characters of a field's text that are read if only its beginning is shown.
_BRIEF = 1_000


class Fields(NamedTuple):
    """The structured part of one log line. A NamedTuple: one is made for every line that a handler sees."""

    step: int | float | None = None
    epoch: int | float | None = None
    metrics: Mapping[str, Any] = EMPTY
    tags: Mapping[str, str] = EMPTY
    artifacts: tuple[str, ...] = ()
    extra: Mapping[str, Any] = EMPTY
    experiment_id: str | None = None
    run_id: str | None = None
    #: Values with a key of their own in JSON, such as the params of a run.
    members: Mapping[str, Any] = EMPTY


#: The attributes of every LogRecord; anything else on one came from `extra=`. `taskName` is new in Python 3.12.
#: The last one is Ray's, on each record of a process that has imported it.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "_ray_timestamp_ns"}


def fields_of(record: logging.LogRecord) -> Fields:
    """Return the structured part of *record*, whichever library made it."""
    fields = carried(record)
    if fields is not None:
        return fields
    return Fields(extra={key: value for key, value in vars(record).items() if key not in _STANDARD})


def is_own(record: logging.LogRecord) -> bool:
    """Whether refunc itself made *record*, so that it is already on its way to the journal."""
    return carried(record) is not None


class _Carrier(float):
    """
    The number `relativeCreated` of a record, with the fields of its line.

    Formatters of other libraries write every unknown attribute in `vars(record)`; this one they know, and do not
    replace. A slot of the record would be the usual place, but from Python 3.13 on all attributes of an object with one
    stand in a dict, and each line takes a microsecond more.
    """

    __slots__ = ("fields",)
    fields: Fields

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        """Drop the fields in the old protocols: the receiver of a SocketHandler may not have refunc."""
        return (_carrier, (float(self), self.fields)) if protocol >= 2 else (float, (float(self),))


def _carrier(number: float, fields: Fields) -> _Carrier:
    carrier = _Carrier(number)
    carrier.fields = fields
    return carrier


def carry(record: logging.LogRecord, fields: Fields) -> None:
    """Put *fields* on *record*, hidden from code that looks through its attributes; copies and pickles keep them."""
    try:
        carrier = _Carrier(record.relativeCreated)
    except (AttributeError, TypeError, ValueError):  # a record factory made something else of it
        carrier = _Carrier()
    carrier.fields = fields
    record.relativeCreated = carrier


def carried(record: logging.LogRecord) -> Fields | None:
    """Return the fields that `carry` put on *record*."""
    try:
        return record.relativeCreated.fields  # type: ignore[attr-defined, no-any-return]  # see `_Carrier`
    except AttributeError:
        return None


def bare_message(record: logging.LogRecord) -> str:
    """
    Return the message of *record* without the fields, which are shown next to it. Raises the same as
    `getMessage`.
    """
    bare = getattr(record, "bare_message", None)
    return record.getMessage() if bare is None else bare()  # a LineRecord's


def presentable(
    record: logging.LogRecord,
    *,
    masks: bool,
    longest: int = MAX_TEXT,
    most_places: int | None = None,
    is_brief: bool = False,
) -> logging.LogRecord:
    """
    Return *record*, or a copy with secrets masked and texts cut to the journal's bounds, because other handlers see
    *record* too.

    Args:
        masks: Whether secrets are masked.
        longest: Characters of a text that are kept.
        most_places: See `without_secrets`.
        is_brief: Whether only the beginning of a field is shown.
    """
    fields = fields_of(record)
    try:
        message = bare_message(record)
    except Exception:  # another library's line whose arguments do not fit: its formatter reports that
        return record
    clean = text(message, longest) if len(message) > longest else message
    trace, stack = record.exc_text, record.stack_info
    if trace and len(trace) > longest + _CUT:
        trace = excerpt(trace, longest)
    metrics, tags, extra, members = fields.metrics, fields.tags, fields.extra, fields.members
    if is_brief:
        metrics, tags, extra = metrics and brief(metrics), tags and brief(tags), extra and brief(extra)
        members = members and brief(members)
    if masks:
        clean = without_secrets(clean, most_places)
        trace = _masked_trace(record, trace, longest, most_places)
        stack = trace_without_secrets(stack, most_places) if stack else stack
        metrics, tags, extra = metrics and masked(metrics), tags and masked(tags), extra and masked(extra)
        members = members and masked(members)
    shown = (clean, trace, stack, metrics, tags, extra, members)
    given = (message, record.exc_text, record.stack_info, fields.metrics, fields.tags, fields.extra, fields.members)
    if all(map(is_, shown, given)):
        return record
    copied = copy(record)
    copied.msg, copied.args, copied.exc_text, copied.stack_info = clean, None, trace, stack
    carry(copied, fields._replace(metrics=metrics, tags=tags, extra=extra, members=members))
    return copied


def _masked_trace(record: logging.LogRecord, trace: str | None, longest: int, most_places: int | None) -> str | None:
    """Return *trace* masked; if a formatter has not made it yet, only if it contains something to mask."""
    if trace:
        return trace_without_secrets(trace, most_places)
    error = exc_info_of(record.exc_info)
    if error is None:
        return trace
    text_of_it = trace_text(error)
    shown = excerpt(text_of_it, longest) if len(text_of_it) > longest + _CUT else text_of_it
    clean = trace_without_secrets(shown, most_places)
    return trace if clean is text_of_it else clean


def brief(value: Any) -> Any:
    """Return *value* with the texts in it cut to their beginnings; the same object if none is long."""
    kind = type(value)
    if kind is str:
        return value[:_BRIEF] if len(value) > _BRIEF else value
    if kind is dict:
        items = {name: brief(item) for name, item in value.items()}
        return value if all(map(is_, items.values(), value.values())) else items
    if kind is list:
        parts = [brief(item) for item in value]
        return value if all(map(is_, parts, value)) else parts
    return value
