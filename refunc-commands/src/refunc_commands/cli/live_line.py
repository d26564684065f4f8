"""
A status line at the bottom of a terminal, which disappears at the end.

While a `LiveLine` lasts, it replaces stdout and stderr, so output of plugins and clients appears above it.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO

from refunc.values.terminal import CLEAR_DOWN, is_terminal
from refunc_commands.cli.screen import fitted
from refunc_commands.cli.streams import shown


class LiveLine:
    """Replaces *stream*, a terminal; any thread may write."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.RLock()
        self._is_drawn = False
        #: Whether the cursor is at the start of a line; the status line is drawn only there.
        self._is_free = True

    def show(self, text: str) -> None:
        """Draw *text* over the previous one, cut at the width of the window."""
        with self._lock:
            if self._is_free:
                self._stream.write(CLEAR_DOWN + fitted(shown(text), shutil.get_terminal_size().columns - 1).rstrip())
                self._stream.flush()
                self._is_drawn = True

    def clear(self) -> None:
        """Remove the line."""
        with self._lock:
            if self._is_drawn:
                self._is_drawn = False
                self._stream.write(CLEAR_DOWN)
                self._stream.flush()

    def write(self, text: str) -> int:
        """Write *text* above the line."""
        with self._lock:
            self.clear()
            if text:
                self._is_free = text.endswith("\n")
            return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def live_line() -> Iterator[LiveLine | None]:
    """
    Reserve stdout for the command's own output, and yield a line on stderr; None if stderr is not a terminal.

    Output of plugins and of trackers' clients goes to stderr, above the line.
    """
    stderr = sys.stderr
    line = LiveLine(stderr) if is_terminal(stderr) and os.environ.get("TERM") != "dumb" else None
    stream: Any = line or stderr
    with redirect_stdout(stream), redirect_stderr(stream):
        try:
            yield line
        finally:
            if line is not None:
                line.clear()
