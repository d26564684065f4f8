"""The stdlib record of a refunc line: its message includes the values for other libraries' handlers only."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from refunc.logging.formatters.fields import EMPTY, Fields, brief, carried
from refunc.logging.formatters.text import name_text, number_text, shown
from refunc.values.masking import masked, masks_secrets

#: Classes of records that are remembered; a factory may generate one for each record.
_MOST_CLASSES = 100


class LineRecord(logging.LogRecord):
    """A LogRecord with `Fields` (see `carry`), which its copies and pickles keep."""

    def getMessage(self) -> str:  # noqa: N802  # stdlib's name
        """
        Return the message followed by the metrics of the line, once, because other libraries' handlers show no
        fields.
        """
        text = super().getMessage()
        values = self._values()
        if not values or values in text:  # a handler, such as stdlib's for queues, has made this text the message
            return text
        return values if text == _names(self) else f"{text} {values}"

    def bare_message(self) -> str:
        """Return the message without the values, which refunc's formatters show in their own way."""
        text = self.msg
        if type(text) is str and not self.args and "=" not in text:
            return text
        text = super().getMessage()
        if not (values := self._values()):
            return text
        return _names(self) if text == values else text.replace(" " + values, "", 1)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        """Name the class from the record factory if this one is generated (see `as_line`)."""
        return _empty, (type(self).__bases__[-1],), self.__dict__

    def _values(self) -> str:
        fields = carried(self)
        values = _shown_values(fields)
        if fields is None or not values:
            return ""
        metrics = brief(dict(values))  # runs in the call, and no more of a text is shown
        metrics = masked(metrics) if masks_secrets() else metrics
        parts = [f"{name_text(name)}={number_text(value)}" for name, value in shown(metrics)]
        places = (("step", fields.step), ("epoch", fields.epoch))
        return " ".join([*parts, *(f"{name}={number_text(value)}" for name, value in places if value is not None)])


_line_classes: dict[type[logging.LogRecord], type[LineRecord]] = {logging.LogRecord: LineRecord}


def _names(record: logging.LogRecord) -> str:
    """Return the message for data calls, which have no text of their own."""
    fields = carried(record)
    return ", ".join(map(str, fields.metrics)) if fields is not None else ""


def _shown_values(fields: Fields | None) -> Mapping[str, Any]:
    return EMPTY if fields is None else fields.metrics or fields.members.get("params", EMPTY)


def as_line(record: logging.LogRecord) -> logging.LogRecord:
    """Make *record*, from a user's record factory, a LineRecord as well; it stays an instance of its class."""
    with suppress(TypeError):  # an unusual class: its record carries the fields, but shows no values
        record.__class__ = _line_class(type(record))
    return record


def _line_class(base: Any) -> Any:
    known = _line_classes.get(base)
    if known is None:
        known = type(base.__name__, (LineRecord, base), {})
        if len(_line_classes) < _MOST_CLASSES:
            _line_classes[base] = known
    return known


def _empty(base: type[logging.LogRecord]) -> logging.LogRecord:
    made: logging.LogRecord = LineRecord.__new__(_line_class(base))
    return made
