"""
What a log line carries besides its text, and how it travels on a stdlib `LogRecord`.

MLLogger puts one `Fields` on the record as the attribute `refunc`; formatters and handlers ask `fields_of(record)`,
which works for any other library's record too: what `extra=` put on it becomes `Fields.extra`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

_EMPTY: Mapping[str, Any] = {}


class Fields(NamedTuple):
    """The structured part of one log line. A NamedTuple: one is made for every line that a handler sees."""

    step: int | None = None
    epoch: int | None = None
    metrics: Mapping[str, Any] = _EMPTY
    tags: Mapping[str, str] = _EMPTY
    artifacts: tuple[str, ...] = ()
    extra: Mapping[str, Any] = _EMPTY
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
