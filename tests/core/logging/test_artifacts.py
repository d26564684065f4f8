"""Artifacts: the record agrees with the stored files, and files that are not stored are reported."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.record import Artifact
from refunc.logging import ExperimentTracker, MLLogger, experiment_context, log_artifact, log_artifacts
from refunc.logging.artifacts import storing as artifacts
from refunc.runs import open_store
from refunc.runs.run import Run


def run_with(log: Callable[[], Any]) -> Run:
    with experiment_context("e", "r") as context:
        log()
    return open_store()[context.run_id]


def paths_of(run: Run, artifact: Artifact) -> list[str]:
    assert artifact.stored is not None
    return [entry["path"] for entry in json.loads((run.folder / artifact.stored).read_bytes())]


@pytest.fixture
def model() -> Path:
    folder = Path("model")
    (folder / "layers").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "layers" / "0.bin").write_text("weights")
    return folder


@pytest.mark.parametrize(
    "what",
    [
        ".",
        "experiments",
        "./experiments/",
        "..",
        "/",
        "link",
        "experiments/../.",
        "{run}",
        "{run}/..",
        "{run}/artifacts",
    ],
)
def test_no_store_is_copied_into_itself(what: str, caplog: pytest.LogCaptureFixture) -> None:
    os.symlink(".", "link")
    Path("train.py").write_text("x")
    with experiment_context("e", "r") as context:
        context.log_artifact("train.py")
        context.log_artifact(what.format(run=context.folder))
    run = open_store()[context.run_id]

    assert [artifact.name for artifact in run.artifacts] == ["train.py"]
    assert "where runs are stored, which would be copied into itself. Log the files" in caplog.text


@pytest.mark.parametrize(
    "log", [lambda: log_artifact(""), lambda: log_artifacts([""]), lambda: log_artifact(Nothing())]
)
def test_an_empty_path_is_a_mistake_that_is_said(log: Callable[[], Any], caplog: pytest.LogCaptureFixture) -> None:
    run = run_with(log)

    assert run.artifacts == []
    assert "was not stored: the path is empty, perhaps from a variable that is not set" in caplog.text


class Nothing(os.PathLike[str]):
    def __fspath__(self) -> str:
        return ""


def test_a_folder_tells_of_files_that_are_too_large_to_be_copied(
    model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(artifacts, "COPY_BYTES", 1_000)
    monkeypatch.setattr(artifacts, "_reflink", lambda *_: False)
    for size in (5_000, 7_000):
        (model / "layers" / f"{size}.bin").write_bytes(b"x" * size)

    run = run_with(lambda: [log_artifact(model, copy=copy) for copy in (None, True, False)])

    default, copied, referred = run.artifacts
    assert (default.references, default.reference_bytes, default.files) == (2, 12_000, 4)
    assert default.largest_references == {"layers/7000.bin": 7_000, "layers/5000.bin": 5_000}
    assert (copied.references, referred.references) == (0, 4)
    (said,) = [message for message in caplog.messages if "log_artifact" in message]
    assert said == (
        "log_artifact: 2 files of model, 12,000 bytes, were recorded as references, not copied: layers/7000.bin "
        "(7,000), layers/5000.bin (5,000). Pass copy=True to copy them."
    )


@pytest.mark.parametrize(("bound", "copied"), [("6KB", ["5000.bin"]), (7_000, ["5000.bin", "7000.bin"]), (0, [])])
def test_a_call_may_say_up_to_which_size_files_are_copied(
    bound: object, copied: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(artifacts, "_reflink", lambda *_: False)
    files = [Path("5000.bin"), Path("7000.bin")]
    for file in files:
        file.write_bytes(file.stem.encode() * (int(file.stem) // 4))

    run = run_with(lambda: [log_artifact(file, copy=bound) for file in files])

    assert [each.name for each in run.artifacts if each.stored] == copied
    assert not [message for message in caplog.messages if "log_artifact" in message]


@pytest.mark.parametrize("bound", ["2 gigs", -1, float("nan"), object(), ""])
def test_a_bound_that_is_not_a_size_is_told_and_the_usual_one_taken(
    bound: object, caplog: pytest.LogCaptureFixture
) -> None:
    Path("small.bin").write_bytes(b"x")
    run = run_with(lambda: log_artifact("small.bin", copy=bound))
    assert run.artifacts[0].stored is not None
    assert "is not a size. Allowed: True, False, a number of bytes, or a text such as 2GB" in caplog.text


def test_what_is_left_out_of_a_folder_is_said_with_its_reason(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    Path("shards").mkdir()
    Path("vocab.txt").write_text("a b")
    os.symlink("../vocab.txt", model / "vocab.txt")
    os.symlink("../shards", model / "shards")
    os.symlink(".", model / "cycle")
    os.symlink("nowhere", model / "broken")
    os.symlink("loop", model / "loop")
    os.mkfifo(model / "pipe")
    server = socket.socket(socket.AF_UNIX)
    server.bind("model/socket")

    run = run_with(lambda: log_artifact(model))
    server.close()

    (artifact,) = run.artifacts
    assert paths_of(run, artifact) == ["config.json", "vocab.txt", "layers/0.bin"]
    assert artifact.left_out_paths == {
        "broken": "a broken link, or removed since",
        "cycle": "a link to a folder",
        "loop": "Too many levels of symbolic links",
        "pipe": "a pipe",
        "shards": "a link to a folder",
        "socket": "a socket",
    }
    assert artifact.left_out == 6
    assert "6 entries of model were left out: broken (a broken link" in caplog.text
    assert caplog.text.count("left out") == 1


@pytest.mark.parametrize("becomes", ["gone", "a pipe", "a folder", "unreadable"])
def test_a_file_that_changes_while_its_folder_is_copied_costs_only_itself(
    becomes: str, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim, copy = model / "layers" / "0.bin", artifacts._copy

    def change(*args: Any) -> Any:
        victim.unlink(missing_ok=True)
        if becomes == "a pipe":
            os.mkfifo(victim)
        elif becomes == "a folder":
            victim.mkdir()
        elif becomes == "unreadable":
            os.symlink("/proc/self/mem", victim)
        monkeypatch.setattr(artifacts, "_copy", copy)
        return copy(*args)

    monkeypatch.setattr(artifacts, "_copy", change)
    run = run_with(lambda: log_artifact(model))

    (artifact,) = run.artifacts
    assert paths_of(run, artifact) == ["config.json"]
    assert list(artifact.left_out_paths) == ["layers/0.bin"]


@pytest.mark.parametrize("in_folder", [False, True])
@pytest.mark.parametrize("change", [b"line\n" * 500_000, None])
def test_what_is_recorded_is_what_is_stored_of_a_file_that_changes(
    in_folder: bool, change: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path("logs")
    folder.mkdir()
    file = folder / "train.out"
    file.write_bytes(b"x" * 3_000_000)
    read = artifacts._read

    def changing(reading: Any) -> bytes:
        chunk = read(reading)
        if change is None:
            os.truncate(file, 1 << 20)
        else:
            with open(file, "ab") as growing:
                growing.write(change)
        return chunk

    monkeypatch.setattr(artifacts, "_read", changing)
    run = run_with(lambda: log_artifact(folder if in_folder else file))

    (artifact,) = run.artifacts
    assert artifact.stored is not None
    stored = json.loads((run.folder / artifact.stored).read_bytes())[0]["stored"] if in_folder else artifact.stored
    content = (run.folder / stored).read_bytes()
    assert artifact.size == len(content)
    assert len(content) == 1 << 20 if change is None else 3_000_000 <= len(content) <= 5_000_000
    if not in_folder:
        import hashlib

        assert artifact.sha256 == hashlib.sha256(content).hexdigest()


def test_room_is_looked_for_a_folder_as_a_whole(
    model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    usage = artifacts.shutil.disk_usage(".")
    monkeypatch.setattr(artifacts.shutil, "disk_usage", lambda _: usage._replace(total=1_000, free=55))  # 50 are kept

    run = run_with(lambda: [log_artifact(model / "config.json"), log_artifact(model)])

    assert [artifact.name for artifact in run.artifacts] == ["config.json"]
    assert "copying 9 bytes would fill the last 5% of the disk" in caplog.text
    assert len(os.listdir(run.folder / "artifacts")) == 1


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems take no such name")
def test_a_name_that_is_no_text_is_kept_as_it_is(model: Path) -> None:
    with open(b"model/\xff.bin", "wb") as file:
        file.write(b"x")
    with open(b"\xfe.bin", "wb") as file:
        file.write(b"y")

    run = run_with(lambda: [log_artifact(model), log_artifact(os.fsdecode(b"\xfe.bin"))])

    folder, single = run.artifacts
    assert os.fsencode(paths_of(run, folder)[1]) == b"\xff.bin"
    assert single.stored is not None
    assert (run.folder / single.stored).read_bytes() == b"y"


def test_files_with_one_name_and_files_with_one_content_are_told_apart(model: Path) -> None:
    for folder, content in (("a", "1"), ("b", "2"), ("c", "1")):
        (model / folder).mkdir()
        (model / folder / "x.bin").write_text(content)

    run = run_with(lambda: log_artifact(model))

    (artifact,) = run.artifacts
    assert artifact.stored is not None
    entries = {e["path"]: e["stored"] for e in json.loads((run.folder / artifact.stored).read_bytes())}
    assert [(run.folder / entries[f"{folder}/x.bin"]).read_text() for folder in "abc"] == ["1", "2", "1"]


@pytest.mark.once
def test_the_cost_of_a_folder_grows_with_its_files_and_no_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in system calls, but for those of a sync: its thread takes as many of them as it gets at."""
    synced = {"open", "fsync", "close"}
    counts = []
    for number in (1, 50, 100, 200):  # the first one imports modules that all need
        folder = Path(f"folder-{number}")
        folder.mkdir()
        for file in range(number):
            (folder / f"{file}.txt").write_text(f"{number} {file}")
        calls: list[str] = []
        sys.setprofile(
            lambda frame, event, arg, calls=calls: (  # type: ignore[misc]
                calls.append(arg.__name__)
                if event == "c_call"
                and getattr(arg, "__module__", "") in ("posix", "nt")
                and arg.__name__ not in {"fspath", *synced}
                else None
            )
        )
        try:
            run_with(lambda folder=folder: log_artifact(folder))  # type: ignore[misc]
        finally:
            sys.setprofile(None)
        counts.append(len(calls))

    _, few, more, many = counts
    assert many - more == pytest.approx(2 * (more - few), rel=0.1)
    assert (many - more) / 100 < 35


def test_trackers_and_loggers_tell_the_same(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    os.mkfifo(model / "pipe")
    with ExperimentTracker("e", "r") as tracker:
        tracker.log_artifact(model)
    MLLogger("m").log_artifact("")

    assert "1 entries of model were left out: pipe (a pipe)" in caplog.text
    assert "the path is empty" in caplog.text
