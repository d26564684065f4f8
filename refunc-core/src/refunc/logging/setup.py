"""Loggers by name, and what they have in common: `setup_logging`, `get_logger`."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from os import PathLike
from typing import Any

from refunc.journal.outlet import Durability
from refunc.logging.console import ConsoleHandler
from refunc.logging.logger import MLLogger

DEFAULT_NAME = "refunc"

_loggers: dict[str, MLLogger] = {}
_settings: dict[str, Any] = {}
_shared: list[Any] = []
# What `capture_warnings` did, so that switching it off undoes that and nothing of what others did.
_warning_handlers: list[logging.Handler] = []
_switched_capture_on = False


def get_logger(name: str = DEFAULT_NAME) -> MLLogger:
    """Return the logger of that name, always the same one, made as `setup_logging` last said."""
    logger = _loggers.get(name)
    if logger is None:
        logger = _loggers.setdefault(name, MLLogger(name, **_settings))
        if _shared:
            logger._share(tuple(_shared))
    return logger


def setup_logging(
    level: int | str = "INFO",
    log_dir: str | PathLike[str] | None = None,
    colored: bool = True,
    json_logging: bool = False,
    experiment_tracking: bool = True,
    *,
    integrations: Mapping[str, Mapping[str, Any]] | None = None,
    max_log_files: int = 10,
    max_file_size: str | int = "100MB",
    durability: Durability = "async",
    capture_warnings: bool = False,
) -> MLLogger:
    """
    Say how loggers from `get_logger` look and write, those that exist included, and return the default one.

    Handlers and loggers of others are left alone.

    Args:
        integrations: Trackers to deliver to, by plugin name, with their options: `{"slack": {"channel": "#ml"}}`.
            What an option leaves out, the environment says.
        capture_warnings: Bring `warnings.warn` into the run, as lines of the logger `py.warnings`.

    Raises:
        ValueError: An option has a value that is not allowed, of an integration too. Nothing was changed then.
    """
    settings: dict[str, Any] = {
        "level": level,
        "log_dir": log_dir,
        "experiment_tracking": experiment_tracking,
        "colored_output": colored,
        "json_logging": json_logging,
        "max_log_files": max_log_files,
        "max_file_size": max_file_size,
        "durability": durability,
    }
    shared = _configured(integrations)
    default = get_logger()
    default._configure(**settings)
    _settings.update(settings)
    for logger in tuple(_loggers.values()):
        if logger is not default:
            logger._configure(**settings)
    _shared[:] = shared
    for logger in tuple(_loggers.values()):
        logger._share(shared)
    _capture_warnings(capture_warnings)
    return default


def _configured(integrations: Mapping[str, Mapping[str, Any]] | None) -> tuple[Any, ...]:
    if not integrations:
        return ()
    from refunc.logging.delivering import configured

    return tuple(configured(integrations))


def _capture_warnings(wanted: bool) -> None:
    global _switched_capture_on
    logger = logging.getLogger("py.warnings")
    if wanted:
        from refunc.logging.run_handler import RunHandler

        before = warnings.showwarning
        logging.captureWarnings(True)
        _switched_capture_on = _switched_capture_on or warnings.showwarning is not before
        for kind in (RunHandler, ConsoleHandler):
            if not any(isinstance(handler, kind) for handler in logger.handlers):
                handler = kind()
                logger.addHandler(handler)
                _warning_handlers.append(handler)
    else:
        while _warning_handlers:
            logger.removeHandler(_warning_handlers.pop())
        if _switched_capture_on:
            _switched_capture_on = False
            logging.captureWarnings(False)
