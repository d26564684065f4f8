"""A process that reads ahead may hang, at its start or in the middle: no command waits for it for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from refunc.journal.codec import encode_lines
from refunc.journal.pieces import segments
from refunc.runs import Run, open_store, prefetch, reader_process, segments_ahead
from refunc.runs.index.contents import load
from refunc.runs.index.file import index_of

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("cache")]

WriteRun = Callable[..., Path]
#: Runs, or segments of one run.
COUNT = 6
POINTS = 200

#: What keeps a process from serving: in it, Python begins with one of these.
HANGS = {
    "a lock": "import threading; threading.Lock().acquire(); threading.Event().wait()",
    "a signal": "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)",
    "a pipe": "import os; os.read(os.pipe()[0], 1)",
}
#: And these do not.
HARMLESS = {
    "reads stdin": "import sys; sys.stdin.read()",
    "prints": "import os, sys; print('hello'); sys.stdout.flush(); os.write(1, b'=' * 100_000)",
    "prints later": "import atexit, threading; threading.Timer(0, print, ['hello'], {'flush': True}).start()",
}
#: In the middle: when it opens the first file of the third run or segment.
STOPS = """
import os, signal, sys
def look(event, arguments):
    if event == "open" and "000002" in str(arguments[0]):
        os.kill(os.getpid(), signal.SIGSTOP)
sys.addaudithook(look)
"""


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read ahead however little there is, and each run for itself; a busy machine may take long to begin."""
    monkeypatch.setattr(reader_process, "_PATIENCE", 60)
    monkeypatch.setattr(prefetch, "_SHARE", 1)
    monkeypatch.setattr(prefetch, "_PORTION", 1)
    monkeypatch.setattr(segments_ahead, "_SHARE", 1)


@pytest.fixture
def as_usual(monkeypatch: pytest.MonkeyPatch, always: None) -> None:
    monkeypatch.setattr(reader_process, "_PATIENCE", 1)


@pytest.fixture
def hastily(monkeypatch: pytest.MonkeyPatch, always: None) -> None:
    monkeypatch.setattr(reader_process, "_PATIENCE", 0.1)


@pytest.fixture
def begin_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let Python begin with this code in each process that is started from here on."""

    def begin(code: str) -> None:
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "sitecustomize.py").write_text(code)
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'site'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")

    return begin


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    found: list[Any] = []
    popen = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda *given, **options: found.append(popen(*given, **options)) or found[-1]
    )
    return found


def lines(number: int) -> bytes:
    header = {"kind": "segment", "format": 1, "logger": "hand"}
    numbers = range(number * POINTS, (number + 1) * POINTS)
    rows = [{"seq": seq, "time": 1.0, "kind": "metrics", "step": seq, "metrics": {"loss": seq / 7}} for seq in numbers]
    return encode_lines([header, *rows])


class Many:
    """Many runs, which are read one after the other."""

    def __init__(self, path: Path) -> None:
        self.store = open_store(path)

    @staticmethod
    def write(write_run: WriteRun) -> None:
        for number in range(COUNT):
            (write_run(f"run{number:06}") / "journal" / "main.000000.jsonl").write_bytes(lines(0))

    def delivered(self, count: int = COUNT) -> list[bool]:
        """Return which of the first runs were read ahead when their turn came."""
        with prefetch.read_ahead(self.store.runs(), 2) as runs:
            first = islice(runs, count)
            return [load(index_of(run.folder), run.folder) is not None for run in first]  # type: ignore[arg-type]

    def counts(self) -> tuple[int, ...]:
        found = self.store.find("metrics.loss.count > 0", processes=2)
        return tuple(run.summary.metrics["loss"].count for run in found)

    expected = (POINTS,) * COUNT


class Large:
    """One run of many segments."""

    def __init__(self, path: Path) -> None:
        self.folder = path / "large"

    @staticmethod
    def write(write_run: WriteRun) -> None:
        journal = write_run("large") / "journal"
        for number in range(COUNT):
            (journal / f"main.{number:06}.jsonl").write_bytes(lines(number))

    def delivered(self, count: int = COUNT) -> list[bool]:
        wanted = segments(self.folder)["main"]
        with segments_ahead.segments_ahead(self.folder, wanted, 2) as content:
            return [content(segment) is not None for segment in wanted[:count]]

    def counts(self) -> tuple[int, ...]:
        run = Run.open(self.folder)
        run.processes = 2
        return (run.summary.metrics["loss"].count,)

    expected = (POINTS * COUNT,)


@pytest.fixture(params=[Many, Large])
def journals(request: pytest.FixtureRequest, write_run: WriteRun, tmp_path: Path) -> Any:
    request.param.write(write_run)
    return request.param(tmp_path / "experiments")


def all_gone(started: list[subprocess.Popen[bytes]]) -> bool:
    return bool(started) and all(process.poll() is not None for process in started)


# -- at its start -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", HANGS.values(), ids=list(HANGS))
def test_one_that_does_not_begin_is_done_without(
    code: str, journals: Any, begin_with: Callable[[str], None], started: list[Any], hastily: None
) -> None:
    begin_with(code)

    assert journals.delivered() == [False] * COUNT
    assert journals.counts() == journals.expected
    assert len(started) == 4
    assert all_gone(started)


def test_when_none_is_left_no_run_is_waited_for(
    write_run: WriteRun,
    tmp_path: Path,
    begin_with: Callable[[str], None],
    hastily: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited: set[Event] = set()
    wait = Event.wait

    def watched(event: Event, timeout: float | None = None) -> bool:
        waited.add(event)
        return wait(event, timeout)

    portions = prefetch._portions
    given: list[Any] = []
    monkeypatch.setattr(prefetch, "_portions", lambda sizes: given.extend(portions(sizes)) or given)  # type: ignore[func-returns-value]
    monkeypatch.setattr(Event, "wait", watched)
    Many.write(write_run)
    begin_with(HANGS["a lock"])

    assert Many(tmp_path / "experiments").delivered() == [False] * COUNT
    assert len(given) == COUNT
    of_runs = [portion for portion in given if portion.is_read in waited]
    assert len(of_runs) < COUNT  # one for each process, and one more if that is just ending


@pytest.mark.parametrize("code", HARMLESS.values(), ids=list(HARMLESS))
def test_one_whose_python_reads_or_writes_serves(
    code: str, journals: Any, begin_with: Callable[[str], None], started: list[Any]
) -> None:
    begin_with(code)

    assert journals.delivered() == [True] * COUNT
    assert journals.counts() == journals.expected
    assert all_gone(started)


def test_a_child_of_it_that_stays_holds_up_nothing(
    journals: Any, begin_with: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has all descriptors of the process, and is not in its group: the socket does not end when that is killed."""
    monkeypatch.setattr(reader_process, "_PATIENCE", 150)
    left = tmp_path / "left"
    stays = f"""
import os, time
if os.fork() == 0:
    os.setsid()
    with open({str(left)!r}, "a") as file:
        file.write(f"{{os.getpid()}}\\n")
    time.sleep(600)
    os._exit(0)
"""
    begin_with(stays + STOPS)
    try:
        assert journals.delivered(2) == [True] * 2
    finally:
        for pid in map(int, left.read_text().split()):
            os.kill(pid, signal.SIGKILL)


# -- in the middle ----------------------------------------------------------------------------------------------------


def test_one_that_is_stopped_is_done_without(
    journals: Any, begin_with: Callable[[str], None], started: list[Any], as_usual: None
) -> None:
    begin_with(STOPS)

    assert not journals.delivered()[2]
    assert journals.counts() == journals.expected
    assert all_gone(started)


@pytest.fixture
def serving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Start a process of which this code says how it answers."""
    monkeypatch.syspath_prepend(tmp_path)

    def start(answers: str) -> Any:
        (tmp_path / "served.py").write_text(
            f"import os, signal, threading, time\nfrom refunc.runs import reader_process\n"
            f"reader_process._PAUSE = 0.05\n{answers}\n"
            f"def main(descriptor): reader_process.serve(descriptor, answers)\n"
        )
        return reader_process.started("served:main")

    return start


def test_one_that_works_is_waited_for(serving: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    works = """
def answers(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end: pass
    yield b"done"
"""

    with serving(works) as reader:
        reader.ask(0)
        assert reader.answer() == b"done"
        monkeypatch.setattr(reader_process, "_PATIENCE", 2)
        reader.ask(3)
        assert reader.answer() == b"done"


@pytest.mark.parametrize(
    "hangs",
    ["lock = threading.Lock(); lock.acquire(); lock.acquire()", "os.kill(os.getpid(), signal.SIGSTOP)", "os._exit(0)"],
    ids=["lock", "signal", "end"],
)
@pytest.mark.parametrize("begun", [b"", b"=", b"=" + bytes(7) + b"\7half"], ids=["nothing", "word", "half"])
def test_one_that_does_not_go_on_is_ended(
    hangs: str, begun: bytes, serving: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"""
def answers(descriptor):
    yield b"first"
    os.write(descriptor, {begun!r})
    {hangs}
    yield b"second"
"""
    with serving(code) as reader:
        reader.ask(int(reader.process.args[-len(sys.path) - 1]))  # the last argument before the search path
        assert reader.answer() == b"first"
        monkeypatch.setattr(reader_process, "_PATIENCE", 0.1)
        assert reader.answer() is None
        reader.ask(None)
        assert reader.answer() is None

    assert reader.process.poll() is not None


def test_a_request_that_is_not_taken_is_given_up(
    begin_with: Callable[[str], None], serving: Callable[[str], Any], hastily: None
) -> None:
    begin_with(HANGS["a lock"])

    with serving("answers = list") as reader:
        reader.ask(["x" * 1_000] * 10_000)  # more than fits between the two
        assert reader.answer() is None


# -- where it is started ----------------------------------------------------------------------------------------------


def test_in_another_thread(journals: Any) -> None:
    found: list[Any] = []

    thread = Thread(target=lambda: found.append(journals.delivered()))
    thread.start()
    thread.join()

    assert found == [[True] * COUNT]


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "0<&- 1>&- 2>&-"])
def test_without_standard_descriptors(closed: str, journals: Any, tmp_path: Path) -> None:
    """A socket that got such a number would be closed in the process, which has them all."""
    code = f"""
from pathlib import Path
from refunc.runs import prefetch, segments_ahead
from tests.core.runs.test_reader_process import {type(journals).__name__}
prefetch._SHARE = prefetch._PORTION = segments_ahead._SHARE = 1
found = {type(journals).__name__}(Path({str(tmp_path / "experiments")!r})).delivered()
Path({str(tmp_path / "said")!r}).write_text(repr(found))
"""
    command = ["sh", "-c", f'exec "$0" "$@" {closed}', sys.executable, "-c", code]
    subprocess.run(command, cwd=Path(__file__).parents[3], check=True)

    assert (tmp_path / "said").read_text() == repr([True] * COUNT)
