"""Times and ages on a command line: `10m`, `14:30`, `2026-11-23`, `2026-11-23 14:30:05`, seconds since 1970."""

from __future__ import annotations

import re
import time
from datetime import datetime

import click

_UNITS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 7 * 86_400.0}
_AGE = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2})?")


def age(text: str) -> float:
    """
    Return the seconds of an age such as `90s`, `10m`, `2h`, `30d` or `4w`.

    Raises:
        click.BadParameter: It is not valid.
    """
    seconds = _age(text)
    if seconds is None:
        raise click.BadParameter(f"{text!r} is not a valid age. Write it as 90s, 10m, 2h, 30d or 4w.")
    return seconds


def parse_moment(text: str) -> float:
    """
    Return a time in seconds since 1970: an age before now, a time of today, a local date with or without a time.

    Raises:
        click.BadParameter: It is not valid.
    """
    found = _moment(text.strip())
    if found is None:
        hint = "Write it as 10m (ago), 14:30, 2026-11-23, '2026-11-23 14:30' or seconds since 1970."
        raise click.BadParameter(f"{text!r} is not a valid time. {hint}")
    return found


def _age(text: str) -> float | None:
    found = _AGE.fullmatch(text.strip())
    return float(found[1]) * _UNITS[found[2]] if found else None


def _moment(text: str) -> float | None:
    age = _age(text)
    if age is not None:
        return time.time() - age
    try:
        if re.fullmatch(r"\d{9,10}(\.\d+)?", text):
            return float(text)
        if _CLOCK.fullmatch(text):
            text = f"{time.strftime('%Y-%m-%d')} {text.zfill(5 if text.count(':') == 1 else 8)}"
        # Before Python 3.11, fromisoformat does not accept Z.
        return datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith(("Z", "z")) else text).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
