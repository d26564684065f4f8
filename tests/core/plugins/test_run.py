"""The files of an artifact: of what a journal names, only what may leave this machine."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.record import Artifact
from refunc.logging.artifacts import Artifacts
from refunc.plugins.run import RunInfo


@pytest.fixture
def info(own_folder: Path) -> RunInfo:
    run = own_folder / "run"
    (run / "artifacts").mkdir(parents=True)
    (run / "run.json").write_text("{}")
    return RunInfo(run_id="abcdefgh", run_name="one", folder=run)


@pytest.fixture
def recorded(info: RunInfo, own_folder: Path) -> Artifact:
    """A file that is recorded as a reference, as `log_artifact(copy=False)` does."""
    from collections import deque

    source = own_folder / "model.bin"
    source.write_bytes(b"weights")
    return Artifact(name="model.bin", **Artifacts(info.folder, deque()).store(source, copy=False))


def test_a_reference_to_a_file_that_is_as_it_was_gives_the_file(info: RunInfo, recorded: Artifact) -> None:
    [file] = info.files_of(recorded)

    assert (file.source.read_bytes(), file.path) == (b"weights", "model.bin")


@pytest.mark.parametrize("change", ["content", "time", "gone", "folder", "pipe"])
def test_a_reference_to_a_file_that_changed_gives_none_and_says_so(
    change: str, info: RunInfo, recorded: Artifact, caplog: pytest.LogCaptureFixture
) -> None:
    source = Path(recorded.source)
    match change:
        case "content":
            source.write_bytes(b"other")
        case "time":
            os.utime(source, (1, 1))
        case _:
            source.unlink()
            if change == "folder":
                source.mkdir()
            elif change == "pipe":
                os.mkfifo(source)

    assert info.files_of(recorded) == []
    [said] = caplog.messages
    assert said.startswith(f"the file {recorded.source!r}, to which an artifact of 'one' refers, is not sent: ")


@pytest.mark.parametrize(
    "forged",
    [
        {},
        {"size": 7},
        {"size": 7, "mtime": 1.0},
        {"size": 6, "mtime": "true"},
    ],
)
def test_a_journal_that_only_names_a_file_gets_none(
    forged: dict[str, Any], info: RunInfo, recorded: Artifact, own_folder: Path
) -> None:
    """A run from elsewhere may name a key of whoever delivers it; alone, within a folder, or as a folder."""
    if forged.get("mtime") == "true":
        forged = {**forged, "mtime": recorded.mtime}
    entry = {"path": "x", "source": recorded.source, **forged}
    (info.folder / "artifacts" / "listing").write_text(json.dumps([entry]))

    assert info.files_of(Artifact(name="a", source=recorded.source, **forged)) == []
    assert info.files_of(Artifact(name="a", source=str(own_folder), **forged)) == []
    assert info.files_of(Artifact(name="a", stored="artifacts/listing")) == []


def test_a_reference_within_a_folder_gives_the_file_too(info: RunInfo, recorded: Artifact) -> None:
    entry = {"path": "sub/x", "source": recorded.source, "size": recorded.size, "mtime": recorded.mtime}
    (info.folder / "artifacts" / "listing").write_text(json.dumps([entry]))

    [file] = info.files_of(Artifact(name="a", stored="artifacts/listing"))

    assert (str(file.source), file.path) == (recorded.source, "sub/x")


def test_a_run_of_another_user_gives_no_file_outside_of_it(
    info: RunInfo, recorded: Artifact, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who shares the machine may know the size and time of a file that he cannot read."""
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)

    assert info.files_of(recorded) == []
    assert "belongs to another user" in caplog.text
