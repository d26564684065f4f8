"""The file of annotations: damage, strangers' files, locks, and folders that cannot be written to."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.annotations import AnnotationError, annotate, replaced
from refunc.annotations.file import ANNOTATIONS, read
from refunc.annotations.replaced import change
from refunc.outlets import locks


def change_with(**members: Any) -> str:
    return json.dumps({"format": 1, "changes": [{"id": "a", "time": 1.0, **members}]})


HOSTILE = {
    "empty": b"",
    "no JSON": b"{",
    "not UTF-8": b"\xff\xfe\x00",
    "a list": b"[]",
    "null": b"null",
    "no format": b'{"changes": []}',
    "a newer format": b'{"format": 2, "changes": []}',
    "no changes": b'{"format": 1}',
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "a deep change": b'{"format": 1, "changes": [' + b"[" * 100_000 + b"]" * 100_000 + b"]}",
    "large": b" " * (1 << 20) + b"{}",
    "many digits": b'{"format": 1, "changes": [{"id": "a", "time": ' + b"9" * 10_000 + b"}]}",
    "a change that is none": b'{"format": 1, "changes": [7]}',
    **{
        f"{name} {value!r}"[:60]: change_with(**{name: value}).encode()
        for name, value in [
            ("id", None), ("id", ""), ("id", 3), ("id", "x" * 65), ("time", None), ("time", True), ("time", "now"),
            ("time", float("nan")), ("time", float("inf")), ("time", -1e300), ("time", 10**300), ("by", 3),
            ("host", []), ("name", 1), ("note", {}), ("tags", []), ("tags", {"a": 1}), ("tags", {"a": {}}),
            ("removed", "yes"), ("removed", 1), ("removed_notes", "a"), ("removed_notes", [1]),
        ]
    },
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_damaged_file_is_a_problem_and_stays_as_it_is(name: str, folder: Path) -> None:
    (folder / ANNOTATIONS).write_bytes(HOSTILE[name])

    found = read(folder)
    assert (found.changes, found.tags, found.name, found.notes, found.removal) == ((), {}, None, [], None)
    assert found.problem is not None
    assert found.problem.startswith(ANNOTATIONS)
    with pytest.raises(AnnotationError, match="Repair the file, or move it away"):
        annotate(folder, note="x")
    assert (folder / ANNOTATIONS).read_bytes() == HOSTILE[name]


def test_very_many_changes_are_read_in_time_proportional_to_them(folder: Path) -> None:
    some = [{"id": str(number), "time": 0, "tags": {str(number): ""}} for number in range(12_000)]
    (folder / ANNOTATIONS).write_text(json.dumps({"format": 1, "changes": some}, separators=(",", ":")))
    before = time.process_time()
    found = annotate(folder, note="x")
    assert len(found.tags) == 12_000
    assert time.process_time() - before < 5


@pytest.mark.parametrize("put", [os.mkfifo, os.mkdir, lambda path: path.symlink_to(path.parent / "run.json")])
def test_what_is_no_file_is_neither_read_nor_written(put: Callable[[Path], Any], folder: Path) -> None:
    put(folder / ANNOTATIONS)
    before = (folder / "run.json").read_bytes()

    assert read(folder).problem is not None
    with pytest.raises(OSError, match="its annotations cannot be written"):
        annotate(folder, note="x")
    assert (folder / "run.json").read_bytes() == before


def test_a_number_that_json_lacks_is_not_written(folder: Path) -> None:
    (folder / ANNOTATIONS).write_text('{"format": 1, "changes": [{"id": "a", "time": 1, "rating": 1e999}]}')
    before = (folder / ANNOTATIONS).read_bytes()
    with pytest.raises(AnnotationError, match="has a member that cannot be written again"):
        annotate(folder, note="x")
    assert (folder / ANNOTATIONS).read_bytes() == before


HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "r+")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_that_is_held_ends_the_wait_in_time(folder: Path) -> None:
    annotate(folder, note="first")
    command = [sys.executable, "-c", HOLDER, str(folder / ANNOTATIONS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        begin = time.monotonic()
        with pytest.raises(TimeoutError, match=rf"another process holds the lock on {ANNOTATIONS}. Try again"):
            change(folder, lambda known: known.changes, patience=0.2)
        assert time.monotonic() - begin < 4
        assert len(read(folder).changes) == 1, "readers do not wait"
    assert len(annotate(folder, note="second").changes) == 2


def test_without_locks_it_works_and_says_so_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(locks.fcntl, "flock", refused)
    replaced._tell_no_locks.cache_clear()
    with caplog.at_level(logging.WARNING):
        for number in range(3):
            annotate(folder, note=str(number))

    assert [note.text for note in read(folder).notes] == ["0", "1", "2"]
    [record] = caplog.records
    assert record.getMessage() == (
        f"{folder.parent} has no file locks: an annotation by another process at the same moment may be lost."
    )


def test_a_folder_that_cannot_be_written_to_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Any, flags: int, *rest: Any, **options: Any) -> int:
        if flags & os.O_CREAT:
            raise OSError(30, "Read-only file system", path)
        return opened(path, flags, *rest, **options)

    opened = os.open
    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(OSError, match=r"its annotations cannot be written \(Read-only file system\)") as raised:
        annotate(folder, note="x")
    assert raised.value.filename == str(folder)


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
def test_the_file_follows_the_umask(folder: Path) -> None:
    before = os.umask(0o027)
    try:
        annotate(folder, note="x")
        annotate(folder, note="y")
    finally:
        os.umask(before)
    assert (folder / ANNOTATIONS).stat().st_mode & 0o777 == 0o640
