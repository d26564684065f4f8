"""Reading damaged journals: no crash, nothing false, an exact account, and all records behind the damage."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from refunc.journal import kinds, reader
from refunc.journal import segments as segment_lines
from refunc.journal.codec import encode_line, seal
from refunc.journal.reader import METRICS_MARK, Account, read_backwards, read_journal
from refunc.journal.record import Metrics, Record, Unknown

WRITER = "host-1-abc-wxyz"


def segment(folder: Path, lines: list[bytes], *, number: int = 0, writer: str = WRITER) -> Path:
    """Write a segment of *lines* with its header, and return its path."""
    journal = folder / "journal"
    journal.mkdir(exist_ok=True)
    path = journal / f"{writer}.{number:06d}.jsonl"
    header = encode_line({"kind": kinds.SEGMENT, "format": 1, "writer": writer, "segment": number, "logger": "train"})
    path.write_bytes(header + b"".join(lines))
    return path


def metrics(first: int, count: int, *, time: float | None = None) -> list[bytes]:
    """Return the lines of *count* records of which each has its number as its metric."""
    return [
        encode_line({"seq": n, "time": float(n) if time is None else time, "kind": "metrics", "metrics": {"n": n}})
        for n in range(first, first + count)
    ]


def seen(records: Any) -> list[tuple[str, int]]:
    return [(record.writer, record.seq) for record in records]


def read(folder: Path) -> tuple[list[Record], Account]:
    account = Account()
    return list(read_journal(folder, account)), account


def check_true(records: list[Record]) -> None:
    """Every record that was read is one that was written."""
    for record in records:
        assert isinstance(record, Metrics)
        assert record.metrics == {"n": record.seq}
        assert record.logger in ("train", "")


@pytest.mark.once
def test_a_segment_cut_at_every_byte_gives_the_lines_before(tmp_path: Path) -> None:
    path = segment(tmp_path, metrics(0, 12))
    data = path.read_bytes()

    for length in range(len(data) + 1):
        path.write_bytes(data[:length])
        records, account = read(tmp_path)
        whole = data[:length].count(b"\n")
        assert seen(records) == [(WRITER, n) for n in range(max(0, whole - 1))], length
        assert account == Account(torn=int(not data[:length].endswith(b"\n") and length > 0)), length
        assert seen(read_backwards(tmp_path)) == seen(records)[::-1], length


def test_a_zeroed_page_costs_its_lines_and_no_more(tmp_path: Path) -> None:
    path = segment(tmp_path, metrics(0, 400))
    data = bytearray(path.read_bytes())
    data[8_192:12_288] = bytes(4_096)
    path.write_bytes(data)

    records, account = read(tmp_path)
    check_true(records)
    assert records[-1].seq == 399
    assert account == Account(damaged=1, missing=400 - len(records))
    assert seen(read_backwards(tmp_path)) == seen(records)[::-1]


def test_a_giant_line_is_skipped_from_both_sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines before it are read backwards as well."""
    monkeypatch.setattr(segment_lines, "MAX_LINE_BYTES", 100_000)
    segment(tmp_path, [*metrics(0, 50), b"x" * 1_000_000 + b"\n", *metrics(50, 50)])

    records, account = read(tmp_path)
    assert [record.seq for record in records] == list(range(100))
    assert account == Account(damaged=1)
    assert seen(read_backwards(tmp_path)) == seen(records)[::-1]


def test_foreign_files_and_links_are_left_alone(tmp_path: Path) -> None:
    segment(tmp_path, metrics(0, 5))
    journal = tmp_path / "journal"
    outside = tmp_path / "outside.jsonl"
    outside.write_bytes(b"".join(metrics(0, 3)))
    (journal / "evil-1-a-b.000000.jsonl").symlink_to(outside)
    (journal / "loop.000000.jsonl").symlink_to(journal / "loop.000000.jsonl")
    (journal / "dangling.000001.jsonl").symlink_to(tmp_path / "nowhere")
    (journal / "folder.000000.jsonl").mkdir()
    os.mkfifo(journal / "pipe.000000.jsonl")
    (journal / "notes.txt").write_text("mine")
    (journal / "x.jsonl").write_text("mine")
    (journal / "empty-1-a-b.000000.jsonl").touch()

    records, account = read(tmp_path)
    assert seen(records) == [(WRITER, n) for n in range(5)]
    assert account == Account()
    assert seen(read_backwards(tmp_path)) == seen(records)[::-1]


def test_a_file_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one that was deleted since the folder was listed."""
    segment(tmp_path, metrics(0, 5))
    other = segment(tmp_path, metrics(0, 5), writer="other-1-a-b")
    listed = reader.segments(tmp_path)
    other.unlink()
    monkeypatch.setattr(reader, "segments", lambda folder: listed)

    records, account = read(tmp_path)
    assert seen(records) == [(WRITER, n) for n in range(5)]
    assert account == Account(damaged=1)
    assert seen(read_backwards(tmp_path)) == seen(records)[::-1]


def test_no_journal_at_all_is_no_records(tmp_path: Path) -> None:
    assert read(tmp_path) == ([], Account())
    assert list(read_backwards(tmp_path)) == []


def test_writers_are_merged_by_time_and_ties_read_the_same_backwards(tmp_path: Path) -> None:
    segment(tmp_path, metrics(0, 20, time=1.0), writer="a-1-a-a")
    segment(tmp_path, metrics(0, 20, time=1.0), writer="b-1-b-b")
    segment(tmp_path, metrics(0, 20), writer="c-1-c-c")

    records, _ = read(tmp_path)
    assert len(records) == 60
    assert [record.time for record in records] == sorted(record.time for record in records)
    assert seen(read_backwards(tmp_path)) == seen(records)[::-1]


def test_records_written_twice_are_read_once_and_fill_holes(tmp_path: Path) -> None:
    """The second segment has the records that a failed sync lost of the first; each may lack some of the other's."""
    first = metrics(0, 20)
    del first[8:12]
    segment(tmp_path, first, number=0)
    again = metrics(0, 30)
    del again[3:5]
    segment(tmp_path, again, number=1)

    records, account = read(tmp_path)
    assert sorted(record.seq for record in records) == list(range(30))
    assert account == Account(duplicates=14)
    assert sorted(record.seq for record in read_backwards(tmp_path)) == list(range(30))


def test_a_kind_that_is_passed_over_takes_no_other_line_with_it(tmp_path: Path) -> None:
    """Also none that has the same words in it, near its beginning."""
    line = {"time": 1.5, "kind": "log", "level": "INFO", "message": "", "tags": {"kind": "metrics"}}
    lines = [encode_line({"seq": number, **line}) for number in (3, 7)]
    segment(tmp_path, [*metrics(0, 3), lines[0], *metrics(4, 3), lines[1]])

    for source in (read_journal, read_backwards):
        found = [record.seq for record in source(tmp_path, pass_over=METRICS_MARK)]
        assert sorted(found) == [3, 7]


def test_gaps_in_the_numbers_are_counted(tmp_path: Path) -> None:
    segment(tmp_path, [*metrics(0, 5), *metrics(8, 5)], number=0)
    segment(tmp_path, metrics(20, 5), number=1)

    records, account = read(tmp_path)
    assert len(records) == 15
    assert account == Account(missing=10)


def test_a_line_without_its_header_has_the_same_logger_in_both_directions(tmp_path: Path) -> None:
    path = segment(tmp_path, [])
    line = encode_line({"seq": 0, "time": 0.0, "kind": "metrics", "metrics": {"n": 0}, "logger": "other"})
    path.write_bytes(line + b"".join(metrics(1, 2)))

    records, _ = read(tmp_path)
    assert [record.logger for record in records] == ["other", "", ""]
    assert list(read_backwards(tmp_path)) == records[::-1]


@pytest.mark.parametrize(
    "fields",
    [
        {"seq": 0, "time": 0.0, "kind": "metrics", "metrics": [1]},
        {"seq": 0, "time": 0.0, "kind": "log", "level": 7, "message": "m"},
        {"seq": 0, "time": 0.0, "kind": "log", "level": "INFO", "message": "m", "step": "abc"},
        {"seq": 0, "time": 0.0, "kind": "from the future", "x": 1},
        {"seq": 0, "time": 0.0, "kind": ["list"]},
    ],
)
def test_a_whole_line_of_another_shape_reads_as_unknown(fields: dict[str, Any], tmp_path: Path) -> None:
    """Its checksum holds, so it was written like that: it is not lost and not damage."""
    segment(tmp_path, [encode_line(fields), *metrics(1, 1)])

    records, account = read(tmp_path)
    assert isinstance(records[0], Unknown)
    assert seen(records) == [(WRITER, 0), (WRITER, 1)]
    assert account == Account()


@pytest.mark.parametrize(
    "body",
    [
        b'{"seq":"0"}',
        b'{"seq":0,"time":"now","kind":"log"}',
        b'{"seq":1e400,"time":0,"kind":"log"}',
        b'{"seq":-5,"time":0,"kind":"log","level":"INFO","message":"m"}',
        b'{"seq":9223372036854775808,"time":0,"kind":"log","level":"INFO","message":"m"}',
        b'{"time":0,"kind":"log","level":"INFO","message":"m"}',
        b"[]",
        b'{"a":' * 9_000,
    ],
)
def test_a_sealed_line_without_a_number_or_a_time_is_damage(body: bytes, tmp_path: Path) -> None:
    segment(tmp_path, [seal(body), *metrics(0, 2)])

    records, account = read(tmp_path)
    assert seen(records) == [(WRITER, 0), (WRITER, 1)]
    assert account == Account(damaged=1)


def test_a_forged_number_hides_no_other_line(tmp_path: Path) -> None:
    """Neither one behind it nor one before it, and it counts as the hole that it makes."""
    forged = metrics(2**62, 1)[0]
    first, second = metrics(0, 10), metrics(5, 25)
    segment(tmp_path, [*first[:4], forged, *first[4:]], number=0)
    segment(tmp_path, [*second[:20], forged, *second[20:]], number=1)

    records, account = read(tmp_path)
    assert [record.seq for record in records if record.seq < 2**62] == list(range(30))
    assert [record.seq for record in records].count(2**62) == 1
    assert account == Account(missing=2**62 - 30, duplicates=6)
    backwards = [record.seq for record in read_backwards(tmp_path)]
    assert sorted(backwards) == [*range(30), 2**62]


@pytest.mark.once
@pytest.mark.parametrize("order", [1, -1])
def test_thousands_of_forged_numbers_cost_no_memory_and_hide_nothing(order: int, tmp_path: Path) -> None:
    forged = [metrics(2**62 + n * 2, 1)[0] for n in range(20_000)][::order]
    true = metrics(0, 2_000)
    mixed = [each for n in range(2_000) for each in (*forged[n * 10 : n * 10 + 10], true[n])]
    segment(tmp_path, mixed)

    for way in (read(tmp_path)[0], read_backwards(tmp_path)):
        numbers = [record.seq for record in way]
        assert sorted(number for number in numbers if number < 2**62) == list(range(2_000))
        assert len(numbers) == 22_000
    assert read(tmp_path)[1] == Account(missing=2**62 + 40_000 - 1 - 22_000)
