"""
The formatter for machines: one JSON object a record, which every strict parser accepts.

    {"timestamp":"2024-01-15T10:30:45.123Z","level":"INFO","logger":"training","message":"Epoch completed","step":1000}

The output is ASCII alone, so neither a terminal escape nor a line separator of Unicode can hide in it.
"""

from __future__ import annotations

import logging
import math
import time
from typing import Any

from refunc.logging.formatters.fields import fields_of
from refunc.logging.formatters.text import (
    TotalFormatter,
    check_choice,
    check_range,
    message_of,
    safe_text,
    traceback_of,
)
from refunc.values.jsonable import jsonable, nonfinite_name
from refunc.values.levels import level_name

_TIMESTAMPS = ("iso", "unix", "readable")


class JSONFormatter(TotalFormatter):
    """Formats records as JSON; keys are in a fixed order, and those without a value are left out."""

    def __init__(self, include_extra: bool = True, timestamp_format: str = "iso", indent: int | None = None) -> None:
        """
        Choose the contents of an object.

        Args:
            include_extra: Whether fields of the caller's own (`extra=`) are written, under the key "extra".
            timestamp_format: "iso" (`2024-01-15T10:30:45.123Z`, UTC), "unix" (seconds) or "readable"
                (`2024-01-15 10:30:45`, local time).
            indent: Spaces a level for pretty-printing; None for one line a record.

        Raises:
            ValueError: An unknown timestamp format, or an indent that is not None or a whole number from 0 to 16.
        """
        super().__init__()
        check_choice("timestamp_format", timestamp_format, _TIMESTAMPS, "a timestamp format")
        if indent is not None:
            check_range("indent", indent, 0, 16, "an indent; it is None for one line a record, or a number of spaces")
        # Here and not above: scripts that never write JSON do not pay for the import.
        from json import JSONEncoder

        separators = (",", ":") if indent is None else (",", ": ")
        self._encode = JSONEncoder(allow_nan=False, indent=indent, separators=separators).encode
        self._include_extra = include_extra
        self._timestamp_format = timestamp_format
        # The last second and its text. Read once and replaced whole: formatters run on any thread.
        self._second: tuple[int, str] = (-1, "")

    def line(self, record: logging.LogRecord) -> str:
        """Return the record as a JSON object."""
        fields = fields_of(record)
        data: dict[str, Any] = {
            "timestamp": self._timestamp(record.created),
            "level": level_name(record.levelno),
            "logger": record.name if type(record.name) is str else safe_text(str, record.name),
            "message": message_of(record),
        }
        if fields.experiment_id is not None:
            data["experiment_id"] = jsonable(fields.experiment_id)
        if fields.run_id is not None:
            data["run_id"] = jsonable(fields.run_id)
        if fields.step is not None:
            data["step"] = jsonable(fields.step)
        if fields.epoch is not None:
            data["epoch"] = jsonable(fields.epoch)
        for name, value in fields.members.items():
            data[name] = jsonable(value)
        if fields.metrics:
            data["metrics"] = jsonable(fields.metrics)
        if fields.tags:
            data["tags"] = jsonable(fields.tags)
        if fields.artifacts:
            data["artifacts"] = jsonable(fields.artifacts)
        if fields.extra and self._include_extra:
            data["extra"] = jsonable(fields.extra)
        if record.exc_info or record.exc_text or record.stack_info:
            trace = traceback_of(self, record)
            if trace:
                data["exception"] = trace
        return self._strict(data)

    def broken_line(self, record: logging.LogRecord, error: Exception) -> str:
        """Return a JSON object for a record that `line` failed on."""
        return self._strict(
            {
                "timestamp": self._timestamp(record.created),
                "level": safe_text(level_name, record.levelno),
                "logger": safe_text(str, record.name),
                "message": message_of(record),
                "exception": f"not formatted: {type(error).__name__}: {safe_text(str, error)}",
            }
        )

    def _strict(self, data: dict[str, Any]) -> str:
        # Values that strict parsers refuse are rare, so they are handled only if the encoder met one: NaN and the
        # infinities make it raise, and surrogates (an emoji's pair, or a lone one) show in its output.
        try:
            text = self._encode(data)
            if "\\ud" not in text:
                return text
        except ValueError:
            pass
        return self._encode(_plain(data))

    def _timestamp(self, created: float) -> str | float:
        try:
            if self._timestamp_format == "unix":
                return float(created) if math.isfinite(created) else str(created)
            # Rounded before it is split: of 45.123 the fraction alone, times 1000, is 122.99…
            second, millisecond = divmod(round(created * 1000), 1000)
            known, text = self._second
            if known != second:
                text = self._second_text(second)
                self._second = (second, text)
            return f"{text}.{millisecond:03d}Z" if self._timestamp_format == "iso" else text
        except Exception:  # a record made by hand, without a valid time
            return safe_text(str, created)

    def _second_text(self, second: int) -> str:
        if self._timestamp_format == "iso":
            return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))


def _plain(value: Any) -> Any:
    """Return JSON data with "NaN", "Infinity" or "-Infinity" for such floats, and lone surrogates spelt out."""
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, float) and not math.isfinite(value):
        return nonfinite_name(value)
    return value
