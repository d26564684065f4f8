"""The writer of a run's journal: segments, numbers, and records that cannot be encoded."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from refunc.journal import kinds
from refunc.journal.folder import RunFolder
from refunc.journal.reader import Account, read_journal, segments
from refunc.journal.record import Metrics, Unknown
from refunc.journal.writer import JournalWriter


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[JournalWriter]:
    writer = JournalWriter(RunFolder(tmp_path / "run", {"run_id": "abc"}), logger="train")
    yield writer
    writer.close()
    writer.release()


def _put(writer: JournalWriter, n: int, **metrics: Any) -> None:
    writer.append((kinds.METRICS, time.time(), {"n": n, **metrics}, n, None, False, "train", None))


def _read(writer: JournalWriter) -> tuple[list[Any], Account]:
    account = Account()
    return list(read_journal(writer.folder.path, account)), account


def test_nothing_is_on_disk_before_the_first_record(writer: JournalWriter) -> None:
    assert not writer.folder.path.exists()
    _put(writer, 0)
    assert writer.flush()
    assert (writer.folder.path / "run.json").exists()


def test_numbers_are_contiguous_over_segments(writer: JournalWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refunc.journal.writer.SEGMENT_BYTES", 1_000)
    for n in range(200):
        _put(writer, n)
        if n % 7 == 0:
            writer.flush()
    writer.flush(sync=True)

    records, account = _read(writer)
    assert [record.seq for record in records] == list(range(200))
    assert account == Account()
    [paths] = segments(writer.folder.path).values()
    assert len(paths) > 5
    for number, path in enumerate(paths):
        header = json.loads(path.read_bytes().split(b"\n")[0])
        assert (header["kind"], header["segment"], header["pid"]) == ("segment", number, os.getpid())


def test_a_record_behind_the_close_opens_the_next_segment(writer: JournalWriter) -> None:
    _put(writer, 0)
    writer.close()
    _put(writer, 1)
    assert writer.flush()

    records, account = _read(writer)
    assert [record.metrics["n"] for record in records] == [0, 1]
    assert account == Account()


def test_a_record_that_cannot_be_encoded_holds_up_nothing(
    writer: JournalWriter, caplog: pytest.LogCaptureFixture
) -> None:
    _put(writer, 0)
    writer.append((kinds.LOG, time.time(), {"message": object()}))
    writer.append((kinds.LOG,))
    _put(writer, 3)
    assert writer.flush()

    records, account = _read(writer)
    assert [type(record) for record in records] == [Metrics, Unknown, Unknown, Metrics]
    assert account == Account()
    assert "could not be encoded" in caplog.text


def test_a_logger_is_named_where_it_is_another(writer: JournalWriter) -> None:
    for name in ("train", "eval"):
        writer.append((kinds.METRICS, time.time(), {"n": 1}, 0, None, False, name, None))
    writer.flush()

    records, _ = _read(writer)
    assert [record.logger for record in records] == ["train", "eval"]
    [[path]] = segments(writer.folder.path).values()
    assert [b'"logger":"train"' in line for line in path.read_bytes().splitlines()] == [True, False, False]


def test_big_records_make_small_batches(writer: JournalWriter) -> None:
    """So that memory for encoded lines stays near a megabyte."""
    for _ in range(12):
        for n in range(50):
            writer.append((kinds.LOG, time.time(), {"level": "INFO", "message": "x" * 60_000, "n": n}))
        assert writer.flush()

    assert writer._batch_limit <= 64
    records, account = _read(writer)
    assert len(records) == 600
    assert account == Account()


def test_after_a_fork_the_child_is_another_writer(writer: JournalWriter) -> None:
    """As the pump's hook in the child makes it: new name and numbers, an empty queue, and the parent's lock let go."""
    _put(writer, 0)
    writer.flush()
    _put(writer, 1)
    parent, queued = writer.name, list(writer.queue)
    writer.after_fork_in_child()
    _put(writer, 2)
    writer.flush()

    assert writer.name != parent
    assert writer.folder._lock_fd == -1
    records, account = _read(writer)
    assert {record.writer: record.seq for record in records}[writer.name] == 0
    assert [record.metrics["n"] for record in records if record.writer == writer.name] == [2]
    assert account == Account()
    assert len(queued) <= 1
