"""Loggers by name with shared settings: `get_logger`, and the settings from `setup_logging`."""

from __future__ import annotations

from typing import Any

from refunc.logging import named
from refunc.logging.logger import MLLogger
from refunc.values.levels import EXPERIMENT

DEFAULT_NAME = "refunc"

_settings: dict[str, Any] = {}
_shared: list[Any] = []


def get_logger(name: str = DEFAULT_NAME) -> MLLogger:
    """Return the logger of that name, always the same one, configured by the last `setup_logging`."""
    logger = named.kept(name)
    if logger is None:
        logger = named.keep(MLLogger(name, **_settings))
        if _shared:
            logger._share(tuple(_shared))
    return logger


def default_logger() -> MLLogger:
    """Return the logger of refunc's own lines: the script's own `MLLogger()` if it has made one."""
    return named.latest(DEFAULT_NAME) or get_logger()


def are_runs_announced() -> bool:
    """
    Whether lines about a run without a logger are shown: if one of the script's own loggers shows such lines.

    The default logger counts only if there is no other: with `MLLogger("train", level="WARNING")`, a script has chosen
    its level. Once `setup_logging` was called, the default logger's own level decides.
    """
    made = [logger for logger in named.all_latest() if logger.name != DEFAULT_NAME]
    return bool(_settings) or not made or any(logger.level <= EXPERIMENT for logger in made)


def configure_all(settings: dict[str, Any], integrations: tuple[Any, ...]) -> MLLogger:
    """
    Configure all present and later loggers from `get_logger`; return the default one.

    Raises:
        ValueError: A setting has a value that is not allowed. Nothing is changed then.
    """
    default = get_logger()
    default._configure(**settings)
    _settings.update(settings)
    for logger in named.all_kept():
        if logger is not default:
            logger._configure(**settings)
    _shared[:] = integrations
    for logger in named.all_kept():
        logger._share(integrations)
    return default
