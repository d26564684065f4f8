"""The files of an artifact: of those that a journal names, only those that may leave this machine."""

from __future__ import annotations

import json
import os
from collections import deque
from pathlib import Path
from typing import Any

import attrs
import pytest

from refunc.journal import provenance
from refunc.journal.record import Artifact
from refunc.logging.artifacts.storing import Artifacts
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
    source = own_folder / "model.bin"
    source.write_bytes(b"weights")
    return Artifact(name="model.bin", **Artifacts(info.folder, info.run_id, deque()).store(source, copy=False))


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
        {"size": 7, "mtime": "true"},
        {"size": 7, "mtime": "true", "mac": "0" * 32},
    ],
)
def test_a_journal_that_only_names_a_file_gets_none(
    forged: dict[str, Any], info: RunInfo, recorded: Artifact, own_folder: Path
) -> None:
    """A run from elsewhere may name a key of the user who delivers it; alone, within a folder, or as a folder."""
    if forged.get("mtime") == "true":
        forged = {**forged, "mtime": recorded.mtime}
    entry = {"path": "x", "source": recorded.source, **forged}
    (info.folder / "artifacts" / "listing").write_text(json.dumps([entry]))

    assert info.files_of(Artifact(name="a", source=recorded.source, **forged)) == []
    assert info.files_of(Artifact(name="a", source=str(own_folder), **forged)) == []
    assert info.files_of(Artifact(name="a", stored="artifacts/listing")) == []


def test_a_reference_within_a_folder_gives_the_file_too(info: RunInfo, recorded: Artifact) -> None:
    entry = {"path": "sub/x", **{name: getattr(recorded, name) for name in ("source", "size", "mtime", "mac")}}
    (info.folder / "artifacts" / "listing").write_text(json.dumps([entry]))

    [file] = info.files_of(Artifact(name="a", stored="artifacts/listing"))

    assert (str(file.source), file.path) == (recorded.source, "sub/x")


@pytest.mark.parametrize("whose", ["another user's key", "another run's code", "another file's code"])
def test_a_code_that_is_not_of_this_user_run_and_file_sends_nothing(
    whose: str, info: RunInfo, recorded: Artifact, own_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """Who shares the machine may know the size and time of a file that he cannot read, and guess them 3,600 times."""
    match whose:
        case "another user's key":
            monkeypatch.setattr(provenance, "_key", b"k" * 32)
        case "another run's code":
            info = attrs.evolve(info, run_id="hgfedcba")
        case _:
            (own_folder / "key").write_bytes(b"private")
            os.utime(own_folder / "key", (recorded.mtime or 0.0, recorded.mtime or 0.0))
            recorded = attrs.evolve(recorded, source=str(own_folder / "key"))

    assert info.files_of(recorded) == []
    assert "it was not recorded by this user" in caplog.text


def test_a_folder_of_references_is_sent_where_each_is_as_it_was_logged(info: RunInfo, own_folder: Path) -> None:
    (own_folder / "model").mkdir()
    for name in "ab":
        (own_folder / "model" / name).write_text(name)
    stored = Artifacts(info.folder, info.run_id, deque()).store(own_folder / "model", copy=False)

    files = info.files_of(Artifact(name="model", **stored))

    assert {file.path: file.source.read_text() for file in files} == {"a": "a", "b": "b"}
