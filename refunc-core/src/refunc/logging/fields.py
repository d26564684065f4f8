"""
What a log line carries besides its text, and how it travels on a stdlib `LogRecord`.

MLLogger puts one `Fields` on the record as the attribute `refunc`; formatters and handlers ask `fields_of(record)`,
which works for any other library's record too: what `extra=` put on it becomes `Fields.extra`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from copy import copy
from typing import Any, NamedTuple

from refunc.journal.masking import masked
from refunc.journal.secrets import without_secrets

#: What a line has that passed none; nobody changes it.
EMPTY: Mapping[str, Any] = {}


class Fields(NamedTuple):
    """The structured part of one log line. A NamedTuple: one is made for every line that a handler sees."""

    step: int | None = None
    epoch: int | None = None
    metrics: Mapping[str, Any] = EMPTY
    tags: Mapping[str, str] = EMPTY
    artifacts: tuple[str, ...] = ()
    extra: Mapping[str, Any] = EMPTY
    experiment_id: str | None = None
    run_id: str | None = None


#: What every LogRecord has; anything else on one came from `extra=`. `taskName` is new in Python 3.12.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "refunc"}


def fields_of(record: logging.LogRecord) -> Fields:
    """Return the structured part of *record*, whichever library made it."""
    fields = getattr(record, "refunc", None)
    if isinstance(fields, Fields):
        return fields
    return Fields(extra={key: value for key, value in vars(record).items() if key not in _STANDARD})


def is_own(record: logging.LogRecord) -> bool:
    """Whether refunc itself made *record*, so that it is already on its way to the journal."""
    return isinstance(getattr(record, "refunc", None), Fields)


def without_secrets_in(record: logging.LogRecord) -> logging.LogRecord:
    """Return *record*, or a copy in which secrets are masked: the record itself is also for others."""
    fields = fields_of(record)
    try:
        message = record.getMessage()
    except Exception:  # another library's line whose arguments do not fit: whoever formats it says so
        return record
    clean = without_secrets(message)
    trace = without_secrets(record.exc_text) if record.exc_text else record.exc_text
    metrics, tags, extra = fields.metrics, fields.tags, fields.extra
    metrics, tags, extra = metrics and masked(metrics), tags and masked(tags), extra and masked(extra)
    if (
        clean is message
        and trace is record.exc_text
        and metrics is fields.metrics
        and tags is fields.tags
        and extra is fields.extra
    ):
        return record
    copied = copy(record)
    copied.msg, copied.args, copied.exc_text = clean, None, trace
    copied.refunc = fields._replace(metrics=metrics, tags=tags, extra=extra)
    return copied
