"""Journals of an attacker: they cost no memory, and hide nothing that is behind them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.codec import MAX_LEVELS, MAX_LINE_BYTES, MAX_VALUES, decode_line, encode_line, seal

pytestmark = [
    pytest.mark.crash,
    pytest.mark.extras,
    pytest.mark.timeout(3600),
    pytest.mark.usefixtures("clean_process"),
]

#: Memory that a reader may take beyond that of its start.
MEMORY = 100 << 20


# Reads one run in every way there is, and prints the memory and the records of each. VmHWM, since ru_maxrss of a
# child begins with that of its parent.
_READER = """
import contextlib, io, json, sys
from pathlib import Path
import click.testing, refunc_commands.cli.root
from refunc.delivery.custody import load_cursor
from refunc.delivery.subscription import Subscription
from refunc.delivery.waiting import health_at
from refunc.journal.reader import read_backwards, read_journal
from refunc.journal.tail import Tail
from refunc.runs.errors import RunFormatError
from refunc.runs.run import Run

def memory(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name))

def read(way):
    numbers = []
    if way == "forwards": numbers = [record.seq for record in read_journal(folder)]
    elif way == "backwards": numbers = [record.seq for record in read_backwards(folder)]
    elif way == "tail":
        tail = Tail(folder)
        while some := tail.read(100): numbers += [record.seq for record in some]
        tail.waiting()
    elif way == "delivery":
        health_at(load_cursor(folder, "probe", "probe"))
        Subscription(folder, "probe", "probe").wants()
    else:
        arguments = [way, *([str(folder)] if way == "show" else [])]
        result = click.testing.CliRunner().invoke(refunc_commands.cli.root.refunc, arguments)
        if not isinstance(result.exception, (SystemExit, type(None))): raise result.exception
    return dict(grown=memory("VmHWM") - before, numbers=numbers)

folder = Path(sys.argv[1])
before = memory("VmRSS")
print(json.dumps({way: read(way) for way in sys.argv[2:]}))
"""

WAYS = ["forwards", "backwards", "tail", "delivery", "show", "ls"]


def _metrics(first: int, count: int) -> bytes:
    return b"".join(
        encode_line({"seq": n, "time": float(n), "kind": "metrics", "metrics": {"n": n}})
        for n in range(first, first + count)
    )


def _deep(levels: int, opening: bytes = b'{"a":', closing: bytes = b"}") -> bytes:
    body = opening * levels + b"1" + closing * levels
    return seal(b'{"seq":5,"time":5.0,"kind":"params","params":{"a":' + body + b"}}")


def _giant(write: Callable[[Any], None]) -> Callable[[Path], None]:
    """Return a function that writes a journal with ten records, then something giant, then ten more."""

    def make(path: Path) -> None:
        with open(path, "wb") as file:
            file.write(encode_line({"kind": "segment", "format": 1, "logger": "m"}) + _metrics(0, 5))
            write(file)
            file.write(b"\n" + _metrics(6, 5))

    return make


def _crowded(piece: bytes, size: int = MAX_LINE_BYTES - 200) -> Callable[[Any], None]:
    """Return a function that writes a line that is whole, and has as many values as go into it."""

    def write(file: Any) -> None:
        values = b",".join([piece] * (size // (len(piece) + 1)))
        file.write(seal(b'{"seq":5,"time":5.0,"kind":"params","params":{"a":[' + values + b"]}}"))

    return write


def _names(count: int, length: int) -> Callable[[Any], None]:
    def write(file: Any) -> None:
        metrics = {f"{n:0{length}}": n / 7 for n in range(count)}
        file.write(encode_line({"seq": 5, "time": 5.0, "kind": "metrics", "metrics": metrics}))

    return write


def _sparse(size: int) -> Callable[[Any], None]:
    return lambda file: file.seek(size, 1)


def _repeat(piece: bytes, size: int) -> Callable[[Any], None]:
    def write(file: Any) -> None:
        block = piece * ((1 << 20) // len(piece))
        for _ in range(size // len(block)):
            file.write(block)

    return write


JOURNALS: dict[str, Callable[[Path], None]] = {
    "a line of 1 GB": _giant(_sparse(1 << 30)),
    "a line of 100 MB that looks like a record": _giant(_repeat(b'{"seq":5,"a":[1,', 100 << 20)),
    "a line just too long": _giant(lambda file: file.write(b"x" * (MAX_LINE_BYTES + 1))),
    "a line just not too long": _giant(lambda file: file.write(b"x" * (MAX_LINE_BYTES - 1))),
    "lines of 12 MB": _giant(lambda file: [file.write(b"x" * 12_000_000 + b"\n") for _ in range(5)]),
    "two million empty lines": _giant(_repeat(b"\n", 2 << 20)),
    "zeros with newlines": _giant(_repeat(b"\x00" * 63 + b"\n", 32 << 20)),
    "a text of 15 MB": _giant(
        lambda file: file.write(
            encode_line({"seq": 5, "time": 5.0, "kind": "log", "level": "INFO", "message": "x" * 15_000_000})
        )
    ),
    "100,000 levels": _giant(lambda file: file.write(_deep(100_000))),
    "100,000 lists": _giant(lambda file: file.write(_deep(100_000, b"[", b"]"))),
    "three million brackets": _giant(lambda file: file.write(b"[" * 3_000_000)),
    "as deep as a line may be": _giant(lambda file: file.write(_deep(MAX_LEVELS - 3))),
    "one level too many": _giant(lambda file: file.write(_deep(MAX_LEVELS))),
    "as deep as Python goes": _giant(lambda file: file.write(_deep(900))),
    "five million lists": _giant(_crowded(b"[]")),
    "two million dicts": _giant(_crowded(b'{"a":1}')),
    "four million numbers": _giant(_crowded(b"1.5")),
    "three million texts": _giant(_crowded(b'"ab"')),
    "a million names": _giant(_names(1_000_000, 6)),
    "as many names as a line may have": _giant(_names(MAX_VALUES - 10, 30)),
    "thirty lines with as many dicts as a line may have": _giant(
        lambda file: [_crowded(b'{"a":1}', 900_000)(file) for _ in range(30)]
    ),
    "a text of five million commas": _giant(
        lambda file: file.write(
            encode_line({"seq": 5, "time": 5.0, "kind": "log", "level": "INFO", "message": '\\",[{' * 1_500_000})
        )
    ),
    "seven million quotes": _giant(
        lambda file: file.write(seal(b'{"a":' + b'"",' * 200_000 + b'""' * 6_000_000 + b"}"))
    ),
    "a number out of all": _giant(lambda file: file.write(_metrics(2**62, 1))),
    "20,000 numbers out of all": _giant(lambda file: [file.write(_metrics(2**62 + n * 7, 1)) for n in range(20_000)]),
    "a number of 100,000 digits": _giant(
        lambda file: file.write(seal(b'{"seq":5,"time":' + b"9" * 100_000 + b',"kind":"tags","tags":{}}'))
    ),
    "many pointers": _giant(
        lambda file: file.write(
            seal(json.dumps({"seq": 5, "time": 5.0, "nonfinite": {"/a" * n: "NaN" for n in range(2_000)}}).encode())
        )
    ),
}


@pytest.fixture
def read() -> Callable[..., dict[str, Any]]:
    def read(folder: Path, *ways: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-c", _READER, str(folder), *ways],
            env={**os.environ, "REFUNC_DIR": str(folder.parent)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    return read


@pytest.fixture
def run_folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "store" / "run"
    (folder / "journal").mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"format": 1, "run_id": "hostile0", "start_time": 1.0}))
    yield folder
    for path in folder.rglob("*"):  # pytest keeps the folders of some runs, and these are big
        if path.is_file():
            path.unlink()


@pytest.mark.parametrize("journal", JOURNALS)
def test_a_hostile_journal_costs_no_memory_and_hides_nothing_behind_it(
    journal: str, run_folder: Path, read: Callable[..., dict[str, Any]]
) -> None:
    JOURNALS[journal](run_folder / "journal" / "w.000000.jsonl")

    for way, found in read(run_folder, *WAYS).items():
        assert found["grown"] <= MEMORY, (way, found["grown"] >> 20)
        if way in ("forwards", "backwards", "tail"):
            numbers = [number for number in found["numbers"] if number != 5 and number < 2**61]
            assert sorted(numbers) == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10], way


@pytest.mark.parametrize("name", ["run.json", "delivery/probe.json", "delivery/probe.lock", "journal/v.000000.jsonl"])
@pytest.mark.parametrize("content", [b"", b'{"a":' * 250_000])
def test_any_other_file_of_a_run_may_be_a_gigabyte(
    name: str, content: bytes, run_folder: Path, read: Callable[..., dict[str, Any]]
) -> None:
    (run_folder / "journal" / "w.000000.jsonl").write_bytes(_metrics(0, 5))
    path = run_folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    os.truncate(path, 1 << 30)

    for way, found in read(run_folder, "delivery", "show", "ls").items():
        assert found["grown"] <= MEMORY, (way, found["grown"] >> 20)


def test_a_line_is_refused_one_level_above_what_is_allowed_and_not_before() -> None:
    assert decode_line(_deep(MAX_LEVELS - 3)[:-1]) is not None
    assert decode_line(_deep(MAX_LEVELS)[:-1]) is None
    assert decode_line(encode_line({"text": "[{" * 1_000, "list": [[1]] * 1_000})[:-1]) is not None


def test_a_line_is_refused_with_one_value_more_than_is_allowed_and_not_before() -> None:
    def line(count: int) -> bytes:
        return encode_line({"seq": 5, "metrics": {str(n): 0 for n in range(count)}})[:-1]

    texts = {"text": ',[{"\\' * 200_000, '\\"': '\\"\\\\",'}
    assert decode_line(line(MAX_VALUES - 2)) is not None
    assert decode_line(line(MAX_VALUES)) is None
    assert decode_line(encode_line(texts)[:-1]) == texts
    assert decode_line(encode_line({**texts, "list": [0] * MAX_VALUES})[:-1]) is None
