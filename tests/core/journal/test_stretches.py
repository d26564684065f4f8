"""Passing over stretches of metrics gives the records that reading them all gives, on any file, also one that grows."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refunc.journal import scan as scanning
from refunc.journal import stretches as stretching
from refunc.journal.codec import encode_line
from refunc.journal.pieces import Segment
from refunc.journal.reader import METRICS_MARK, read_backwards, read_journal
from refunc.journal.record import Metrics
from refunc.journal.scan import ReadPosition, scan
from refunc.journal.segments import Account, SegmentLines
from refunc.journal.stretches import Found, first_after, last_before

pytestmark = pytest.mark.once

HEADER = encode_line({"kind": "segment", "format": 1, "logger": "hand"})
#: Lines by name; those with `kind` of another kind, or damaged, are never within a stretch.
LINES = {
    "points": lambda seq: b"".join(
        encode_line({"seq": seq + at, "time": 1.0 + seq + at, "kind": "metrics", "metrics": {"loss": 0.5}})
        for at in range(6)
    ),
    "text": lambda seq: encode_line(
        {"seq": seq, "time": 2.0 + seq, "kind": "log", "level": "INFO", "message": '"kind":"metrics"'}
    ),
    "nested": lambda seq: encode_line({"seq": seq, "time": 1.0, "kind": "x", "y": {"kind": "metrics"}}),
    "damaged": lambda seq: b'{"seq":%d,"time":1.0,"kind":"metrics","metrics":{"loss":1},"crc":"00000000"}\n' % seq,
    "rubbish": lambda seq: b"\x00\xff\n",
    "torn": lambda seq: b'{"seq":1,"ti',
}
KINDS = st.lists(st.sampled_from([*LINES, "points", "points"]), max_size=14)


def append(path: Path, kinds: list[str], seq: int) -> int:
    with path.open("ab") as file:
        for kind in kinds:
            file.write(LINES[kind](seq))
            seq += 10
    return seq


def rest(folder: Path, **options: Any) -> list[tuple[Any, ...]]:
    found = [*read_journal(folder, **options), *read_backwards(folder, **options)]
    return [(type(record), record.seq, record.time) for record in found if not isinstance(record, Metrics)]


@given(kinds=st.lists(KINDS, min_size=1, max_size=3), last=KINDS, block=st.sampled_from([90, 300, 5_000]))
@settings(max_examples=60, deadline=None)
def test_what_is_passed_over_is_metrics_and_nothing_else(kinds: list[list[str]], last: list[str], block: int) -> None:
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(stretching, "_LEAST", 1)
        patch.setattr(scanning, "_BLOCK_BYTES", block)
        path = Path(directory, "journal", "main.000000.jsonl")
        path.parent.mkdir()
        path.write_bytes(HEADER)
        where, seq = ReadPosition(), 0
        for some in kinds:  # a reader goes on each time that the file has grown
            seq = append(path, some, seq)
            for _ in scan("main", [Segment.at(path)], where):
                pass
        append(path, last, seq)
        known = {name: found.pairs for name, found in where.stretches.items()}

        assert rest(Path(directory), pass_over=METRICS_MARK, stretches=known) == rest(Path(directory))
        data = path.read_bytes()
        for begin, end in known.get(path.name, []):
            lines = data[begin:end].splitlines(keepends=True)
            assert data[begin - 1 : begin] == b"\n"
            assert lines
            assert all(line.endswith(b"\n") and METRICS_MARK in line for line in lines)


def test_a_stretch_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "main.000000.jsonl"
    points, text = LINES["points"](0), LINES["text"](90)
    path.write_bytes(HEADER + points + text)
    stretch = (len(HEADER), len(HEADER + points))

    found = [line for block in SegmentLines(Segment.at(path), 0, Account(), 1 << 16, None, [stretch]) for line in block]

    assert found == [HEADER[:-1], text[:-1]]


@pytest.mark.parametrize("stretch", [(30, 10_000), (30, 95), (3, 4)], ids=["too long", "within lines", "in the header"])
def test_stretches_of_another_file_end_nothing(tmp_path: Path, stretch: tuple[int, int]) -> None:
    path = tmp_path / "journal" / "main.000000.jsonl"
    path.parent.mkdir()
    path.write_bytes(HEADER + LINES["text"](1) + LINES["text"](2))

    rest(tmp_path, pass_over=METRICS_MARK, stretches={path.name: [stretch]})  # it ends, whatever it finds


def test_neighbours_are_one_stretch_and_short_ones_are_forgotten() -> None:
    found = Found()
    for start, end in ((0, 10), (10, 20_000), (20_500, 20_600), (30_000, 60_000)):
        found.add(start, end)

    assert found.pairs == [(0, 20_000), (30_000, 60_000)]
    assert first_after(found.pairs, 0) == first_after(found.pairs, 19_999) == (0, 20_000)
    assert first_after(found.pairs, 20_000) == (30_000, 60_000)
    assert first_after(found.pairs, 60_000) is None
    assert last_before(found.pairs, 30_000) == (0, 20_000)
    assert last_before(found.pairs, 0) is None
