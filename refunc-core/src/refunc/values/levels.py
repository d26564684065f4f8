"""
The ten levels by name and number: stdlib logging's five, TRACE below them, and four for machine learning.

The journal has a level's name, and readers need to compare levels. The writing side, which shows them to users as
`LogLevel`, takes its numbers from here.
"""

from __future__ import annotations

import logging
from typing import Final

TRACE: Final = 5
DEBUG: Final = logging.DEBUG
INFO: Final = logging.INFO
EXPERIMENT: Final = 22
PROGRESS: Final = 23
RESULT: Final = 24
METRIC: Final = 25
WARNING: Final = logging.WARNING
ERROR: Final = logging.ERROR
CRITICAL: Final = logging.CRITICAL

#: Number → name, as a plain dict: an enum look-up costs ten times as much, and this one is made for every line.
LEVEL_NAMES: dict[int, str] = {
    TRACE: "TRACE",
    DEBUG: "DEBUG",
    INFO: "INFO",
    EXPERIMENT: "EXPERIMENT",
    PROGRESS: "PROGRESS",
    RESULT: "RESULT",
    METRIC: "METRIC",
    WARNING: "WARNING",
    ERROR: "ERROR",
    CRITICAL: "CRITICAL",
}

#: Name → number, stdlib's aliases included.
LEVEL_NUMBERS: dict[str, int] = {name: number for number, name in LEVEL_NAMES.items()} | {
    "WARN": WARNING,
    "FATAL": CRITICAL,
}

_UNNAMED = "Level "


def level_number(level: int | str) -> int:
    """
    Return the number of a level given by name (in any case) or number.

    Raises:
        ValueError: An unknown name, or a number outside 0 to 100.
    """
    if isinstance(level, str):
        number = LEVEL_NUMBERS.get(level.strip().upper())
        if number is not None:
            return number
    elif isinstance(level, int) and not isinstance(level, bool) and 0 <= level <= 100:
        return int(level)
    allowed = ", ".join(LEVEL_NAMES.values())
    raise ValueError(f"level: {level!r} is not a log level. Allowed: {allowed}, or a number from 0 to 100.")


def level_name(number: int) -> str:
    """Return the name of a level number; a level without a name is `Level 17`, as in the stdlib."""
    return LEVEL_NAMES.get(number) or logging.getLevelName(number)


def written_level(name: str) -> int:
    """Return the number of a level's name in a journal: `Level 17` is 17, and an unknown name is 0."""
    known = LEVEL_NUMBERS.get(name)
    if known is not None:
        return known
    registered = logging.getLevelName(name)  # a name that a library gave its own level
    if isinstance(registered, int):
        return registered
    digits = name.removeprefix(_UNNAMED)
    return int(digits) if name.startswith(_UNNAMED) and digits.isdecimal() and len(digits) <= 4 else 0
