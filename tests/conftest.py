"""What every test has: an empty folder to run in, and `require` for parts a machine lacks."""

from __future__ import annotations

import os
from collections.abc import Callable
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
