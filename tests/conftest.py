"""What every test has: an empty folder to run in, a clean process state, and `require` for parts a machine lacks."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REQUIRE_ALL = bool(os.environ.get("REFUNC_REQUIRE_ALL"))


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run each test in an empty folder, without the variables that a developer's shell may have set."""
    for name in [name for name in os.environ if name.startswith("REFUNC_")]:
        monkeypatch.delenv(name)
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def clean_process() -> Iterator[None]:
    """Leave no run, waiting line, warning memory or logger behind for the next test."""
    from refunc.logging import current, report, setup

    yield
    for run in reversed(list(current.open_runs())):
        current.finish(run, "completed")
    current.loose_lines.clear()
    report._said.clear()
    for logger in [*setup._loggers.values()]:
        for file in logger._files:
            file.close()
    setup._loggers.clear()
    setup._settings.clear()
    for name, logger in list(logging.Logger.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and not name.startswith(("hypothesis", "asyncio", "concurrent")):
            logger.handlers.clear()
            logger.setLevel(logging.NOTSET)
    import refunc.logging

    for name in refunc.logging._DEFAULT_LOGGER:
        vars(refunc.logging).pop(name, None)


@pytest.fixture
def require() -> Callable[[bool, str], None]:
    """Skip the test unless a part is there; under `REFUNC_REQUIRE_ALL`, as in CI, fail instead."""

    def require(present: bool, install: str) -> None:
        if present:
            return
        message = f"this machine lacks a part; install it with: {install}"
        if REQUIRE_ALL:
            pytest.fail(message)
        pytest.skip(message)

    return require
