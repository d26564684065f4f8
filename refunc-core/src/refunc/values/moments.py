"""Times and ages as texts: `10m`, `1h 30m`, `14:30`, `2026-11-23`, `2026-11-23 14:30:05`, seconds since 1970."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import Final

#: How an age and a time are written, for errors.
AGES: Final = "90s, 10m, 2h, 30d or 4w"
MOMENTS: Final = "10m (ago), 14:30, 2026-11-23, '2026-11-23 14:30' or seconds since 1970"

_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 7 * 86_400.0}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)([smhdw])\s*", re.ASCII)
_CLOCK: Final = re.compile(r"\d{1,2}:\d{2}(:\d{2})?", re.ASCII)
_SECONDS: Final = re.compile(r"\d{9,10}(\.\d+)?", re.ASCII)
_DATE: Final = re.compile(
    r"(\d{4})(-?)(\d{2})\2(\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2})?)(\.\d{1,6})? ?(?:(Z)|([+-]\d{2}):?(\d{2}))?)?",
    re.ASCII | re.IGNORECASE,
)


def moment_text(seconds: float) -> str:
    """Return a time in seconds since 1970 as `2026-11-23 14:45:39`, local time; `?` if no calendar has it."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    except (OverflowError, OSError, ValueError):
        return "?"


def age_of(text: str) -> float | None:
    """Return the seconds of an age such as `10m` or `1h 30m`; None if it is not one."""
    text, at, seconds = text.strip(), 0, 0.0
    while at < len(text):
        part = _PART.match(text, at)
        if part is None:
            return None
        seconds += float(part[1]) * _UNITS[part[2]]
        at = part.end()
    return seconds if text else None


def moment_of(text: str) -> float | None:
    """Return a time in seconds since 1970: an age before now, a time of today, a local date; None if it is neither."""
    text = text.strip()
    age = age_of(text)
    if age is not None:
        return time.time() - age
    try:
        if _SECONDS.fullmatch(text):
            return float(text)
        if _CLOCK.fullmatch(text):
            text = f"{time.strftime('%Y-%m-%d')} {text.zfill(5 if text.count(':') == 1 else 8)}"
        date = _DATE.fullmatch(text)
        return datetime.fromisoformat(_iso(date)).timestamp() if date else None
    except (ValueError, OverflowError, OSError):
        return None


def _iso(date: re.Match[str]) -> str:
    """Return a date, and the time of day with it, as each Python reads it: up to 3.10 that is one form only."""
    year, _, month, day, clock, fraction, utc, hours, minutes = date.groups(default="")
    zone = "+00:00" if utc else f"{hours}:{minutes}" if hours else ""
    fraction = f"{fraction:0<7}" if fraction else ""
    return f"{year}-{month}-{day}T{clock or '00:00'}{fraction}{zone}"
