"""
Scripts on a real pseudo-terminal, and the screen of a terminal emulator that shows them.

And loggers in the test's own process, whose records are read back.
"""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.record import Metrics
from refunc.logging import MLLogger
from refunc.runs.run import Run

DEADLINE = 60.0


def take_terminal() -> None:
    """Make stdin the terminal of this session, so that it is /dev/tty too."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Session:
    """A script that runs on a terminal, 80 × 12 unless told otherwise; its `pause()` waits for our `go`."""

    HEAD = (
        "import sys\n"
        "from refunc.logging.bars.loops import *\n"
        "from refunc.logging.bars.epochs import *\n"
        "from refunc.logging.bars import drawing as bars\n"
        "pause = sys.stdin.readline\n"
    )

    def __init__(self, code: str, columns: int = 80, rows: int = 12, *, keyboard: bool = False) -> None:
        pyte = pytest.importorskip("pyte")
        self._screen = pyte.HistoryScreen(columns, rows, history=10_000)
        self._stream = pyte.ByteStream(self._screen)
        #: All that was sent to the terminal.
        self.sent = b""
        self._file, side = pty.openpty()
        self._set_size(columns, rows)
        environ = {key: value for key, value in os.environ.items() if not key.startswith("TQDM_")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.HEAD + code],
            stdin=side if keyboard else subprocess.PIPE,
            stdout=side,
            stderr=side,
            env={**environ, "TERM": "xterm", "COLUMNS": str(columns), "LINES": str(rows)},
            start_new_session=keyboard,
            preexec_fn=take_terminal if keyboard else None,  # noqa: PLW1509  # no thread is in the middle of anything
        )
        os.close(side)
        self._lock = threading.Lock()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._file, 4096)
            except OSError:
                return  # Linux raises this once the other side is closed.
            if not data:
                return
            with self._lock:
                self.sent += data
                self._stream.feed(data)

    @property
    def lines(self) -> list[str]:
        """The lines on the screen, empty ones left out."""
        with self._lock:
            return [line.rstrip() for line in self._screen.display if line.strip()]

    @property
    def title(self) -> str:
        """The title of the terminal's window."""
        with self._lock:
            return str(self._screen.title)

    @property
    def cursor(self) -> tuple[int, int]:
        """Where the cursor stands: row and column."""
        with self._lock:
            return self._screen.cursor.y, self._screen.cursor.x

    @property
    def all_lines(self) -> list[str]:
        """The same, with the lines that were scrolled away."""
        with self._lock:
            gone = ["".join(row[x].data for x in range(self._screen.columns)) for row in self._screen.history.top]
            return [line.rstrip() for line in [*gone, *self._screen.display] if line.strip()]

    def last_has(self, text: str) -> bool:
        """Whether the last line on the screen has *text*."""
        return text in "".join(self.lines[-1:])

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def type(self, text: str) -> None:
        """Type at the keyboard of a session that has one."""
        os.write(self._file, text.encode())

    def resize(self, columns: int, rows: int) -> None:
        with self._lock:
            self._screen.resize(rows, columns)
            self._set_size(columns, rows)

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._file, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def end(self) -> list[str]:
        self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        return self.lines

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(DEADLINE)
        if self.process.stdin is not None:
            self.process.stdin.close()
        os.close(self._file)


@pytest.fixture(scope="session")
def session() -> Callable[..., Any]:
    """Run code on a terminal, in a `with` block."""

    @contextmanager
    def run(code: str, *size: int, **options: Any) -> Iterator[Session]:
        one = Session(code, *size, **options)
        try:
            yield one
        finally:
            one.close()

    return run


@pytest.fixture
def logger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MLLogger:
    """Make a logger whose runs and files lie in the test's folder."""
    monkeypatch.setenv("REFUNC_DIR", str(tmp_path / "runs"))
    return MLLogger("hot", log_dir=tmp_path / "logs")


@pytest.fixture
def run_of() -> Callable[[MLLogger], Run]:
    """Read back the run that a logger is in, or was in last."""

    def run_of(logger: MLLogger) -> Run:
        context = logger.get_experiment_context()
        assert context is not None
        assert context.folder is not None
        return Run.open(context.folder)

    return run_of


@pytest.fixture
def points() -> Callable[[Run], list[tuple[int | float | None, dict[str, Any]]]]:
    """Return the step and the values of each record of metrics that a run has."""
    return lambda run: [(record.step, record.metrics) for record in run.records() if isinstance(record, Metrics)]


@pytest.fixture
def switching() -> Iterator[None]:
    """Have threads take turns at nearly every step, so that anything that can come between two steps does."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)
