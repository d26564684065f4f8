"""
The ten levels of refunc, as users name them: stdlib logging's five, TRACE below them, and four for machine learning.

The ML levels lie between INFO and WARNING, so that the default level shows them and no stdlib handler set to
WARNING does.
"""

from __future__ import annotations

import logging
from enum import IntEnum

from refunc.values import levels
from refunc.values.levels import LEVEL_NAMES, level_name, level_number

__all__ = ["LogLevel", "level_name", "level_number", "register_level_names"]


class LogLevel(IntEnum):
    """A log level; equal to its stdlib number, so it works wherever `logging` wants an int."""

    TRACE = levels.TRACE
    DEBUG = levels.DEBUG
    INFO = levels.INFO
    EXPERIMENT = levels.EXPERIMENT
    PROGRESS = levels.PROGRESS
    RESULT = levels.RESULT
    METRIC = levels.METRIC
    WARNING = levels.WARNING
    ERROR = levels.ERROR
    CRITICAL = levels.CRITICAL


def register_level_names() -> None:
    """Register the five level names that stdlib logging lacks; a name that is already registered is left alone."""
    for number, name in LEVEL_NAMES.items():
        if logging.getLevelName(number).startswith("Level "):
            logging.addLevelName(number, name)
