"""
The formatter for training loops: the place in the training, the message, and metrics with a fixed number of digits.

    epoch 3 · step 1200 · validation · loss 0.1234 ▼ acc 0.9200 ▲
    e3 s1200 validation loss=0.1234▼ acc=0.9200▲                  (compact)

The arrow says that a metric is lower or higher than when its logger showed it last.
"""

from __future__ import annotations

import logging
from math import isfinite

from refunc.logging.formatters.fields import Fields, fields_of
from refunc.logging.formatters.text import (
    TotalFormatter,
    check_range,
    message_of,
    name_text,
    shown,
    traceback_block,
    value_text,
)
from refunc.values.jsonable import number
from refunc.values.levels import level_name
from refunc.values.printable import printable, printable_line

#: Metrics whose last value is known.
_MOST_REMEMBERED = 1_000


class MLFormatter(TotalFormatter):
    """Formats records without time or logger; WARNING and above show their level, so that they are noticed."""

    def __init__(
        self,
        show_step: bool = True,
        show_epoch: bool = True,
        show_metrics: bool = True,
        metric_precision: int = 4,
        compact_mode: bool = False,
    ) -> None:
        """
        Choose the contents of a line.

        Args:
            metric_precision: Digits after the point. A value too small to show any is written as `1.2000e-05`.

        Raises:
            ValueError: *metric_precision* is not a whole number from 0 to 17.
        """
        super().__init__()
        check_range("metric_precision", metric_precision, 0, 17, "a number of digits")
        self._show_step, self._show_epoch, self._show_metrics = show_step, show_epoch, show_metrics
        self._compact = compact_mode
        self._fixed, self._scientific = f".{metric_precision}f", f".{metric_precision}e"
        self._smallest = 10.0**-metric_precision
        # By logger and metric. Read and replaced item by item: formatters run on any thread.
        self._last: dict[tuple[str, str], float] = {}

    def line(self, record: logging.LogRecord) -> str:
        """Return the line; parts that the record does not have are left out."""
        fields = fields_of(record)
        parts = self._place(fields)
        if record.levelno >= logging.WARNING:
            parts.append(printable_line(level_name(record.levelno)))
        message = printable(message_of(record).rstrip("\n"))
        if message:
            parts.append(message)
        if self._show_metrics and fields.metrics:
            between = "=" if self._compact else " "
            pairs = [
                name_text(name) + between + self._number(value) + self._arrow(record.name, name, value)
                for name, value in shown(fields.metrics)
            ]
            parts.append(" ".join(pairs))
        return (" " if self._compact else " · ").join(parts) + traceback_block(self, record)

    def _place(self, fields: Fields) -> list[str]:
        epoch_word, step_word = ("e", "s") if self._compact else ("epoch ", "step ")
        parts = []
        if self._show_epoch and fields.epoch is not None:
            parts.append(epoch_word + value_text(fields.epoch))
        if self._show_step and fields.step is not None:
            parts.append(step_word + value_text(fields.step))
        return parts

    def _arrow(self, logger: str, name: str, value: object) -> str:
        """Return the direction in which a metric changed, if that is known."""
        plain = None if isinstance(value, bool) else number(value)
        if plain is None:
            return ""
        if len(self._last) >= _MOST_REMEMBERED:  # generated names must not fill memory
            self._last.clear()
        before = self._last.get((logger, name), plain)
        self._last[logger, name] = plain
        if not (plain < before or plain > before):  # NaN is neither
            return ""
        return ("" if self._compact else " ") + ("▼" if plain < before else "▲")

    def _number(self, value: object) -> str:
        plain = None if isinstance(value, bool) else number(value)
        if not isinstance(plain, float):
            return value_text(value)
        readable = plain == 0 or self._smallest <= abs(plain) < 1e9 or not isfinite(plain)
        return format(plain, self._fixed if readable else self._scientific)
