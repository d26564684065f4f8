"""Folded files: reading of a segment goes on in them where it stopped, and a hostile one costs itself alone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.many_writers import header, join, make_run

from refunc.delivery.cursor import Cursor
from refunc.delivery.custody import load_cursor, save_cursor
from refunc.journal.alive import life_of
from refunc.journal.codec import encode_line, seal
from refunc.journal.pieces import last_change, segments
from refunc.journal.reader import Account, read_backwards, read_journal
from refunc.journal.scan import ReadPosition, scan
from refunc.journal.tail import Tail
from refunc.runs.ending import ending_of
from refunc.runs.run import Run

pytestmark = [pytest.mark.once, pytest.mark.timeout(600)]  # nineteen thousand damages take seconds

NAME = "20261128-120000_many_aaaaaaaa"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / NAME, 5)


def paths_of(run: Path) -> list[Path]:
    return sorted((run / "journal").glob("*.jsonl"))


def read(run: Path) -> tuple[list[tuple[str, int]], Account]:
    account = Account()
    found = [(record.writer, record.seq) for record in read_journal(run, account)]
    backwards = [(record.writer, record.seq) for record in read_backwards(run)]
    assert sorted(backwards) == sorted(found)
    tail, followed = Tail(run), []
    while some := tail.read(1_000):
        followed += some
    assert sorted((record.writer, record.seq) for record in followed) == sorted(found)
    positions = []
    for writer, pieces in segments(run).items():
        positions.append(ReadPosition())
        for _ in scan(writer, pieces, positions[-1]):
            pass
    assert sum((position.account for position in positions), Account()) == account
    return found, account


def test_a_run_reads_the_same_whatever_is_folded_of_it(run: Path) -> None:
    before = read(run), ending_of(run), last_change(run)
    paths = paths_of(run)

    join(run / "journal", [paths[3], paths[0]], "one.folded")
    assert (read(run), ending_of(run), last_change(run)) == before
    join(run / "journal", [paths[1], paths[4], paths[2]], "two.folded")
    assert (read(run), ending_of(run), last_change(run)) == before
    assert paths_of(run) == []


def test_a_torn_end_stays_within_its_segment(run: Path) -> None:
    """The first bytes of the next segment do not finish the line."""
    paths = paths_of(run)
    for path in paths[:3]:
        path.write_bytes(path.read_bytes()[:-5])
    before = read(run)
    assert before[1] == Account(torn=3)

    join(run / "journal", paths)

    assert read(run) == before


def test_a_cursor_goes_on_in_a_folded_file(run: Path) -> None:
    whole = {(record.writer, record.seq) for record in read_journal(run)}
    tail = Tail(run)
    first = tail.read(7)
    cursor = Cursor(run, "k", "k", positions=tail.positions)
    save_cursor(cursor)

    join(run / "journal", paths_of(run))

    tail = Tail(run, load_cursor(run, "k", "k").positions)
    assert tail.waiting() == len(whole) - 7
    rest = tail.read(1_000)
    assert len(first) + len(rest) == len(whole)
    assert {(record.writer, record.seq) for record in (*first, *rest)} == whole


def test_the_index_goes_on_in_a_folded_file(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from refunc.runs import read_on as reading

    before = Run.open(run).summary
    offsets: list[int] = []
    read_on = reading.WriterContent.read_on

    def noted(self: Any, *arguments: Any) -> Any:
        offsets.append(self.position.offset)
        return read_on(self, *arguments)

    monkeypatch.setattr(reading.WriterContent, "read_on", noted)
    sizes = sorted(path.stat().st_size for path in paths_of(run))
    join(run / "journal", paths_of(run))

    after = Run.open(run)

    assert after.summary == before
    assert len(after.metrics("loss")) == 10
    assert sorted(offsets) == sizes  # from where it stood, and not from the beginning


def test_an_index_of_another_run_in_its_place_is_not_believed(run: Path) -> None:
    assert Run.open(run).summary.points == 10
    paths = paths_of(run)
    paths[0].write_bytes(paths[0].read_bytes() + b"".join(paths[0].read_bytes().splitlines(keepends=True)[1:2]))
    join(run / "journal", [*paths[1:], paths[0]])

    assert Run.open(run).summary.account.duplicates == 1


def test_a_reader_that_has_listed_the_files_before_finds_them_in_the_folded_one(run: Path) -> None:
    whole, _ = read(run)
    records, backwards = read_journal(run, account := Account()), read_backwards(run)
    first, last = next(records), next(backwards)

    join(run / "journal", paths_of(run))

    assert [(record.writer, record.seq) for record in (first, *records)] == whole
    assert [(record.writer, record.seq) for record in (last, *backwards)] == whole[::-1]
    assert account == Account()


def test_of_a_segment_that_is_there_twice_its_own_file_is_read(run: Path) -> None:
    """As after a kill between the rename and the end: the copy is the same, or shorter."""
    before = read(run)
    paths = paths_of(run)
    kept = {path: path.read_bytes() for path in paths[:2]}
    join(run / "journal", paths)
    for path, data in kept.items():
        path.write_bytes(data)
    assert read(run) == before

    with open(paths[0], "ab") as file:
        file.write(encode_line({"seq": 4, "time": 1e9, "kind": "tags", "tags": {}}))
    assert read(run)[1] == before[1]
    assert len(read(run)[0]) == len(before[0]) + 1


def test_the_time_of_the_last_record_is_that_of_the_end_of_the_file(run: Path) -> None:
    """Of a run from another machine, its files say whether it lives."""
    from refunc.journal import alive

    before = alive._silence(run)
    join(run / "journal", sorted(paths_of(run), key=lambda path: path.read_bytes().splitlines()[-1].split(b":")[2]))

    assert alive._silence(run) == pytest.approx(before, abs=10)
    assert life_of(run).lives is False


# -- files that no refunc made -----------------------------------------------------------------------------------------

GOOD = b"".join(
    encode_line(row)
    for row in (
        header("z-1-a-b", 1),
        *({"seq": n, "time": 1.0, "kind": "tags", "tags": {"n": str(n)}} for n in range(3)),
    )
)
PIECE = "z-1-a-b.000000.jsonl"


def folded(said: Any, data: bytes = GOOD) -> bytes:
    text = json.dumps({"kind": "folded", "format": 1, "segments": said}, separators=(",", ":")).encode()
    return seal(text) + data


#: By the fault: the file, how many records are found in it, and how many damages are counted.
HOSTILE: dict[str, tuple[bytes, int, int]] = {
    "nothing is wrong": (folded([[PIECE, len(GOOD)]]), 3, 0),
    "empty": (b"", 0, 1),
    "no header": (GOOD, 0, 1),
    "rubbish": (b"\xff\x00" * 500 + b"\n", 0, 1),
    "no checksum": (b'{"kind":"folded","format":1,"segments":[]}\n' + GOOD, 0, 1),
    "another checksum": (folded([[PIECE, len(GOOD)]]).replace(b"folded", b"folden"), 0, 1),
    "no list": (folded({PIECE: len(GOOD)}), 0, 1),
    "not pairs": (folded([PIECE, len(GOOD)]), 0, 1),
    "three": (folded([[PIECE, len(GOOD), 0]]), 0, 1),
    "nested": (seal(b'{"kind":"folded","segments":' + b"[" * 5_000 + b"]" * 5_000 + b"}") + GOOD, 0, 1),
    "too small": (folded([[PIECE, len(GOOD) - 5]]), 2, 2),  # the bytes behind it; the line is torn
    "too large": (folded([[PIECE, len(GOOD) + 5]]), 3, 1),
    "a size is negative": (folded([[PIECE, len(GOOD)], ["y-1-a-b.000000.jsonl", -5]]), 3, 1),
    "a size is no number": (folded([[PIECE, "7"]]), 0, 1),
    "a size is a fraction": (folded([[PIECE, 7.5]]), 0, 1),
    "a size is true": (folded([[PIECE, True]]), 0, 1),
    "a size is huge": (folded([[PIECE, 2**62]]), 3, 1),
    "sizes beyond 64 bits": (folded([[PIECE, 2**63 - 1], ["y-1-a-b.000000.jsonl", 2**63 - 1]]), 0, 1),
    "a size of 400 digits": (folded([[PIECE, 10**400]]), 0, 1),
    "a name twice": (folded([[PIECE, len(GOOD)], [PIECE, 0]]), 3, 1),
    "a name that is none": (folded([["notes.txt", len(GOOD)]]), 0, 1),
    "a path": (folded([["../../../etc/passwd.000000.jsonl", len(GOOD)]]), 0, 1),
    "half a character": (folded([["\ud800.000000.jsonl", len(GOOD)]]), 0, 1),
    "a zero": (folded([["a\x00b.000000.jsonl", len(GOOD)]]), 0, 1),
    "a long name": (folded([["x" * 5_000 + ".000000.jsonl", len(GOOD)]]), 0, 1),
    "a folded name": (folded([["x.folded", len(GOOD)]]), 0, 1),
    "twenty thousand that are cut off": (folded([[f"y{n}.000000.jsonl", 10**12] for n in range(19_000)]), 3, 19_000),
    "more than there may be": (folded([[f"y{n}.000000.jsonl", 0] for n in range(25_000)]), 0, 1),
}


@pytest.mark.parametrize("wrong", HOSTILE)
def test_a_hostile_folded_file_costs_itself_alone(wrong: str, run: Path) -> None:
    data, found, damaged = HOSTILE[wrong]
    before, _ = read(run)
    (run / "journal" / "evil.folded").write_bytes(data)

    records, account = read(run)

    others = [each for each in records if each in before]
    assert others == before
    assert len(records) - len(others) == found
    assert account.damaged + account.torn == damaged
    assert ending_of(run).status == "completed"
    assert Run.open(run).summary.account.damaged + account.torn == damaged


def test_a_header_of_a_hundred_megabytes_is_not_read(run: Path) -> None:
    before, _ = read(run)
    with open(run / "journal" / "evil.folded", "wb") as file:
        file.write(b'{"kind":"folded","segments":[')
        file.write(b"[]," * (35 << 20))
    count = Path("/proc/self/io")
    begun = int(count.read_text().split()[1]) if count.exists() else 0

    records, account = read(run)

    assert (records, account.damaged) == (before, 1)
    if count.exists():
        assert int(count.read_text().split()[1]) - begun < 100 << 20


def _link(path: Path) -> None:
    elsewhere = path.parents[2] / "elsewhere"
    elsewhere.write_bytes(folded([[PIECE, len(GOOD)]]))
    path.symlink_to(elsewhere)


@pytest.mark.parametrize("put", [_link, os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_left_out(put: Callable[[Path], Any], run: Path) -> None:
    before = read(run)
    put(run / "journal" / "evil.folded")

    assert read(run) == before


def test_a_hidden_file_is_a_draft(run: Path) -> None:
    before = read(run)
    (run / "journal" / ".fold-abcdefgh").write_bytes(folded([[PIECE, len(GOOD)]])[:-20])
    (run / "journal" / ".hidden.folded").write_bytes(b"")

    assert read(run) == before


def test_a_hole_in_a_folded_file_is_passed_over(run: Path) -> None:
    size = 1 << 34
    with open(run / "journal" / "evil.folded", "wb") as file:
        file.write(folded([[PIECE, len(GOOD) + size], ["y-1-a-b.000000.jsonl", len(GOOD)]], GOOD))
        file.seek(size, os.SEEK_CUR)
        file.write(GOOD)
    before = [each for each in read(run)[0] if each[0] not in ("y-1-a-b", "z-1-a-b")]

    records, account = read(run)

    assert len(before) == 16
    assert len(records) == 22
    assert (account.damaged, account.missing) == (1, 0)
