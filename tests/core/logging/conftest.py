"""Scripts on a real pseudo-terminal, and what a terminal emulator shows of them."""

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
from typing import Any

import pytest

DEADLINE = 30.0


class Session:
    """A script that runs on a terminal, 80 × 12 unless told otherwise; its `pause()` waits for our `go`."""

    HEAD = (
        "import sys\n"
        "from refunc.logging.progress import *\n"
        "from refunc.logging.epochs import *\n"
        "from refunc.logging import bars\n"
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
                return  # What Linux says once the other side is closed.
            if not data:
                return
            with self._lock:
                self.sent += data
                self._stream.feed(data)

    @property
    def lines(self) -> list[str]:
        """What stands on the screen, empty lines left out."""
        with self._lock:
            return [line.rstrip() for line in self._screen.display if line.strip()]

    @property
    def all_lines(self) -> list[str]:
        """The same, with what was scrolled away."""
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
