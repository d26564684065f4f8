"""Tests that use refunc in their own process leave it as they found it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def clean_process() -> Iterator[None]:
    """Leave no run, waiting line, warning memory or logger behind for the next test."""
    from refunc.logging import current, logfile, report, setup

    yield
    for run in reversed(list(current.open_runs())):
        current.finish(run, "completed")
    current.loose_lines.clear()
    report._said.clear()
    for file in logfile._files.values():
        file.close()
    logfile._files.clear()
    setup._capture_warnings(False)
    setup._loggers.clear()
    setup._settings.clear()
    for name, logger in list(logging.Logger.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and not name.startswith(("hypothesis", "asyncio", "concurrent")):
            logger.handlers.clear()
            logger.setLevel(logging.NOTSET)
    import refunc.logging

    for name in refunc.logging._DEFAULT_LOGGER:
        vars(refunc.logging).pop(name, None)
