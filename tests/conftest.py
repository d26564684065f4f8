"""What every test has: an empty folder to run in, `require` for parts a machine lacks, and `tools` for processes."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


class Tools:
    """What tests of several processes share; in importlib mode no test file can import another."""

    @staticmethod
    def until(condition: Callable[[], Any], deadline: float = 30.0) -> Any:
        """Come back with what *condition* gives as soon as that is true; fail after *deadline* seconds."""
        end = time.monotonic() + deadline
        while not (value := condition()):
            assert time.monotonic() < end, "the condition did not come true in time"
            time.sleep(0.01)
        return value

    @staticmethod
    def free_port() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    @staticmethod
    def delivery_pids(folder: Path) -> list[int]:
        """Return the delivery processes that work for *folder*, by their working folder and their program."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                is_delivery = entry.name.isdigit() and b"refunc.delivery.process" in (entry / "cmdline").read_bytes()
                if is_delivery and os.readlink(entry / "cwd") == str(folder.resolve()):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    @classmethod
    def kill_delivery(cls, folder: Path) -> int:
        """Kill the delivery processes that work for *folder*; return how many there were."""
        pids = cls.delivery_pids(folder)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        return len(pids)


@pytest.fixture(scope="session")
def tools() -> type[Tools]:
    return Tools
