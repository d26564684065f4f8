"""One call that configures how refunc's loggers look, write and deliver: `setup_logging`."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

from refunc.logging.console.handler import ConsoleHandler
from refunc.logging.logger import MLLogger
from refunc.logging.shared_loggers import configure_all
from refunc.outlets.durability import Durability

# The changes of `capture_warnings`, so that switching it off undoes these and no others.
_warning_handlers: list[logging.Handler] = []
_switched_capture_on = False
#: Whether `signals` was given before: only then is there one to watch no longer.
_has_watched = False


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
    signals: Sequence[str | int] = (),
) -> MLLogger:
    """
    Configure the loggers from `get_logger`, existing ones included, and return the default one.

    Handlers and loggers of other libraries are left alone.

    Args:
        integrations: Trackers to deliver to, by plugin name, with their options: `{"slack": {"channel": "#ml"}}`.
            Options that are left out come from the environment.
        signals: Signals that come before the machine is taken away, such as `("SIGTERM", "SIGUSR1")`. Everything is
            written and runs end as `preempted`; then the handler that was there before follows, or the signal's default
            action. Of the main thread only.
        capture_warnings: Bring `warnings.warn` into the run, as lines of the logger `py.warnings`.

    Raises:
        ValueError: An option, also of an integration, has a value that is not allowed, and nothing is changed; or a
            signal is not known here, or cannot be handled in this thread.
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
    default = configure_all(settings, _configured(integrations))
    _capture_warnings(capture_warnings)
    _watch(signals)
    return default


def _watch(signals: Sequence[str | int]) -> None:
    global _has_watched
    if signals or _has_watched:
        from refunc.logging import preemption  # imported only where it is used

        _has_watched = True
        preemption.watch(signals)


def _configured(integrations: Mapping[str, Mapping[str, Any]] | None) -> tuple[Any, ...]:
    if not integrations:
        return ()
    from refunc.logging.integrations import configured

    return tuple(configured(integrations))


def _capture_warnings(wanted: bool) -> None:
    global _switched_capture_on
    logger = logging.getLogger("py.warnings")
    if wanted:
        from refunc.logging.handlers.run_handler import RunHandler  # imported only where it is used

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
