"""Reading a writer block by block gives the same as the reader, whatever is in the files, in one go or in many."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refunc.journal import scan as scanning
from refunc.journal import segments as segment_lines
from refunc.journal.codec import encode_line
from refunc.journal.pieces import Segment
from refunc.journal.reader import Account, read_journal
from refunc.journal.record import LogLine, Metrics, Unknown
from refunc.journal.scan import Note, PointLine, ReadPosition, scan

HEADER = encode_line({"kind": "segment", "format": 1, "logger": "hand"})


def metrics(seq: int, **fields: Any) -> bytes:
    return encode_line({"seq": seq, "time": 1_000.0 + seq, "kind": "metrics", "metrics": {"loss": 0.5}, **fields})


LINES = {
    "point": lambda seq: metrics(seq, step=seq),
    "nan": lambda seq: metrics(seq, metrics={"loss": math.nan, "a/b~c": -math.inf, "n": 3}),
    "null": lambda seq: metrics(seq, metrics={"loss": None}),
    "other": lambda seq: metrics(seq, metrics={}, other={"kind": "metrics", "deep": [[1]]}),
    "text": lambda seq: encode_line({"seq": seq, "time": 2.0, "kind": "log", "level": "INFO", "message": "x\n"}),
    "looks like metrics": lambda seq: encode_line({"seq": seq, "time": 1.0, "kind": "x", "y": {"kind": "metrics"}}),
    "spaced": lambda seq: b'{"seq": 1, "kind": "metrics"}\n',
    "gap": lambda seq: encode_line({"seq": seq, "time": 1.0, "kind": "gap", "dropped": 7}),
    "wrong type": lambda seq: metrics(seq, metrics={"loss": "low"}),
    "flipped bit": lambda seq: metrics(seq).replace(b"loss", b"lost"),
    "no checksum": lambda seq: b'{"seq":0,"time":1.0,"kind":"metrics","metrics":{"loss":1}}\n',
    "rubbish": lambda seq: b'\x00\xff"kind":"metrics"\n',
    "empty": lambda seq: b"\n",
    "unfinished": lambda seq: metrics(seq)[:-9],
}


def write(folder: Path, segments: list[list[tuple[str, int]]]) -> list[Path]:
    paths = []
    (folder / "journal").mkdir(parents=True, exist_ok=True)
    for number, lines in enumerate(segments):
        paths.append(folder / "journal" / f"main.{number:06d}.jsonl")
        paths[-1].write_bytes(HEADER + b"".join(LINES[kind](seq) for kind, seq in lines))
    return paths


def as_read(folder: Path) -> tuple[list[Any], Account]:
    account = Account()
    return [facts(record) for record in read_journal(folder, account)], account


def facts(record: Any) -> Any:
    if isinstance(record, PointLine) or type(record) is Metrics:
        values = {name: math.nan if value is None else float(value) for name, value in record.metrics.items()}
        return ("metrics", record.seq, record.time, record.step, record.epoch, repr(values))
    return repr(record)


def as_scanned(paths: list[Path], position: ReadPosition) -> list[Any]:
    found: list[Any] = []
    for block in scan("main", list(map(Segment.at, paths)), position):
        for item in block:
            found += [item.record] if isinstance(item, Note) else item
    return list(map(facts, found))


journals = st.lists(st.lists(st.tuples(st.sampled_from(sorted(LINES)), st.integers(0, 12)), max_size=8), max_size=3)


@given(segments=journals)
def test_the_same_records_and_the_same_account(
    segments: list[list[tuple[str, int]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("run")
    paths = write(folder, segments)
    position = ReadPosition()

    found = as_scanned(paths, position)

    assert (found, position.account) == as_read(folder)


@given(segments=journals, cuts=st.lists(st.floats(0, 1), max_size=5))
def test_the_same_in_many_goes_while_the_files_grow(
    segments: list[list[tuple[str, int]]], cuts: list[float], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("run")
    paths = write(folder, segments)
    whole = [path.read_bytes() for path in paths]
    position, found = ReadPosition(), []

    for cut in [*sorted(cuts), 1.0]:
        left = int(sum(map(len, whole)) * cut)
        there = []
        for path, data in zip(paths, whole, strict=True):
            path.write_bytes(data[:left])
            there += [path] if left > 0 else []
            left -= len(data)
        found += as_scanned(there if cut < 1.0 else paths, position)

    assert (found, position.account) == as_read(folder)


@pytest.mark.parametrize("ended", [True, False])
def test_a_line_longer_than_any_record_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: bool) -> None:
    monkeypatch.setattr(segment_lines, "MAX_LINE_BYTES", 5_000)
    monkeypatch.setattr(scanning, "_BLOCK_BYTES", 1_000)
    (path,) = write(tmp_path, [[("point", 0)]])
    with open(path, "ab") as file:
        file.write(b"x" * 12_000 + (b"\n" + metrics(1) + metrics(2) if ended else b""))
    position = ReadPosition()

    found = as_scanned([path], position)

    assert (found, position.account) == as_read(tmp_path)
    assert (len(found), position.account.damaged) == (3 if ended else 1, 1)


def test_a_file_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    paths = write(tmp_path, [[("point", 0)], [("point", 1)], [("point", 2)]])
    paths[1].unlink()
    paths[1].mkdir()
    position = ReadPosition()

    assert len(as_scanned(paths, position)) == 2
    assert (position.account.damaged, position.account.missing, position.is_whole) == (1, 1, False)


def test_lines_of_text_come_with_the_line_that_they_were_read_from(tmp_path: Path) -> None:
    paths = write(tmp_path, [[("text", 0), ("wrong type", 1)]])

    ((one, two),) = scan("main", list(map(Segment.at, paths)), ReadPosition())

    assert isinstance(one, Note)
    assert isinstance(two, Note)
    assert (type(one.record), type(two.record)) == (LogLine, Unknown)
    assert one.line + b"\n" == LINES["text"](0)
    assert attrs.asdict(one.record)["logger"] == "hand"
