"""Which process delivers: no other user can hold that up, nor read how far it is."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from refunc.delivery.cursor import Cursor
from refunc.delivery.custody import save_cursor
from refunc.delivery.lock import DeliveryLock

pytestmark = [pytest.mark.once, pytest.mark.skipif(os.name == "nt", reason="no modes there")]

_HOLD = """
import fcntl, os, sys
fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("open_umask")
def test_cursor_and_lock_are_closed_to_others_whatever_the_umask_and_they_were(tmp_path: Path) -> None:
    for _ in range(2):
        lock = DeliveryLock(tmp_path, "k1")
        assert lock.take()
        save_cursor(Cursor(tmp_path, "k1", "x"))
        lock.release()
        assert {path.name: mode(path) for path in (tmp_path / "delivery").iterdir()} == {
            "k1.json": 0o600,
            "k1.lock": 0o600,
        }
        for path in (tmp_path / "delivery").iterdir():
            path.chmod(0o666)


def test_one_of_several_has_it(tmp_path: Path) -> None:
    first, second = DeliveryLock(tmp_path, "k1"), DeliveryLock(tmp_path, "k1")

    taken = [first.take(), second.take()]
    first.release()

    assert (taken, second.take()) == ([True, False], True)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can act as another user")
def test_another_user_who_holds_an_opened_lock_holds_nothing_up(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(0o755)
    (tmp_path / "delivery").mkdir(mode=0o755)
    (path := tmp_path / "delivery" / "k1.lock").touch()
    path.chmod(0o644)
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c", _HOLD, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as stranger:
        assert stranger.stdout
        assert stranger.stdout.readline() == "held\n"
        locks = [DeliveryLock(tmp_path, "k1") for _ in range(3)]

        taken = [lock.take() for lock in locks]
        stranger.communicate()

    assert taken == [True, False, False]
    assert mode(path) == 0o600
    assert not DeliveryLock(tmp_path, "k1").take()
    assert os.listdir(tmp_path / "delivery") == ["k1.lock"]
    for lock in locks:
        lock.release()
