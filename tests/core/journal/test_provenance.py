"""The key that proves which runs are this user's: made once, whole, and for this user alone."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from refunc.journal import provenance


@pytest.fixture(autouse=True)
def fresh(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(own_folder / "state"))
    monkeypatch.setattr(provenance, "_is_kept", False)
    monkeypatch.setattr(provenance, "_key", None)


def test_processes_that_make_it_at_once_have_the_same_one(own_folder: Path) -> None:
    code = "from refunc.journal.provenance import key; print(key().hex())"
    processes = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(8)]
    found = {process.communicate(timeout=60)[0].strip() for process in processes}

    assert found == {provenance.key().hex()}
    assert provenance.missing_key() == ""
    assert os.listdir(own_folder / "state" / "refunc") == ["key"]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_only_this_user_can_read_it(umask: int) -> None:
    before = os.umask(umask)
    try:
        provenance.key()
    finally:
        os.umask(before)

    assert stat.S_IMODE(provenance.key_path().stat().st_mode) == 0o600


@pytest.mark.parametrize("wrong", ["readable", "link", "folder", "pipe", "short", "not hexadecimal", "empty"])
def test_one_that_others_may_know_is_not_used_and_the_reason_is_said(wrong: str, own_folder: Path) -> None:
    path = provenance.key_path()
    path.parent.mkdir(parents=True)
    good = b"ab" * 32
    match wrong:
        case "link":
            (own_folder / "elsewhere").write_bytes(good)
            path.symlink_to(own_folder / "elsewhere")
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path, 0o600)
        case _:
            path.write_bytes({"short": b"ab", "not hexadecimal": b"x" * 64, "empty": b""}.get(wrong, good))
            path.chmod(0o644 if wrong == "readable" else 0o600)

    assert provenance.missing_key().startswith(f"{path}: ")
    assert provenance.key() == provenance.key() != bytes.fromhex("ab" * 32)


def test_codes_of_other_things_are_others() -> None:
    codes = {
        provenance.mac_of_reference(*facts)
        for facts in [
            ("a", "b", 1, 1.0),
            ("b", "b", 1, 1.0),
            ("a", "c", 1, 1.0),
            ("a", "b", 2, 1.0),
            ("a", "b", 1, 2.0),
        ]
    }

    assert len(codes) == 5
    assert not provenance.is_authentic("", codes.pop())
    assert not provenance.is_authentic(None, codes.pop())
