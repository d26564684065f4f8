"""Files in a run's folder are opened in one place, which a pipe, a device or a link can neither hold up nor mislead."""

from __future__ import annotations

import ast
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from refunc.delivery.cursor import cursor_path
from refunc.delivery.custody import load_cursor
from refunc.delivery.dead_letters import DeadLetters
from refunc.journal import reader
from refunc.journal import segments as segment_lines
from refunc.journal.codec import encode_line
from refunc.journal.opening import NoDescriptorError, names_in, opened, read_whole
from refunc.journal.pieces import Segment, segments
from refunc.journal.reader import Account, read_backwards, read_journal
from refunc.journal.record import Artifact, LogLine
from refunc.journal.segments import SegmentLines, lines_backwards
from refunc.journal.tail import Tail
from refunc.plugins.run import RunInfo
from refunc.runs.ending import ending_of
from refunc.runs.errors import RunFormatError
from refunc.runs.identity import read_birth

ROOT = Path(__file__).parents[3]
CORE, COMMANDS = ROOT / "refunc-core/src/refunc", ROOT / "refunc-commands/src/refunc_commands"

#: The code that reads files of runs, and the places in it that may open something, each with the reason.
_OF_CORE = (
    "annotations",
    "journal",
    "outlets",
    "processes",
    "runs",
    "delivery",
    "plugins/run.py",
    "plugins/integration.py",
)
READERS = (*(CORE / part for part in _OF_CORE), COMMANDS / "upkeep", COMMANDS / "report")
ALLOWED = {
    ("journal/opening.py", "opened"): "the place itself",
    ("journal/opening.py", "_descriptor"): "the place itself",
    ("outlets/opening.py", "open_file"): "for writing, and for locks",
    ("journal/alive.py", "file_system"): "a file of the system",
    ("processes/opener.py", "_read"): "a file of the system",
    ("outlets/own_folder.py", "keep_out_of_git"): "a new file",
    ("delivery/dead_letters.py", "add"): "writing, by `no_links`",
    ("delivery/dead_letters.py", "put_back"): "writing, by `no_links`",
    ("delivery/process.py", "__init__"): "the pipe from the training",
    ("delivery/process.py", "_open"): "writing, by `no_links`",
    ("delivery/process.py", "_stand_back"): "a file of the system",
    ("runs/reader_process.py", "_listen"): "the socket from the command",
    ("runs/entries_file.py", "whole_file"): "the file that a user names",
    ("report/page.py", "_part"): "a file of the package",
}
_OPENING = {"read_bytes", "read_text", "write_bytes", "write_text", "FileIO", "fdopen", "mmap"}


def _opens(call: ast.Call) -> bool:
    match call.func:
        case ast.Name(id=name):
            return name == "open" or name in _OPENING
        case ast.Attribute(value=ast.Name(id=base), attr="open"):
            return base in ("os", "io", "path", "file", "codecs")
        case ast.Attribute(attr="open"):
            return True
        case ast.Attribute(attr=name):
            return name in _OPENING
    return False


def _openings() -> Iterator[tuple[str, str]]:
    for path in READERS:
        root = CORE if path.is_relative_to(CORE) else COMMANDS
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            yield from ((file.relative_to(root).as_posix(), name) for name in _in(ast.parse(file.read_bytes()), ""))


def _in(node: ast.AST, function: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        inside = child.name if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) else function
        if isinstance(child, ast.Call) and _opens(child):
            yield inside
        yield from _in(child, inside)


@pytest.mark.once
def test_files_of_runs_are_opened_in_one_place() -> None:
    """An import says nothing about who opens files, so the calls are looked at."""
    found = set(_openings())

    assert found - ALLOWED.keys() == set()
    assert ALLOWED.keys() - found == set(), "it opens nothing any more"


# -- entries that are no files -----------------------------------------------------------------------------------------


@contextmanager
def _at_once() -> Iterator[None]:
    """Raise in code that still waits after ten seconds."""

    def wake(*_: object) -> None:
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, wake)
    signal.alarm(10)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _link(path: Path) -> None:
    elsewhere = path.parent / "elsewhere"
    elsewhere.write_bytes(encode_line({"format": 2, "delivered": 7, "positions": {}, "run_id": "x"}))
    path.symlink_to(elsewhere)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("put", [_pipe, _link, _device, _folder])
def test_what_is_no_file_of_the_run_is_neither_waited_for_nor_read(put: Callable[[Path], Any], tmp_path: Path) -> None:
    for name in ("run.json", "journal/h.000000.jsonl", "delivery/k.json", "delivery/k.dead.jsonl", "artifacts/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        put(tmp_path / name)

    with _at_once():
        with pytest.raises(RunFormatError):
            read_birth(tmp_path)
        with pytest.raises(OSError):
            opened(tmp_path / "journal/h.000000.jsonl")
        assert list(read_journal(tmp_path)) == list(read_backwards(tmp_path)) == Tail(tmp_path).read(9) == []
        assert load_cursor(tmp_path, "k", "k").delivered == 0
        assert DeadLetters(tmp_path, "k").lines() == []
        with pytest.raises(OSError):
            DeadLetters(tmp_path, "k").put_back(b"x\n")
        assert RunInfo(run_id="x", folder=tmp_path).files_of(Artifact(name="a", stored="artifacts/x")) == []


@pytest.mark.parametrize("name", ["journal", "delivery"])
def test_a_folder_that_is_a_link_is_not_read(name: str, tmp_path: Path) -> None:
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    run.mkdir()
    elsewhere.mkdir()
    (elsewhere / "k.json").write_bytes(encode_line({"format": 2, "delivered": 7, "positions": {}}))
    (run / name).symlink_to(elsewhere)

    if name == "journal":
        with pytest.raises(OSError, match="symbolic links"):
            segments(run)
    assert load_cursor(run, "k", "k").delivered == 0


def test_a_file_is_read_to_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)

    assert read_whole(path, 100) == b"x" * 100
    with pytest.raises(OSError, match="more than 99 bytes"):
        read_whole(path, 99)


# -- many writers ------------------------------------------------------------------------------------------------------

START = 1_795_448_151.0


def _write(folder: Path, writers: int, lines: int) -> None:
    (folder / "journal").mkdir()
    for writer in range(writers):
        rows = [{"seq": seq, "time": START + seq * writers + writer, "kind": "log", "level": "INFO",
                 "message": f"{writer} {seq} {'x' * 900}"} for seq in range(lines)]  # fmt: skip
        text = b"".join(map(encode_line, rows))
        (folder / "journal" / f"w{writer:05}.000000.jsonl").write_bytes(text)


@contextmanager
def _files_left(count: int) -> Iterator[None]:
    """Have room for so many more open files."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = os.open(os.devnull, os.O_RDONLY)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe + 1, before[1]))
    held = []
    try:
        while True:  # those below it that are free
            try:
                held.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                break
        for fd in [probe, *held][:count]:
            os.close(fd)
        held = [probe, *held][count:]
        yield
    finally:
        for fd in held:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def _in_a_process_of_its_own(question: str, folder: Path) -> Any:
    """Ask it where no other thread opens or closes a file meanwhile."""
    done = subprocess.run([sys.executable, __file__, question, str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_writers_beyond_the_limit_of_open_files_are_read_by_turns(tmp_path: Path) -> None:
    """Each writer has more than a block of it, so that all are gone on with again and again."""
    writers, lines = 100, 12
    _write(tmp_path, writers, lines)

    read = _in_a_process_of_its_own("by turns", tmp_path)

    wanted = [f"{writer} {seq} {'x' * 900}" for seq in range(lines) for writer in range(writers)]
    assert read["forwards"] == wanted
    assert read["backwards"] == wanted[::-1]
    assert read["last_time"] == START + writers * lines - 1
    assert read["has_damage"] is False


def _by_turns(folder: Path) -> dict[str, Any]:
    reader._ALL_BLOCKS_BYTES = 0
    account = Account()
    with _files_left(1):
        return {
            "forwards": [record.message for record in read_journal(folder, account) if isinstance(record, LogLine)],
            "backwards": [record.message for record in read_backwards(folder) if isinstance(record, LogLine)],
            "last_time": ending_of(folder).last_time,
            "has_damage": account != Account(),
        }


def test_no_room_for_another_file_is_no_damage(tmp_path: Path) -> None:
    _write(tmp_path, 1, 1)
    cursor_path(tmp_path, "k").parent.mkdir()
    for path in (tmp_path / "run.json", cursor_path(tmp_path, "k"), DeadLetters(tmp_path, "k").path):
        path.write_bytes(b"{}\n")

    said = _in_a_process_of_its_own("no room", tmp_path)

    assert len(said) == len(READ)
    assert [one for one in said if "ulimit -n" not in one] == []


READ: list[Callable[[Path], Any]] = [
    lambda folder: list(read_journal(folder)),
    lambda folder: list(read_backwards(folder)),
    lambda folder: Tail(folder).read(9),
    lambda folder: Tail(folder).waiting(),
    lambda folder: load_cursor(folder, "k", "k"),
    lambda folder: DeadLetters(folder, "k").lines(),
    lambda folder: names_in(folder / "journal"),
    ending_of,
    read_birth,
]


def _no_room(folder: Path) -> list[str]:
    """Return the text of the error that each reader raises."""
    said = []
    for read in READ:
        with _files_left(0):
            try:
                said.append(f"no error: {read(folder)}")
            except NoDescriptorError as error:
                said.append(str(error))
    return said


# -- lines that a block may cut ----------------------------------------------------------------------------------------


def _lines(path: Path, account: Account, size: int) -> list[bytes]:
    lines = SegmentLines(Segment.at(path), 0, account, size)
    found = [line for block in lines for line in block]
    account.torn += lines.unfinished == "torn"
    account.damaged += lines.unfinished == "long"
    return found


@pytest.mark.once
@pytest.mark.parametrize("size", [1, 2, 7, 64, 1 << 16])
def test_lines_are_the_same_whatever_is_read_at_a_time(size: int, tmp_path: Path) -> None:
    path = tmp_path / "h.000000.jsonl"
    for text in (b"", b"\n", b"a", b"a\n", b"\n\na\n", b"one\ntwo\n\nthree", b"x" * 200 + b"\ny\n"):
        path.write_bytes(text)
        account = Account()

        assert _lines(path, account, size) == text.split(b"\n")[:-1]
        assert account == Account(torn=int(bool(text.split(b"\n")[-1])))
        assert list(lines_backwards(Segment.at(path), [], size)) == text.split(b"\n")[-2::-1]


@pytest.mark.once
@pytest.mark.parametrize("size", [3, 64])
def test_a_line_that_is_too_long_is_damage_once(size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_lines, "MAX_LINE_BYTES", 10)
    path = tmp_path / "h.000000.jsonl"
    for text, wanted, damaged in (
        (b"123456789\nx\n", [b"123456789", b"x"], 0),
        (b"1234567890\nx\n", [b"x"], 1),
        (b"y\n" + b"z" * 100 + b"\nx\n", [b"y", b"x"], 1),
        (b"y\n" + b"z" * 100, [b"y"], 1),
    ):
        path.write_bytes(text)
        account = Account()

        assert _lines(path, account, size) == wanted
        assert account == Account(damaged=damaged)


if __name__ == "__main__":
    print(json.dumps({"by turns": _by_turns, "no room": _no_room}[sys.argv[1]](Path(sys.argv[2]))))
