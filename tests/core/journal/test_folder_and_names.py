"""The run's folder, complete or not there at all; and names that are safe as paths."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refunc.journal.folder import RunFolder
from refunc.outlets.file import is_locked
from refunc.values.names import folder_name, new_id, slug, unique_slug, writer_id

_ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=300)


def test_a_folder_is_made_once_and_locked(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "store" / "run", {"run_id": "abc"})
    folder.create()
    folder.create()

    assert sorted(os.listdir(folder.path)) == [".gitignore", "journal", "run.json"]
    birth = json.loads((folder.path / "run.json").read_bytes())
    assert (birth.pop("opened_by")["pid"], len(birth.pop("family")) > 0) == (os.getpid(), True)
    assert birth == {"run_id": "abc"}
    assert is_locked(folder.path / "run.json") is True
    folder.release()
    folder.release()
    assert is_locked(folder.path / "run.json") is False


@pytest.mark.parametrize("name", ["write", "fsync", "replace"])
def test_a_failure_leaves_no_half_run_json_and_no_draft(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path / "run", {"run_id": "abc"})

    def fail(*args: Any) -> Any:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, name, fail)
        with pytest.raises(OSError):
            folder.create()
    assert sorted(os.listdir(folder.path)) == [".gitignore", "journal"]

    folder.create()
    assert is_locked(folder.path / "run.json") is True
    folder.release()


def test_a_short_write_does_not_cut_run_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is nearly full takes a part and raises nothing."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, bytes(data)[:4]))
    folder = RunFolder(tmp_path / "run", {"run_id": "abc", "experiment_name": "x" * 100})
    folder.create()
    folder.release()

    assert json.loads((folder.path / "run.json").read_bytes()).items() >= folder.birth.items()


@given(_ANY_TEXT)
def test_a_slug_is_a_safe_path(name: str) -> None:
    for safe in (slug(name), unique_slug(name)):
        assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,39}", safe)
        assert ".." not in safe
        assert not safe.endswith(".")
    assert len(folder_name(0.0, name, "id")) < 80


@given(_ANY_TEXT, _ANY_TEXT)
def test_unique_slugs_of_different_names_differ(one: str, other: str) -> None:
    assert (unique_slug(one) == unique_slug(other)) == (one == other)


@pytest.mark.parametrize("name", ["con", "NUL", "com1.txt", "aux"])
def test_names_of_devices_are_not_used(name: str) -> None:
    assert unique_slug(name).lower() != name.lower()


def test_ids_and_writers_are_not_given_twice() -> None:
    assert len({new_id() for _ in range(2_000)}) == 2_000
    assert len({writer_id("my-host.local") for _ in range(200)}) == 200
    assert writer_id("my-host.local").split("-")[-3] == str(os.getpid())
