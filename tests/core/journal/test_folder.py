"""The run's folder: complete, or not there at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.folder import RunFolder
from refunc.outlets.locks import is_locked


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
