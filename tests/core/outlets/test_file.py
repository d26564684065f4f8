"""Appending that can be taken up again, and locks that end with the process."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from refunc.outlets.file import AppendFile
from refunc.outlets.locks import is_locked, lock
from refunc.outlets.opening import write_whole


@pytest.mark.parametrize("written", range(11))
def test_an_interrupted_write_is_continued_where_it_stopped(written: int, tmp_path: Path) -> None:
    file = AppendFile(tmp_path / "a", new=True)
    os.write(file.fd, b"before")
    os.write(file.fd, b"0123456789"[:written])

    file.append_from(6, b"0123456789", resume=True)
    file.close()

    assert (tmp_path / "a").read_bytes() == b"before0123456789"


def test_short_writes_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, bytes(data)[:3]))
    fd = os.open(tmp_path / "a", os.O_WRONLY | os.O_CREAT)

    write_whole(fd, b"0123456789")
    os.close(fd)

    assert (tmp_path / "a").read_bytes() == b"0123456789"


def test_a_new_file_must_be_new_and_is_no_link(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    (tmp_path / "link").symlink_to(tmp_path / "target")

    with pytest.raises(FileExistsError):
        AppendFile(tmp_path / "there", new=True)
    with pytest.raises(OSError):
        AppendFile(tmp_path / "link", new=False)
    assert not (tmp_path / "target").exists()


def test_a_file_reads_its_own_bytes_under_another_name_too(tmp_path: Path) -> None:
    file = AppendFile(tmp_path / "a", new=True)
    file.append_from(0, b"0123456789", resume=False)
    os.rename(tmp_path / "a", tmp_path / "b")
    (tmp_path / "a").write_bytes(b"somebody else's")

    assert file.read(2, 5) == b"234"
    file.append_from(10, b"x", resume=False)
    file.close()
    assert (tmp_path / "b").read_bytes() == b"0123456789x"


def test_closing_twice_does_no_harm(tmp_path: Path) -> None:
    file = AppendFile(tmp_path / "a", new=True)
    file.close()
    file.close()
    with pytest.raises(OSError) as caught:
        file.append_from(0, b"x", resume=False)
    assert caught.value.errno == errno.EBADF


def test_only_what_is_new_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    monkeypatch.setattr("refunc.outlets.file._datasync", calls.append)
    file = AppendFile(tmp_path / "a", new=True)
    file.fsync(0)
    file.fsync(5)
    file.fsync(5)
    file.fsync(6)
    synced = calls.count(file.fd)  # the thread that syncs the files of earlier tests may come between
    file.close()

    assert synced == 2
    assert file.fsynced == 6


def test_a_lock_is_seen_and_ends_with_the_open_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    one, other = (os.open(path, os.O_RDWR | os.O_CREAT) for _ in range(2))

    assert is_locked(path) is False
    assert lock(one) is True
    assert is_locked(path) is True
    assert lock(other) is False
    os.close(one)
    assert is_locked(path) is False
    assert lock(other) is True
    os.close(other)
    assert is_locked(tmp_path / "missing") is None
