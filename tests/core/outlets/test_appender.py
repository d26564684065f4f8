"""A drain that is interrupted anywhere is taken up exactly there by the next one."""

from __future__ import annotations

import contextlib
import errno
import itertools
import linecache
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from refunc.outlets.appender import FileOutlet
from refunc.outlets.file import AppendFile

#: Calls that the disk may refuse.
SYNC, WRITE = "refunc.outlets.file._datasync", "refunc.outlets.file.AppendFile.append_from"


@contextlib.contextmanager
def refusing(call: str, refusal: BaseException | None = None) -> Iterator[None]:
    """Have *call* raise *refusal*, or else an EIO, in the block."""

    def refuse(*args: Any, **options: Any) -> Any:
        raise refusal or OSError(errno.EIO, "EIO")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(call, refuse)
        yield


def left_in(folder: Path) -> list[list[str]]:
    """Return the lines of each file, without its header."""
    return [path.read_text().splitlines()[1:] for path in sorted(folder.glob("*.txt"))]


class Lines(FileOutlet):
    """Writes numbers as lines of text into files of fifty bytes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = itertools.count()
        super().__init__()

    def __str__(self) -> str:
        return "The test"

    def _open_next(self) -> AppendFile:
        return AppendFile(self.folder / f"{next(self.files):04d}.txt", new=True)

    def _header(self) -> bytes:
        return b"header\n"

    def _is_full(self, size: int) -> bool:
        return size >= 50

    def _encode(self, batch: list[Any], seq: int, drops: int) -> bytes:
        gap = f"{seq + len(batch)}:gap {drops}\n" if drops else ""
        return ("".join(f"{number}:{item}\n" for number, item in enumerate(batch, seq)) + gap).encode()

    def read(self) -> list[str]:
        """Return the lines of all files, a number that was written twice once."""
        lines: dict[int, str] = {}
        for path in sorted(self.folder.glob("*.txt")):
            header, *found = path.read_text().splitlines() or ["header"]
            assert header == "header"
            for line in found:
                number, _, item = line.partition(":")
                assert lines.setdefault(int(number), item) == item
        assert sorted(lines) == list(range(len(lines)))
        return [lines[number] for number in sorted(lines)]


class Interrupt:
    """Raises KeyboardInterrupt at the n-th line of refunc's code of outlets and journals that runs."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.where = ""

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        if not any(f"/refunc/{part}/" in frame.f_code.co_filename for part in ("outlets", "journal")):
            return None
        # No signal handler runs between a `with` and its block, or between the block and the lock's release; a trace
        # function does.
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
        if event == "line" and not line.startswith(("with ", "try:")):
            self.left -= 1
            if self.left == 0:
                self.where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
                raise KeyboardInterrupt
        return self


def interrupted_everywhere(
    tmp_path: Path, work: Callable[[Lines, list[str]], None]
) -> Iterator[tuple[Lines, list[str], str]]:
    """
    Interrupt *work*, which queues items and notes them, at each of its lines in turn; yield the state after each time.

    That is the outlet, the items noted, and the line.
    """
    if sys.gettrace() is not None:
        pytest.skip("a debugger or coverage has the trace function")
    for number in range(1, 2_000):
        folder = tmp_path / str(number)
        folder.mkdir()
        outlet = Lines(folder)
        outlet._served = True  # the threads would trace nothing, and drain when they like
        interrupt = Interrupt(number)
        queued: list[str] = []
        sys.settrace(interrupt)
        try:
            work(outlet, queued)
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(None)
        yield outlet, queued, interrupt.where
        if interrupt.left > 0:
            break
    assert interrupt.left > 0, "the sequence has more lines than were tried"
    assert number > 100


@pytest.fixture
def no_step_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupted drain is gone on with at once: there is no writer thread here that it could be left to."""
    monkeypatch.setattr("refunc.outlets.outlet.STEP_BACK", 0.0)


@pytest.mark.usefixtures("no_step_back")
def test_interrupts_at_every_line_of_drains_rotation_and_close(tmp_path: Path) -> None:
    """One interrupt at each line in turn; afterwards every item is there once and in order, and no lock is held."""

    def work(outlet: Lines, queued: list[str]) -> None:
        outlet.high_water = 1_000
        for batch in range(3):
            for item in range(6):
                queued.append(f"{batch}.{item}.{'x' * 10}")
                outlet.queue.append(queued[-1])
            outlet.flush(sync=batch == 1)
        outlet.close()

    for outlet, queued, where in interrupted_everywhere(tmp_path, work):
        assert not outlet._turn.lock.locked(), where
        assert not outlet._not_on_disk._turn.lock.locked(), where
        assert outlet.flush(sync=True), where
        outlet.close()
        assert outlet.read() == queued, where


@pytest.mark.usefixtures("no_step_back")
def test_interrupts_at_every_line_of_records_that_are_written_alone(tmp_path: Path) -> None:
    def work(outlet: Lines, queued: list[str]) -> None:
        for item in range(8):
            queued.append(f"{item}.{'x' * 10}")
            outlet.queue.append(queued[-1])
            outlet.relieve()

    for outlet, queued, where in interrupted_everywhere(tmp_path, work):
        assert not outlet._turn.lock.locked(), where
        outlet.append("last")
        assert not outlet.waiting, where
        outlet.close()
        assert outlet.read() == [*queued, "last"], where


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EINTR, errno.EFBIG])
@pytest.mark.parametrize("written", [0, 5, 40])
def test_a_record_written_alone_is_made_whole_where_its_write_fails_halfway(
    code: int, written: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outlet = Lines(tmp_path)
    outlet._served = True
    outlet.append("first")
    write = os.write
    failures = iter([True])

    def fail(fd: int, data: Any) -> int:
        if next(failures, False):
            write(fd, bytes(data)[:written])
            raise OSError(code, os.strerror(code))
        return write(fd, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail)
        outlet.append("a" * 10)
    outlet.append("b" * 10)
    assert outlet.flush()
    outlet.close()

    # Lines that were rewritten stand in two files, with the same number.
    lines = [line for path in sorted(tmp_path.glob("*.txt")) for line in path.read_text().splitlines() if ":" in line]
    texts = dict(line.split(":", 1) for line in lines if line.endswith(("first", "a" * 10, "b" * 10)))
    assert texts == {"0": "first", "1": "a" * 10, "2": "b" * 10}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EINTR, errno.EFBIG])
@pytest.mark.parametrize("written", [0, 5, 40])
def test_a_write_that_fails_halfway_is_made_whole(
    code: int, written: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outlet = Lines(tmp_path)
    write = os.write

    def fail(fd: int, data: Any) -> int:
        write(fd, bytes(data)[:written])
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail)
        outlet.queue.extend(["a" * 10, "b" * 10, "c" * 10])
        assert not outlet.flush()
    outlet.queue.append("d")
    assert outlet.flush()
    outlet.close()

    whole = [path for path in sorted(tmp_path.glob("*.txt")) if path.read_bytes().endswith(b"d\n")]
    assert [line.partition(":")[2] for line in whole[-1].read_text().splitlines()[1:]] == [
        "a" * 10,
        "b" * 10,
        "c" * 10,
        "d",
    ]


def test_a_failed_sync_is_made_good_without_any_further_record(tmp_path: Path) -> None:
    """The lines are in a second file, which is synced: an idle run must not wait for its next record."""
    outlet = Lines(tmp_path)
    outlet.queue.extend("abc")
    assert outlet.flush()
    with refusing(SYNC):
        assert not outlet.flush(sync=True)
    assert outlet.flush(sync=True)
    outlet.close()

    assert left_in(tmp_path) == [["0:a", "1:b", "2:c"]] * 2


@pytest.mark.parametrize("refusal", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()], ids=repr)
def test_what_a_failed_sync_has_written_again_is_not_left_where_that_is_refused_too(
    refusal: BaseException, tmp_path: Path
) -> None:
    """And lines logged meanwhile come behind it: they were taken for written, with numbers of their own."""
    outlet = Lines(tmp_path)
    outlet._served = True  # by this test alone
    outlet.write_all("ab")
    with refusing(SYNC):
        assert not outlet.flush(sync=True)
    with refusing(WRITE, refusal), contextlib.suppress(KeyboardInterrupt):
        assert not outlet.flush()
    assert not outlet.is_idle

    outlet.queue.extend("cd")
    assert outlet.flush(sync=True)
    assert outlet.is_idle
    outlet.close()

    assert left_in(tmp_path) == [["0:a", "1:b"], ["0:a", "1:b", "2:c", "3:d"]]


def test_what_a_failed_sync_has_written_again_is_written_once_more_where_that_file_fails_too(
    tmp_path: Path,
) -> None:
    """Else `flush(sync=True)` would say of lines that they are on the disk, which is not known."""
    outlet = Lines(tmp_path)
    outlet._served = True  # by this test alone
    outlet.write_all("ab")
    with refusing(SYNC):
        assert not outlet.flush(sync=True)
    with refusing(WRITE):
        assert not outlet.flush()
    assert not outlet.is_idle

    assert outlet.flush(sync=True)
    outlet.close()

    assert left_in(tmp_path) == [["0:a", "1:b"], [], ["0:a", "1:b"]]


def test_a_file_that_an_interrupt_left_both_behind_and_in_use_is_synced_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C hit where a refused write had the file left: it is closed with the next sync, and written to meanwhile."""
    outlet = Lines(tmp_path)
    outlet._served = True  # by this test alone
    outlet.write("a")
    retire = outlet._retire

    def retire_and_be_interrupted(state: Any) -> None:
        retire(state)
        raise KeyboardInterrupt

    with refusing(WRITE), monkeypatch.context() as patch:
        patch.setattr(outlet, "_retire", retire_and_be_interrupted)
        with pytest.raises(KeyboardInterrupt):
            outlet.write("b")
    outlet.write("c")
    for item in "de":
        assert outlet.flush(sync=True)
        outlet.write(item)

    assert outlet.flush(sync=True)
    outlet.close()
    assert outlet.read() == ["a", "b", "c", "d", "e"]


class Suspecting:
    """Makes a call at the n-th step of the interpreter within `_rewrite_suspect`."""

    def __init__(self, number: int, call: Callable[[], object]) -> None:
        self.left = number
        self.call = call

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_name != "_rewrite_suspect":
            return None
        frame.f_trace_opcodes = True
        self.left -= event == "opcode"
        if event == "opcode" and self.left == 0:
            self.call()
        return self


def test_a_sync_that_fails_in_the_midst_of_writing_again_disturbs_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """At each step of the interpreter: the thread that syncs then adds a file to those that are not trusted."""
    if sys.gettrace() is not None:
        pytest.skip("a debugger or coverage has the trace function")
    for number in itertools.count(1):
        folder = tmp_path / str(number)
        folder.mkdir()
        outlet = Lines(folder)
        outlet._served = True  # by this test alone
        outlet.append("first")
        assert outlet.flush()
        with refusing(SYNC):
            assert not outlet.fsync()
        another = AppendFile(folder / "another.log", new=True)
        trace = Suspecting(number, partial(outlet._not_on_disk.suspects.__setitem__, another, (0, 0)))
        sys._getframe().f_trace_opcodes = True  # before `settrace`, as Python 3.12 demands
        sys.settrace(trace)
        try:
            outlet.flush()
        finally:
            sys.settrace(None)
        assert caplog.text.count("cannot be written") == 0, number
        assert outlet.flush()
        assert "first" in outlet.read()
        outlet.close()
        if trace.left > 0:
            break
    assert number > 10


def test_a_disk_that_never_syncs_does_not_fill_with_copies(tmp_path: Path) -> None:
    outlet = Lines(tmp_path)
    outlet.queue.extend("abc")
    with refusing(SYNC):
        for _ in range(20):
            assert not outlet.flush(sync=True)
        outlet.close()

    assert len(list(tmp_path.glob("*.txt"))) <= 5
    assert outlet.read() == ["a", "b", "c"]


def test_drops_that_were_told_leave_nothing_to_do(tmp_path: Path) -> None:
    outlet = Lines(tmp_path)
    outlet.append(1)
    assert outlet.flush()
    outlet._drop(2)
    assert not outlet.is_idle
    outlet.append(3)
    assert outlet.flush()

    assert outlet.is_idle
    outlet.queue.append(4)
    assert outlet._turn.take(outlet._write_alone)
    outlet._drop(5)
    assert not outlet.is_idle
    assert outlet.flush()
    assert outlet.is_idle
    outlet.close()


def test_a_signal_handler_that_writes_while_a_file_is_closed_waits_for_nothing(tmp_path: Path) -> None:
    outlet = Lines(tmp_path)
    waits = []

    def interrupting(frame: FrameType, event: str, _: Any) -> Any:
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
        caller = frame.f_back.f_code.co_name if frame.f_back is not None else ""
        is_closing = (frame.f_code.co_name, caller) in {("take", "close"), ("_leave_written_file", "take")}
        # See `Interrupt`; no handler runs before the first statement of the block either, which is this one.
        if (
            is_closing
            and event == "line"
            and outlet._turn.lock.locked()
            and not line.startswith(("with ", "try:", "self.owner = "))
        ):
            sys.settrace(None)
            before = time.monotonic()
            outlet.write(len(waits))
            waits.append(time.monotonic() - before)
            sys.settrace(interrupting)
        return interrupting

    outlet.append("first")
    assert outlet.flush()
    sys.settrace(interrupting)
    try:
        outlet.close()
    finally:
        sys.settrace(None)
    outlet.close()

    assert len(waits) > 1
    assert max(waits) < 0.5
    assert outlet.read() == ["first", *map(str, range(len(waits)))]
