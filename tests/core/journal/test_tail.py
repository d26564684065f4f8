"""Reading a journal onwards: each record once, whatever happened between two reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from refunc.journal.codec import encode_line
from refunc.journal.numbers import MAX_RANGES
from refunc.journal.record import Metrics
from refunc.journal.tail import Position, Tail


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "journal").mkdir()
    return tmp_path


def segment(folder: Path, number: int = 0, writer: str = "w") -> Path:
    path = folder / "journal" / f"{writer}.{number:06d}.jsonl"
    if not path.exists():
        path.write_bytes(encode_line({"kind": "segment", "logger": "train"}))
    return path


def write(folder: Path, *numbers: int, number: int = 0, writer: str = "w", time: float = 0.0) -> None:
    with open(segment(folder, number, writer), "ab") as file:
        for seq in numbers:
            moment = time or float(seq)
            file.write(encode_line({"seq": seq, "time": moment, "kind": "metrics", "metrics": {"n": seq}}))


def numbers(tail: Tail, limit: int = 1_000) -> list[int]:
    return [record.seq for record in tail.read(limit)]


def test_each_read_goes_on_where_the_last_one_stopped(folder: Path) -> None:
    tail = Tail(folder)
    write(folder, 0, 1, 2)

    assert numbers(tail, 2) == [0, 1]
    assert tail.waiting() == 1
    assert numbers(tail) == [2]
    write(folder, 3)
    assert numbers(tail) == [3]
    assert numbers(tail) == []
    assert tail.waiting() == 0


def test_positions_go_on_in_another_reader_also_through_json(folder: Path) -> None:
    tail = Tail(folder)
    write(folder, 0, 1, 2, 3)
    tail.read(3)
    import attrs

    saved = json.loads(json.dumps({writer: attrs.astuple(each) for writer, each in tail.positions.items()}))
    positions = {w: Position(v[0], v[1], tuple((b, e) for b, e in v[2]), v[3]) for w, v in saved.items()}

    [record] = Tail(folder, positions).read(10)

    assert isinstance(record, Metrics)
    assert (record.seq, record.logger, record.writer) == (3, "train", "w")


def test_an_unfinished_line_waits_until_it_is_finished(folder: Path) -> None:
    write(folder, 0)
    line = encode_line({"seq": 1, "time": 1.0, "kind": "metrics", "metrics": {}})
    with open(segment(folder), "ab") as file:
        file.write(line[:20])
    tail = Tail(folder)

    assert numbers(tail) == [0]
    assert numbers(tail) == []
    with open(segment(folder), "ab") as file:
        file.write(line[20:])
    assert numbers(tail) == [1]


def test_a_torn_line_before_a_later_segment_is_left(folder: Path) -> None:
    write(folder, 0)
    with open(segment(folder), "ab") as file:
        file.write(b'{"seq":1,')
    tail = Tail(folder)
    assert numbers(tail) == [0]

    write(folder, 1, 2, number=1)

    assert numbers(tail) == [1, 2]


def test_damage_is_skipped_and_what_is_behind_it_read(folder: Path) -> None:
    write(folder, 0, 1, 2)
    path = segment(folder)
    data = bytearray(path.read_bytes())
    data[data.index(b'"seq":1') + 2] ^= 1
    path.write_bytes(data)

    assert numbers(Tail(folder)) == [0, 2]


def test_lines_written_twice_are_read_once_and_lost_ones_where_they_come_again(folder: Path) -> None:
    write(folder, 0, 1, 4)
    write(folder, 1, 2, 3, 4, 5, number=1)

    assert numbers(Tail(folder)) == [0, 1, 4, 2, 3, 5]


@pytest.mark.parametrize("at_a_time", [1, 3, 1_000])
def test_a_forged_number_hides_no_other_line(at_a_time: int, folder: Path) -> None:
    write(folder, 0, 1, 2**62, 2, 3, 2**62, 4)
    write(folder, 3, 4, 2**62, 5, number=1)
    tail = Tail(folder)

    found = []
    while some := numbers(tail, at_a_time):
        found += some
        tail = Tail(folder, tail.positions)

    assert found == [0, 1, 2**62, 2, 3, 4, 5]


def test_thousands_of_forged_numbers_leave_a_position_small(folder: Path) -> None:
    write(folder, *(number for n in range(5_000) for number in (2**62 + n * 2, n)))
    tail = Tail(folder)

    found = []
    while some := numbers(tail, 700):
        found += some
        tail = Tail(folder, tail.positions)

    assert [number for number in found if number < 2**62] == list(range(5_000))
    assert len(tail.positions["w"].met) <= MAX_RANGES


def test_a_record_longer_than_a_block_is_read(folder: Path) -> None:
    with open(segment(folder), "ab") as file:
        file.write(encode_line({"seq": 0, "time": 0.0, "kind": "log", "level": "INFO", "message": "x" * 1_000_000}))
    write(folder, 1)

    assert numbers(Tail(folder)) == [0, 1]


def test_of_long_lines_fewer_are_read_at_a_time(folder: Path) -> None:
    """A thousand records may be gigabytes, and delivery holds a window of them."""
    with open(segment(folder), "ab") as file:
        for seq in range(20):
            fields = {"seq": seq, "time": float(seq), "kind": "log", "level": "INFO", "message": "x" * 300_000}
            file.write(encode_line(fields))
    tail = Tail(folder)

    found = [numbers(tail) for _ in range(5)]

    assert [len(some) for some in found] == [4] * 5
    assert [number for some in found for number in some] == list(range(20))


def test_writers_are_merged_by_time_and_a_limit_leaves_the_rest(folder: Path) -> None:
    write(folder, 0, 1, 2, writer="a")
    write(folder, 0, 1, writer="b", time=0.5)
    tail = Tail(folder)

    first = tail.read(4)
    rest = tail.read(10)

    assert sorted((each.writer, each.seq) for each in first + rest) == [
        ("a", 0),
        ("a", 1),
        ("a", 2),
        ("b", 0),
        ("b", 1),
    ]
    assert len(first) == 4


@pytest.mark.parametrize("begun", [b"", b'{"seq":9,"ti'])
def test_a_tail_at_the_end_reads_only_what_is_written_from_then_on(folder: Path, begun: bytes) -> None:
    write(folder, 0, 1, 2)
    write(folder, 7, 8, number=1)  # 3 to 6 are lost
    segment(folder, writer="child")
    with open(segment(folder, 1), "ab") as file:
        file.write(begun)
    tail = Tail.at_end(folder)

    assert numbers(tail) == []
    line = encode_line({"seq": 9, "time": 9.0, "kind": "metrics", "metrics": {"n": 9}})
    with open(segment(folder, 1), "ab") as file:
        file.write(line[len(begun) :])
    write(folder, 0, writer="child", time=10.0)
    write(folder, 10, number=2)
    write(folder, 0, writer="later", time=20.0)
    assert sorted((record.writer, record.seq, record.logger) for record in tail.read(1_000)) == [
        ("child", 0, "train"),
        ("later", 0, "train"),
        ("w", 9, "train"),
        ("w", 10, "train"),
    ]


def test_a_run_without_a_journal_has_nothing(tmp_path: Path) -> None:
    tail = Tail(tmp_path)

    assert (tail.read(10), tail.waiting()) == ([], 0)
