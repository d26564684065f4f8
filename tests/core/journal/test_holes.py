"""Sparse segments: a hole is damage of the line that it lies in, and costs nothing, however large it says to be."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.codec import encode_line
from refunc.journal.holes import data_before, dense, extents
from refunc.journal.pieces import Segment
from refunc.journal.reader import Account, read_backwards, read_journal
from refunc.journal.scan import ReadPosition, scan
from refunc.journal.tail import Tail

pytestmark = pytest.mark.once

WRITER = "host-1-abc-wxyz"
GIGABYTE = 1 << 30
IO = Path("/proc/self/io")


def lines(first: int, count: int) -> bytes:
    return b"".join(
        encode_line({"seq": n, "time": float(n), "kind": "tags", "tags": {"n": str(n)}})
        for n in range(first, first + count)
    )


def bytes_read() -> int:
    """Return how many bytes this process has read so far."""
    return int(IO.read_text().split()[1])


@pytest.fixture
def holey(tmp_path: Path) -> Path:
    """A run whose segment has 40 pieces of data, 2 records each, with a gigabyte between them and one at the end."""
    (tmp_path / "journal").mkdir()
    with open(tmp_path / "journal" / f"{WRITER}.000000.jsonl", "wb") as file:
        for piece in range(40):
            file.seek(piece * GIGABYTE)
            file.write(lines(2 * piece, 2))
        file.truncate(40 * GIGABYTE)
    if len(extents_of(tmp_path)) != 40:
        pytest.skip("this file system has no holes")
    return tmp_path


def extents_of(folder: Path) -> list[tuple[int, int]]:
    with open(folder / "journal" / f"{WRITER}.000000.jsonl", "rb") as file:
        return extents(file)


@pytest.mark.skipif(not IO.exists(), reason="the system does not count what is read")
def test_each_reader_passes_over_holes_at_once_and_says_that_there_is_damage(holey: Path) -> None:
    before = bytes_read()
    account = Account()
    position = ReadPosition()

    forward = [record.seq for record in read_journal(holey, account)]
    backward = [record.seq for record in read_backwards(holey)]
    paths = list(map(Segment.at, sorted(holey.glob("journal/*"))))
    scanned = [note.record.seq for block in scan(WRITER, paths, position) for note in block]  # type: ignore[union-attr]
    tail = Tail(holey)
    delivered = [record.seq for _ in range(80) for record in tail.read(100)]
    Tail(holey).waiting()
    Tail.at_end(holey)

    # The first record of each piece but the first stands behind zeros, in a line that begins with them.
    expected = [0, *range(1, 80, 2)]
    assert (forward, scanned, delivered, backward) == (expected, expected, expected, expected[::-1])
    assert account == position.account
    assert (account.damaged, account.torn, account.missing) == (40, 0, 39)
    assert bytes_read() - before < 500 << 20


def test_a_hole_is_read_as_one_zero(tmp_path: Path) -> None:
    chance = random.Random(5)
    for _ in range(20):
        pieces = [chance.randbytes(chance.choice([0, 1, 10, 5_000])).replace(b"\0", b"x") for _ in range(4)]
        with open(tmp_path / "file", "wb") as file:
            for at, piece in enumerate(pieces):
                file.seek(at << 20)
                file.write(piece)
            file.truncate(chance.choice([4 << 20, 5 << 20]))
        with open(tmp_path / "file", "rb") as file:
            known = extents(file)
            found = dense(file).read()
            at_end = data_before(known, 6 << 20)

        assert [part for part in found.split(b"\0") if part] == [piece for piece in pieces if piece]
        assert len(found) < 100_000
        assert at_end == (known[-1][1] if known else 0)


def test_what_is_no_line_yet_is_torn_only_where_it_could_be_a_writers(tmp_path: Path) -> None:
    def counted(ending: bytes) -> list[tuple[int, int]]:
        (tmp_path / "journal").mkdir(exist_ok=True)
        path = tmp_path / "journal" / f"{WRITER}.000000.jsonl"
        path.write_bytes(lines(0, 2) + ending)
        account, position = Account(), ReadPosition()
        records: list[Any] = [list(read_journal(tmp_path, account)), *scan(WRITER, [Segment.at(path)], position)]
        assert len(records[0]) == 2
        return [(found.torn, found.damaged) for found in (account, position.account)]

    assert counted(b'{"seq":2,') == [(1, 0), (1, 0)]
    assert counted(b'{"seq":2,' + b"\0" * 5_000) == [(0, 1), (0, 1)]  # as after a power cut
