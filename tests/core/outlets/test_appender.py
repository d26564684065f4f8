"""A drain that is interrupted anywhere is taken up exactly there by the next one."""

from __future__ import annotations

import errno
import linecache
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from tests.core.outlets.numbered_lines import Lines


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
    """
    An interrupted drain is gone on with at once: there is no writer thread here that it could be left to.

    And none waits for the disk: hundreds of them would take minutes where it is slow.
    """
    monkeypatch.setattr("refunc.outlets.outlet.STEP_BACK", 0.0)
    monkeypatch.setattr("refunc.outlets.file._datasync", lambda fd: None)
    monkeypatch.setattr(os, "fsync", lambda fd: None)


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


def test_a_signal_handler_that_writes_while_a_file_is_closed_waits_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("refunc.outlets.turn.WAIT", 10.0)
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
    assert max(waits) < 5
    assert outlet.read() == ["first", *map(str, range(len(waits)))]
