"""Open bars: the lines that a terminal shows, who draws them, and errors that must never reach the training."""

from __future__ import annotations

import io
import math
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from refunc.logging.bars import bar
from refunc.logging.bars import drawing as bars
from refunc.logging.bars.loops import ProgressTracker, TqdmProgressTracker
from refunc.logging.console import throttle as echo

DEADLINE = 60.0


class FakeTerminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTerminal]:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    yield FakeTerminal()
    assert not bars._screen.bars, "the test left a bar open"


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        threading.Event().wait(0.005)


def drawing_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "refunc-progress"]


NESTED = """
with progress_context("Outer", total=4) as outer:
    outer.update(1)
    with progress_context("Inner", total=10) as inner:
        inner.update(5, {"loss": 0.25})
        pause()
    outer.update(1, acc=0.5)
    pause()
"""


def test_inner_bar_is_drawn_below_the_outer_one(session: Any) -> None:
    with session(NESTED) as terminal:
        until(lambda: any("loss=0.25" in line for line in terminal.lines))

        outer, inner = terminal.lines
        assert outer.startswith("Outer:  25%|")
        assert inner.startswith("Inner:  50%|")


def test_inner_bar_disappears_and_outer_one_stays(session: Any) -> None:
    with session(NESTED) as terminal:
        terminal.go()
        until(lambda: len(terminal.lines) == 1 and "acc=0.5" in terminal.lines[0])
        terminal.go()

        (line,) = terminal.end()
        assert line.startswith("Outer:  50%|")


def test_bars_one_after_the_other_each_leave_a_line(session: Any) -> None:
    code = (
        'for i in range(3):\n    with progress_context(f"Epoch {i}", total=2) as p:\n        p.update(2, {"loss": i})\n'
    )
    with session(code) as terminal:
        lines = terminal.end()

        assert [line[:13] for line in lines] == ["Epoch 0: 100%", "Epoch 1: 100%", "Epoch 2: 100%"]
        assert lines[2].endswith("loss=2]")


def test_a_bar_goes_on_where_the_clock_is_set_back(session: Any) -> None:
    code = (
        "import time\nreal, off = time.time, [0]\ntime.time = lambda: real() + off[0]\n"
        'with progress_context("Outer", total=4) as outer:\n'
        "    outer.update(1)\n    pause()\n    off[0] = -3_600\n    outer.update(1)\n    pause()\n"
    )
    with session(code) as terminal:
        until(lambda: terminal.lines and terminal.lines[0].startswith("Outer:  25%"))
        terminal.go()
        until(lambda: terminal.lines[0].startswith("Outer:  50%"))

        assert "-" not in terminal.lines[0].rpartition("|")[2]


def test_line_written_through_tqdm_lands_above_the_bars(session: Any) -> None:
    code = (
        'with progress_context("Outer", total=4) as outer, progress_context("Inner", total=2) as inner:\n'
        "    import tqdm\n"
        "    inner.update(1)\n"
        '    tqdm.tqdm.write("a log line", file=sys.stderr)\n'
        "    pause()\n"
    )
    with session(code) as terminal:
        until(lambda: [line[:10] for line in terminal.lines] == ["a log line", "Outer:   0", "Inner:  50"])


def test_interrupt_closes_the_bar_where_it_stands(session: Any) -> None:
    code = (
        "import threading\n"
        "try:\n"
        '    with progress_context("Work", total=4) as work:\n'
        "        work.update(3)\n"
        "        pause()\n"
        "except KeyboardInterrupt:\n"
        '    print("stopped", [t.name for t in threading.enumerate()])\n'
    )
    with session(code) as terminal:
        until(lambda: any("75%" in line for line in terminal.lines))
        terminal.process.send_signal(signal.SIGINT)

        bar, last = terminal.end()
        assert bar.startswith("Work:  75%|")
        assert last == "stopped ['MainThread']"


def test_bar_that_is_never_finished_shows_its_end_at_exit(session: Any) -> None:
    with session('tracker = ProgressTracker(4, "Work")\ntracker.update(3)\n') as terminal:
        assert terminal.end()[0].startswith("Work:  75%|")


def test_forked_child_has_no_bars_and_no_thread_and_can_open_its_own(session: Any) -> None:
    code = (
        "import os, threading, warnings\nfrom refunc.logging.console import throttle as echo\n"
        'warnings.simplefilter("ignore")\n'
        'with progress_context("Parent", total=4) as parent:\n'
        "    read, write = os.pipe()\n"
        "    if os.fork() == 0:\n"
        "        parent.update(4)\n"
        "        parent.finish()\n"
        "        before = [len(bars._screen.bars), threading.active_count(), echo.show_in_open_bar({})]\n"
        '        own = TqdmProgressTracker(2, "Child", position=3, leave=False)\n'
        "        own.update(1)\n"
        "        after = [len(bars._screen.bars), threading.active_count()]\n"
        "        own.finish()\n"
        "        os.write(write, repr((before, after)).encode())\n"
        "        os._exit(0)\n"
        "    seen = os.read(read, 100).decode()\n"
        "    os.wait()\n"
        "    parent.update(1)\n"
        "print(seen)\n"
    )
    with session(code) as terminal:
        lines = terminal.end()

        assert lines[-1] == "([0, 1, False], [1, 2])"
        assert lines[-2].startswith("Parent:  25%|")


def test_forks_while_bars_are_drawn_never_hang_a_child_that_writes_above_them(session: Any) -> None:
    """The drawing thread holds tqdm's lock while it draws; a child forked then would wait for it for ever."""
    code = (
        "import os, warnings, tqdm\n"
        'warnings.simplefilter("ignore")\n'
        "bars._TICK = 0\n"
        'with TqdmProgressTracker(10**9, "Busy", mininterval=0) as busy:\n'
        "    for i in range(60):\n"
        "        busy.update(1, i=i)\n"
        "        if os.fork() == 0:\n"
        "            tqdm.tqdm.get_lock().th_lock.acquire(timeout=5) or os._exit(1)\n"
        "            os._exit(0)\n"
        "    ends = {os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(60)}\n"
        'print("ends", ends)\n'
    )
    with session(code) as terminal:
        assert terminal.end()[-1] == "ends {0}"


def test_importing_is_cheap_and_starts_nothing() -> None:
    code = (
        "import sys, threading, refunc.logging.bars.epochs\n"
        "from refunc.logging.bars.loops import ProgressTracker\n"
        "ProgressTracker(10)\n"
        'assert "tqdm" not in sys.modules and threading.active_count() == 1'
    )

    subprocess.run([sys.executable, "-c", code], check=True, timeout=DEADLINE)


def test_one_thread_draws_all_bars_and_ends_with_the_last(terminal: FakeTerminal) -> None:
    with TqdmProgressTracker(2, file=terminal), TqdmProgressTracker(2, file=terminal):
        assert len(drawing_threads()) == 1

    assert drawing_threads() == []


def test_no_other_thread_stays_behind(terminal: FakeTerminal) -> None:
    """Including tqdm's own monitor, which would live until the end of the process."""
    before = set(threading.enumerate())

    with TqdmProgressTracker(2, file=terminal) as progress:
        progress.update(1)

    assert set(threading.enumerate()) <= before


def test_tracker_that_nobody_keeps_takes_its_bar_along(terminal: FakeTerminal) -> None:
    tracker = TqdmProgressTracker(2, "Lost", file=terminal)
    tracker.update(1)

    del tracker

    until(lambda: not bars._screen.bars and not drawing_threads())


def test_total_that_becomes_known_reaches_the_open_bar(terminal: FakeTerminal) -> None:
    with TqdmProgressTracker(desc="Load", file=terminal) as progress:
        for _ in progress.track([1, 2, 3, 4]):
            pass

    assert "Load: 100%" in terminal.getvalue()


def test_metrics_of_the_logger_show_in_the_innermost_bar(terminal: FakeTerminal) -> None:
    with (
        TqdmProgressTracker(2, "Outer", file=terminal),
        TqdmProgressTracker(2, "Inner", file=terminal) as inner,
    ):
        inner.update(1, {"loss": 0.5})
        shown = echo.show_in_open_bar({"grad_norm": 2.5})
        until(lambda: "loss=0.5, grad_norm=2.5" in terminal.getvalue())

    assert shown
    with_metrics = next(part for part in terminal.getvalue().split("\r") if "grad_norm" in part)
    assert with_metrics.startswith("Inner")


def test_without_an_open_bar_metrics_are_refused() -> None:
    assert not echo.show_in_open_bar({"loss": 0.5})


class Broken:
    def __float__(self) -> float:
        raise RuntimeError("no number")

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def test_broken_metric_costs_neither_the_bar_nor_the_training(terminal: FakeTerminal) -> None:
    with TqdmProgressTracker(2, file=terminal) as progress:
        progress.update(1, {"bad": Broken(), "loss": 0.5})
        until(lambda: "bad=<Broken without a r…, loss=0.5" in terminal.getvalue())


def test_terminal_that_breaks_ends_the_bar_only(terminal: FakeTerminal) -> None:
    class Breaking(FakeTerminal):
        broken = False

        def write(self, text: str) -> int:
            if self.broken:
                raise RuntimeError("unplugged")
            return super().write(text)

    breaking = Breaking()
    with TqdmProgressTracker(2, file=breaking) as progress:
        breaking.broken = True
        until(lambda: not bars._screen.bars)
        progress.update(2)

    assert progress.completed == 2


def test_unknown_tqdm_option_is_a_warning_and_no_bar(terminal: FakeTerminal, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        progress = TqdmProgressTracker(2, "Work", file=terminal, colur="green")
        progress.update(1)
        assert progress.completed == 1

    [warning] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warning.startswith("Work: no progress bar")
    assert "colur" in warning


def test_users_tqdm_variables_beat_our_defaults(session: Any) -> None:
    code = (
        'import os\nos.environ["TQDM_NCOLS"] = "40"\nwith progress_context("Narrow", total=2) as p:\n    p.update(2)\n'
    )
    with session(code) as terminal:
        (line,) = terminal.end()

        assert len(line) == 40


@pytest.mark.parametrize(("name", "value"), [("TERM", "dumb"), ("TQDM_DISABLE", "1")])
def test_environment_can_forbid_bars(
    terminal: FakeTerminal, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    assert not bars.drawable(terminal)


def test_closed_stream_is_not_drawn_on(terminal: FakeTerminal) -> None:
    closed = io.StringIO()  # Its isatty() raises.
    closed.close()

    assert not bars.drawable(closed)


def test_description_cannot_tear_the_bar_apart(terminal: FakeTerminal) -> None:
    with TqdmProgressTracker(2, "two\nlines\x1b[2J", file=terminal):
        pass

    assert "\x1b[2J" not in terminal.getvalue()
    assert "two\nlines" not in terminal.getvalue()


def test_bar_keeps_its_place_when_metrics_are_many(session: Any) -> None:
    code = 'with progress_context("Work", total=2) as p:\n    p.update(2, {f"metric_{i}": i / 3 for i in range(20)})\n'
    with session(code) as terminal:
        (line,) = terminal.end()

        assert "metric_0=0" in line
        assert line.count("█") >= 5
        assert line.endswith("]")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.123456, "0.1235"),
        (1e-5, "1e-05"),
        (12345.678, "12345.7"),
        (1_000_000, "1000000"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (True, "True"),
        ("warm-up", "warm-up"),
        (["a", "list", "of", "many", "things"], "['a', 'list', 'of',…"),
        (None, "None"),
        (Broken(), "<Broken without a r…"),
    ],
)
def test_values_are_short(value: object, text: str) -> None:
    assert bar.short(value) == text


def test_numpy_scalars_read_like_numbers() -> None:
    numpy = pytest.importorskip("numpy")

    assert bar.postfix({"a": numpy.float32(0.25), "b": numpy.int64(70_000), "c": numpy.array(0.5)}) == (
        "a=0.25, b=70000, c=0.5"
    )


def test_finish_may_be_called_by_any_thread(terminal: FakeTerminal) -> None:
    progress: ProgressTracker = TqdmProgressTracker(2, file=terminal)
    progress.update(1)

    threads = [threading.Thread(target=progress.finish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)

    assert drawing_threads() == []
