"""All readers of segments agree on the records that are in them, however the files are damaged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.many_writers import join

from refunc.journal import reader, scan, segments, tail
from refunc.journal.codec import encode_line
from refunc.journal.pieces import Segment
from refunc.journal.pieces import segments as segments_of
from refunc.journal.reader import METRICS_MARK, Account, read_backwards, read_journal
from refunc.journal.record import Gap, LogLine
from refunc.journal.scan import Note, ReadPosition
from refunc.journal.tail import Tail
from refunc.runs import lines
from refunc.runs.entry import LogEntry, entry_of

pytestmark = pytest.mark.once

#: Lines of more bytes are too long in these tests, and so many bytes are read at a time.
LONG, BLOCK = 2_000, 256


def point(seq: int, name: str = "loss") -> bytes:
    return encode_line({"seq": seq, "time": 1_000.0 + seq, "kind": "metrics", "metrics": {name: 0.5}})


def text(seq: int, size: int = 3) -> bytes:
    return encode_line({"seq": seq, "time": 1.0, "kind": "log", "level": "INFO", "message": "x" * size})


#: Pieces of a segment, each made from a number: good lines, and bytes that are none.
CHUNKS = {
    "point": point,
    "points": lambda seq: b"".join(map(point, range(seq, seq + 5))),
    "text": text,
    "longer than a block": lambda seq: text(seq, 900),
    "gap": lambda seq: encode_line({"seq": seq, "time": 1.0, "kind": "gap", "dropped": 7}),
    "flipped bit": lambda seq: point(seq).replace(b"loss", b"lost"),
    "begun": lambda seq: point(seq)[:-9],
    "rubbish": lambda seq: b"\xff}{\n" * (seq + 1),
    "newlines": lambda seq: b"\n" * (seq + 1),
    "zeros": lambda seq: b"\0" * (seq * 100 + 1),
    "a line behind zeros": lambda seq: b"\0" * 700 + point(seq),
    "too long": lambda seq: text(seq, LONG),
    "much too long": lambda seq: b"x" * (10 * LONG) + b"\n",
    "too long, then a line": lambda seq: b"x" * LONG + text(seq) + point(seq),
    "hole": lambda seq: None,
}
_CHUNK = st.tuples(st.sampled_from(sorted(CHUNKS)), st.integers(0, 12))
journals = st.lists(st.lists(_CHUNK, max_size=7), min_size=1, max_size=3)


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "MAX_LINE_BYTES", LONG)
        patch.setattr(segments, "_LARGE_BLOCK_BYTES", 300)
        for module in (reader, scan, tail, lines):
            patch.setattr(module, "_BLOCK_BYTES", BLOCK)
        patch.setattr(reader, "_LEAST_BLOCK_BYTES", BLOCK)
        yield


def write(folder: Path, writer: str, parts: list[list[tuple[str, int]]], cut: int) -> None:
    (folder / "journal").mkdir(exist_ok=True)
    for number, chunks in enumerate(parts):
        with open(folder / "journal" / f"{writer}.{number:06d}.jsonl", "wb") as file:
            file.write(encode_line({"kind": "segment", "format": 1, "logger": writer}))
            for kind, seq in chunks:
                data = CHUNKS[kind](seq)
                if data is None:
                    file.seek(20_000, os.SEEK_CUR)
                else:
                    file.write(data)
            size = file.tell()
            file.truncate(max(0, size - (cut if number == len(parts) - 1 else 0)))


def forwards(folder: Path) -> tuple[list[tuple[str, int, str]], Account]:
    account = Account()
    found = [(record.writer, record.seq, record.logger) for record in read_journal(folder, account)]
    return found, account


def backwards(folder: Path) -> list[tuple[str, int, str]]:
    return [(record.writer, record.seq, record.logger) for record in read_backwards(folder)]


def scanned(folder: Path) -> tuple[list[tuple[str, int]], Account]:
    found, account = [], Account()
    for writer, pieces in segments_of(folder).items():
        position = ReadPosition()
        items: list[Any] = [item for block in scan.scan(writer, pieces, position) for item in block]
        for item in items:
            found += [(writer, each.seq) for each in ([item.record] if isinstance(item, Note) else item)]
        account = account + position.account
    return found, account


def tailed(folder: Path, limit: int) -> list[tuple[str, int, str]]:
    found: list[tuple[str, int, str]] = []
    at = Tail(folder)
    while some := at.read(limit):
        found += [(record.writer, record.seq, record.logger) for record in some]
        at = Tail(folder, at.positions)
    assert Tail(folder, at.positions).read(limit) == []
    return found


def without_metrics(folder: Path) -> list[LogEntry]:
    records = read_journal(folder, pass_over=METRICS_MARK)
    ids = {"experiment_id": None, "run_id": None}
    return [entry_of(record, **ids) for record in records if isinstance(record, (LogLine, Gap))]


def listed(folder: Path) -> list[LogEntry]:
    """Read the lines for pages of them."""
    of_run = lines.RunLines(folder)
    of_run.read_on()
    return [line.entry for line in of_run.after(-1, 10_000).lines]


@given(first=journals, second=journals, cut=st.integers(0, 200), limit=st.sampled_from([1, 3, 1_000]))
def test_all_readers_find_the_same_records(
    first: list[list[tuple[str, int]]],
    second: list[list[tuple[str, int]]],
    cut: int,
    limit: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("run")
    write(folder, "a", first, cut)
    write(folder, "b", second, 0)

    found, account = forwards(folder)

    assert len(found) == len(set(found))
    for writer in ("a", "b"):  # each by itself: writers are merged by time, which jumps here
        own = [each for each in found if each[0] == writer]
        assert [each for each in tailed(folder, limit) if each[0] == writer] == own
        assert sorted(each for each in backwards(folder) if each[0] == writer) == sorted(own)
        assert [each for each in scanned(folder)[0] if each[0] == writer] == [each[:2] for each in own]
    assert scanned(folder)[1] == account

    assert sorted(listed(folder), key=repr) == sorted(without_metrics(folder), key=repr)

    before = (found, account, backwards(folder), scanned(folder), tailed(folder, limit))
    journal = folder / "journal"
    join(journal, sorted(journal.glob("b.*"))[::-1] + sorted(journal.glob("a.*"))[:1])
    assert (*forwards(folder), backwards(folder), scanned(folder), tailed(folder, limit)) == before


@given(parts=journals, stops=st.lists(st.integers(0, 30_000), max_size=4))
def test_reading_that_stops_anywhere_goes_on_to_the_same_records(
    parts: list[list[tuple[str, int]]], stops: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """While the last segment grows, also within a line that is too long by then."""
    folder = tmp_path_factory.mktemp("run")
    write(folder, "a", parts, 0)
    path = folder / "journal" / f"a.{len(parts) - 1:06d}.jsonl"
    whole = path.read_bytes()
    at, position = Tail(folder), ReadPosition()
    followed: list[int] = []
    counted = 0
    for size in [*sorted(stops), len(whole)]:
        path.write_bytes(whole[:size])
        while some := at.read(7):
            followed += [record.seq for record in some]
        at = Tail(folder, at.positions)
        for block in scan.scan("a", [*map(Segment.at, sorted(path.parent.iterdir()))], position):
            counted += sum(1 if isinstance(item, Note) else len(item) for item in block)

    found, account = forwards(folder)

    assert followed == [seq for _, seq, _ in found]
    assert (counted, position.account) == (len(found), account)


def test_a_long_line_that_goes_on_and_on_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at a live run reads only its new bytes."""
    write(tmp_path, "a", [[("point", 0), ("much too long", 0)]], 1)
    at = Tail(tmp_path)
    assert len(at.read(10)) == 1
    path = tmp_path / "journal" / "a.000000.jsonl"
    assert at.positions["a"].offset == path.stat().st_size
    with open(path, "ab") as file:
        file.write(text(7)[:-1])  # within the line still, whatever it looks like
    assert at.read(10) == []

    with open(path, "ab") as file:
        file.write(b"\n" + point(1))

    assert [record.seq for record in at.read(10)] == [1]
    assert [seq for _, seq, _ in forwards(tmp_path)[0]] == [0, 1]
    assert attrs.evolve(forwards(tmp_path)[1], missing=0) == Account(damaged=1)
