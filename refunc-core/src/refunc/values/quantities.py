"""Numbers, durations and sizes as text for people: on lines, on bars, and in the tables of the command line."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

_SIZE = re.compile(r"\s*(\d{1,18}(?:\.\d{1,18})?)\s{0,9}([KMGT]?)I?B?\s*", re.IGNORECASE)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def figure(number: float, digits: int = 4, *, grouped: bool = False) -> str:
    """
    Return a number for reading: an int in full, a float with *digits* significant digits: `0.1235`, `1.2e-05`.

    Between 1,000 and 1e9 there are at least all digits before the point, and one after it: `12345.7`.

    Args:
        grouped: `12,345.7`; for places where a comma is not a separator.
    """
    comma = "," if grouped else ""
    if isinstance(number, int):
        return f"{number:{comma}}"
    if not 1000 <= abs(number) < 1e9:
        return f"{number:.{digits}g}"
    before = len(str(int(abs(number))))
    return f"{number:{comma}.{max(digits, before + 1)}g}"


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a number with the noun for it: `1 run`, `2,000 runs`; *many* is by default *one* with an s."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def duration(seconds: float) -> str:
    """Return seconds as a person says them: `0.8 s`, `12 s`, `2 min 05 s`, `3 h 20 min`, `4 d 03 h`; or `?`."""
    return " ".join(f"{count} {unit}" for count, unit in _parts(seconds)) or "?"


def narrow_duration(seconds: float) -> str:
    """Return the same in at most six columns, for a table: `0.8s`, `2m05s`, `4d03h`."""
    return "".join(f"{count}{unit[0]}" for count, unit in _parts(seconds)) or "?"


def _parts(seconds: float) -> Iterator[tuple[str, str]]:
    """Yield the count and the unit of each part; none if it is not a valid time."""
    if not math.isfinite(seconds):
        return
    if seconds < 59.5:
        yield f"{seconds:.1f}" if seconds < 9.95 else f"{seconds:.0f}", "s"
        return
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        yield from ((str(days), "d"), (f"{hours:02d}", "h"))
    elif hours:
        yield from ((str(hours), "h"), (f"{minutes:02d}", "min"))
    else:
        yield from ((str(minutes), "min"), (f"{rest:02d}", "s"))


def amount(size: float) -> str:
    """Return bytes as `812 B`, `1.2 MB`."""
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TB"


def bytes_of(size: Any) -> float | None:
    """Return a size in bytes, from a number or a text such as `500KB`, `1.5 GB` (1 KB is 1,024 bytes); else None."""
    if isinstance(size, str):
        match = _SIZE.fullmatch(size)
        return float(match[1]) * _UNITS[match[2].upper()] if match is not None else None
    return float(size) if isinstance(size, (int, float)) and not isinstance(size, bool) else None
