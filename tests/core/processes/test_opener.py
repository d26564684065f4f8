"""The process that opened a file, as this machine tells it: elsewhere it cannot be seen."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.core.conftest import Process

from refunc.processes.opener import holders_of, is_above

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(not os.path.exists("/proc/locks"), reason="elsewhere processes cannot be asked"),
]


def test_who_holds_a_lock_is_seen(process: Callable[..., Process], tmp_path: Path) -> None:
    (path := tmp_path / "file").touch()
    holder = process()
    before = holders_of(path.stat())
    holder.hold(path)

    assert (before, holders_of(path.stat())) == ([], [holder.popen.pid])


def test_only_processes_above_this_one_are_above_it(process: Callable[..., Process]) -> None:
    assert is_above(os.getppid())
    assert not is_above(os.getpid())
    assert not is_above(process().popen.pid)
