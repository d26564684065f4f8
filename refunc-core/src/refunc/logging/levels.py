"""
The ten levels of refunc: stdlib logging's five, TRACE below them, and four for machine learning.

The ML levels lie between INFO and WARNING, so that the default level shows them and no stdlib handler set to
WARNING does.
"""

from __future__ import annotations

import logging
from enum import IntEnum


class LogLevel(IntEnum):
    """A log level; equal to its stdlib number, so it works wherever `logging` wants an int."""

    TRACE = 5
    DEBUG = 10
    INFO = 20
    EXPERIMENT = 22
    PROGRESS = 23
    RESULT = 24
    METRIC = 25
    WARNING = 30
    ERROR = 40
    CRITICAL = 50


#: Number → name, as a plain dict: an enum look-up costs ten times as much, and this one is made for every line.
LEVEL_NAMES: dict[int, str] = {level.value: level.name for level in LogLevel}

#: Name → number, stdlib's aliases included.
LEVEL_NUMBERS: dict[str, int] = {name: number for number, name in LEVEL_NAMES.items()} | {
    "WARN": logging.WARNING,
    "FATAL": logging.CRITICAL,
}


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
    """Return the name of a level number; one that has none reads `Level 17`, as in the stdlib."""
    return LEVEL_NAMES.get(number) or logging.getLevelName(number)


def register_level_names() -> None:
    """Teach stdlib logging the five names that it lacks; a name that somebody else registered is left alone."""
    for number, name in LEVEL_NAMES.items():
        if logging.getLevelName(number).startswith("Level "):
            logging.addLevelName(number, name)
