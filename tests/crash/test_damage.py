"""Damaged files: nothing false is read, no reader breaks, and the records that the damage spares are there."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from refunc.delivery.cursor import Cursor
from refunc.delivery.custody import load_cursor, save_cursor
from refunc.journal.pieces import segments
from refunc.journal.reader import Account, read_backwards, read_journal
from refunc.journal.record import Metrics, Record
from refunc.journal.tail import Position, Tail
from refunc.logging import ExperimentTracker, MLLogger
from refunc.runs.run import Run

pytestmark = [pytest.mark.crash, pytest.mark.timeout(3600), pytest.mark.usefixtures("clean_process")]

#: How often the slower readers, `refunc show` and `refunc ls`, look at a damaged run as well.
SHOWN = 25


@attrs.define
class Journal:
    """A run as it was written, with its records and their places."""

    folder: Path
    paths: list[Path]
    whole: dict[Path, bytes]
    #: Each record by its number, and where its line stands: path, first byte, byte behind the newline.
    records: dict[int, Record]
    places: dict[int, tuple[Path, int, int]]
    damaged: Path | None = None

    def damage(self, path: Path, data: bytes) -> None:
        """Replace the contents of one segment; the others are whole again."""
        self.repair()
        path.write_bytes(data)
        self.damaged = path

    def repair(self) -> None:
        if self.damaged is not None:
            self.damaged.write_bytes(self.whole[self.damaged])
        self.damaged = None

    def spared(self, path: Path, begin: int, end: int) -> set[int]:
        """Return the records whose line, and the newline before it, lie outside of the bytes from *begin* to *end*."""
        return {
            seq
            for seq, (place, first, last) in self.places.items()
            if place != path or last <= begin or first - 1 >= end
        }


def _write_run(store: Path, count: int, monkeypatch: pytest.MonkeyPatch) -> Journal:
    with monkeypatch.context() as patch:
        patch.setattr("refunc.journal.writer.SEGMENT_BYTES", 2_500)
        with ExperimentTracker("damage", "d", log_dir=store, logger=MLLogger("train", "CRITICAL")) as run:
            run.log_hyperparams({"lr": 0.1, "nested": {"layers": [1, 2, math.nan]}, "Größe": "ß\u202e\x1b"})
            run.add_tags({"team": "vision"})
            for n in range(count):
                run.log_metrics({"n": n, "loss": math.inf if n % 7 == 0 else 1 / (n + 1)}, step=n)
                if n % 9 == 0:
                    run.log_result(f"r{n}", {"text": f'a "crc":"00000000"}} in {n}', "value": n})
                run.flush()
            assert run.folder is not None
            folder = run.folder
    [pieces] = segments(folder).values()
    paths = [Path(segment.path) for segment in pieces]
    whole = {path: path.read_bytes() for path in paths}
    records = {record.seq: record for record in read_journal(folder)}
    places = {}
    for path, data in whole.items():
        first = 0
        for line in data.splitlines(keepends=True):
            seq = json.loads(line).get("seq")
            if seq is not None:
                places[seq] = (path, first, first + len(line))
            first += len(line)
    # The readers are judged by the records that were logged, not by themselves.
    assert [each.metrics["n"] for each in records.values() if isinstance(each, Metrics)] == list(range(count))
    assert sorted(places) == sorted(records) == list(range(len(records)))
    return Journal(folder, paths, whole, records, places)


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    """Two segments or more, with every kind of value that a line may hold."""
    found = _write_run(tmp_path / "experiments", 30, monkeypatch)
    assert len(found.paths) >= 2
    return found


@pytest.fixture
def shown(journal: Journal) -> Callable[[], None]:
    """Have the command line show the run: whatever it is, that is no traceback."""
    from click.testing import CliRunner

    from refunc_commands.cli.root import refunc

    def show() -> None:
        for arguments in (["show", str(journal.folder)], ["--store", str(journal.folder.parent), "ls"]):
            result = CliRunner().invoke(refunc, arguments)
            assert result.exit_code == 0, result.output
            assert result.exception is None

    return show


def _tail(folder: Path, limit: int, positions: dict[str, Position] | None = None) -> list[Record]:
    tail, found = Tail(folder, positions), []
    while some := tail.read(limit):
        found += some
    return found


def _check(journal: Journal, spared: set[int], limit: int) -> tuple[list[Record], Account]:
    """Read the run in every way; each returns the records that were spared, and none that was not written."""
    account = Account()
    forwards = list(read_journal(journal.folder, account))
    for found in (forwards, list(read_backwards(journal.folder)), _tail(journal.folder, limit)):
        for record in found:
            written = journal.records[record.seq]
            # Without its segment's header, nothing says which logger a line is from.
            assert record == written or record == attrs.evolve(written, logger=""), record
        numbers = [record.seq for record in found]
        assert len(numbers) == len(set(numbers)), numbers
        assert spared <= set(numbers), sorted(spared - set(numbers))
    Run.open(journal.folder).glance()
    return forwards, account


def test_a_segment_that_ends_at_any_byte_gives_the_lines_before(
    journal: Journal, times: Callable[[float, float], int], shown: Callable[[], None]
) -> None:
    """As a kill or a full disk leaves the last one, and a lost page any other."""
    ends = [(path, length) for path in journal.paths[::-1] for length in range(len(journal.whole[path]))]
    for turn, (path, length) in enumerate(ends[: times(3_000, 30_000)]):
        journal.damage(path, journal.whole[path][:length])
        spared = journal.spared(path, length, len(journal.whole[path]))
        records, account = _check(journal, spared, 1_000)
        assert {record.seq for record in records} == spared, (path.name, length)
        assert account.torn == (length > 0 and journal.whole[path][length - 1 : length] != b"\n"), (path.name, length)
        assert (account.damaged, account.dropped, account.duplicates) == (0, 0, 0), (path.name, length)
        if turn % SHOWN == 0:
            shown()


def test_flipped_bits_lose_two_records_each_at_most_and_forge_none(
    journal: Journal, times: Callable[[float, float], int], chance: random.Random, shown: Callable[[], None]
) -> None:
    for turn in range(times(3_000, 50_000)):
        path = chance.choice(journal.paths)
        data = bytearray(journal.whole[path])
        flips = 1 if turn % 4 else chance.randrange(2, 6)
        spared = set(journal.records)
        for bit in chance.sample(range(len(data) * 8), flips):
            data[bit // 8] ^= 1 << bit % 8
            spared &= journal.spared(path, bit // 8, bit // 8 + 1)
        journal.damage(path, data)

        records, account = _check(journal, spared, chance.choice((1, 1_000)))

        assert len(records) >= len(journal.records) - 2 * flips
        assert account.damaged + account.torn >= 1
        last = max(record.seq for record in records) + 1
        assert account.missing == last - len(records)
        if turn % SHOWN == 0:
            shown()


def _splice(data: bytes, chance: random.Random) -> bytes:
    """Return bytes to put into a journal: rubbish of several kinds, and bytes that were in it before."""
    lines = data.splitlines(keepends=True)
    here = chance.randrange(len(data))
    return chance.choice(
        (
            lambda: chance.randbytes(chance.randrange(1, 6_000)),
            lambda: b"\n" * chance.randrange(1, 9),
            lambda: bytes(chance.randrange(1, 9_000)),
            lambda: chance.choice(lines),
            lambda: data[here : here + chance.randrange(1, 2_000)],
            lambda: b'{"seq":3,"time":1.0,"kind":"metrics","metrics":{"n":777}}\n',
            lambda: b'{"seq":3,"time":1.0,"kind":"metrics","metrics":{"n":777},"crc":"00000000"}\n',
            lambda: chance.choice(lines).replace(b'"seq":', b'"seq":1'),
            lambda: "\u2028\x85\x0b\x1c".encode() * 3,
        )
    )()


def test_what_is_spliced_in_leaves_the_lines_around_it(
    journal: Journal, times: Callable[[float, float], int], chance: random.Random, shown: Callable[[], None]
) -> None:
    for turn in range(times(1_500, 20_000)):
        path = chance.choice(journal.paths)
        data = journal.whole[path]
        at, spliced = chance.randrange(len(data) + 1), _splice(data, chance)
        journal.damage(path, data[:at] + spliced + data[at:])

        # The line before it may go on in it, and the line behind it may begin in it.
        records, account = _check(journal, journal.spared(path, at, at), chance.choice((1, 1_000)))

        assert len(records) >= len(journal.records) - 2
        # A header that is there again, whole, is no damage.
        assert account.damaged + account.torn + account.duplicates >= 1 or b'"kind":"segment"' in spliced
        if turn % SHOWN == 0:
            shown()


def test_bytes_that_were_replaced_or_lost_cost_the_lines_they_stood_in(
    journal: Journal, times: Callable[[float, float], int], chance: random.Random, shown: Callable[[], None]
) -> None:
    """Zeroed pages, as a power cut leaves them; sectors of something else; a hole."""
    for turn in range(times(1_500, 20_000)):
        path = chance.choice(journal.paths)
        data = journal.whole[path]
        size = chance.choice((64, 512, 4_096))
        begin = chance.randrange(0, len(data), size)
        end = min(len(data), begin + size)
        instead = chance.choice((bytes(end - begin), chance.randbytes(end - begin), b"", b"\xff" * (end - begin)))
        journal.damage(path, data[:begin] + instead + data[end:])

        spared = journal.spared(path, begin, end)
        records, account = _check(journal, spared, chance.choice((1, 1_000)))

        lost = len(journal.records) - len(records)
        last = max((record.seq for record in records), default=-1) + 1
        assert account.missing == last - len(records)
        assert lost == 0 or account.damaged or account.torn or instead == b""
        if turn % SHOWN == 0:
            shown()


def test_a_reader_that_stood_before_the_damage_goes_on_behind_it(
    journal: Journal, times: Callable[[float, float], int], chance: random.Random
) -> None:
    """Delivery has a position from before; the damage is behind it, and costs no more than it does to others."""
    for _ in range(times(500, 5_000)):
        journal.repair()
        tail = Tail(journal.folder)
        before = tail.read(chance.randrange(1, len(journal.records)))
        [position] = tail.positions.values()
        path = journal.paths[position.segment]
        data = bytearray(journal.whole[path])
        if position.offset >= len(data):
            continue
        begin = chance.randrange(position.offset, len(data))
        end = min(len(data), begin + chance.choice((1, 64, 512)))
        data[begin:end] = chance.randbytes(end - begin)
        journal.damage(path, data)

        behind = _tail(journal.folder, chance.choice((1, 1_000)), tail.positions)

        numbers = [record.seq for record in [*before, *behind]]
        assert len(numbers) == len(set(numbers))
        assert journal.spared(path, begin, end) <= set(numbers)
        assert all(record == journal.records[record.seq] for record in behind)


def test_a_damaged_cursor_makes_delivery_begin_anew_and_skips_nothing(
    journal: Journal, times: Callable[[float, float], int], chance: random.Random
) -> None:
    """A wrong number in it would leave records out for ever, unnoticed."""
    cursor = Cursor(journal.folder, "probe", "probe")
    tail = Tail(journal.folder)
    delivered = {record.seq for record in tail.read(20)}
    cursor.positions, cursor.delivered, cursor.started = tail.positions, 20, True
    cursor.params = {"lr": 0.1, "nan": math.nan}
    save_cursor(cursor)
    data = cursor.path.read_bytes()
    loaded = load_cursor(journal.folder, "probe", "probe")
    assert (loaded.positions, loaded.delivered, loaded.params["lr"]) == (cursor.positions, 20, 0.1)

    for _ in range(times(1_000, 10_000)):
        cursor.path.write_bytes(_damaged(data, chance))
        loaded = load_cursor(journal.folder, "probe", "probe")
        behind = {record.seq for record in _tail(journal.folder, 1_000, loaded.positions)}
        assert delivered | behind == set(journal.records)
        assert not loaded.ended


def _damaged(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    bit = bytearray(data)
    bit[at] ^= 1 << chance.randrange(8)
    return chance.choice(
        (bytes(bit), bytes(bit), data[:at], data[:at] + chance.randbytes(9) + data[at:], data[at:], bytes(len(data)))
    )


def test_a_damaged_birth_record_is_one_line_and_not_a_traceback(
    journal: Journal, times: Callable[[float, float], int], chance: random.Random
) -> None:
    from click.testing import CliRunner

    from refunc_commands.cli.root import refunc

    path = journal.folder / "run.json"
    data = path.read_bytes()
    for _ in range(times(500, 5_000)):
        path.write_bytes(_damaged(data, chance))
        for arguments in (["show", str(journal.folder)], ["--store", str(journal.folder.parent), "ls"]):
            result = CliRunner().invoke(refunc, arguments)
            assert result.exit_code in (0, 2), result.output
            assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
            assert not [each for each in result.output if not each.isprintable() and each != "\n"], result.output
