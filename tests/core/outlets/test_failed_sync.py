"""What a failed fsync leaves behind is written again, once, into another file."""

from __future__ import annotations

import contextlib
import errno
import itertools
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from tests.core.outlets.numbered_lines import SYNC, WRITE, Lines, left_in, refusing

from refunc.outlets.file import AppendFile


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
