"""
How the terminal is shared while bars are open on it: whatever else is written there appears above them, whole.

`write` is shadowed on the very objects that sys.stdout and sys.stderr are, so that everybody who holds one is heard:
`print`, `warnings`, tracebacks, the handlers of other libraries. Lines go out when they are complete, and together with
the bars that are drawn again behind them in one write: neither another thread nor another process gets in between. The
cursor rests at the start of the outermost bar; from there a terminal that was made narrower, and has wrapped the bars,
is set right without knowing what it wrapped.
"""

from __future__ import annotations

import builtins
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TextIO

from refunc.logging.terminal import CLEAR_DOWN, is_terminal, tapped_streams

#: Around bars: one that was made for a wider terminal must stay one line.
_WITHOUT_WRAP, _WITH_WRAP = "\x1b[?7l", "\x1b[?7h"

#: Characters of a line without an end that are kept for a thread; somebody may draw bars of his own with `\r`.
_LONGEST_HELD = 64 * 1024


class SharedTerminal:
    """
    A terminal with bars on it, in the process that drew them; and in its forked children, which have none.

    `frame` and all writes take tqdm's lock, which is re-entrant; no other lock is taken inside.
    """

    def __init__(self, stream: TextIO, tqdm_class: Any, on_resize: Callable[[], None]) -> None:
        """
        Share the terminal behind *stream*, which the bars of *tqdm_class* are drawn on.

        Raises:
            OSError, AttributeError: No file is behind it, or it is closed.
        """
        self._tqdm = tqdm_class
        self._child_lock: Any = None
        self._on_resize = on_resize
        self._descriptor = stream.fileno()
        self._size = self._measured()
        self._write, self._flush = stream.write, stream.flush
        self._stream = stream
        self._is_raw = False
        # Of the frame that is being composed: by which thread, and what it has so far; None: it is written directly.
        self._owner = 0
        self._parts: list[str] | None = None
        self._held: dict[int, str] = {}
        self._whole: set[int] = set()
        self._undo: list[Callable[[], None]] = []
        self._take(os.fstat(self._descriptor).st_rdev)

    @property
    def is_asking(self) -> bool:
        """Whether somebody is typing an answer to `input`, and the bars are away."""
        return self._is_raw

    @contextmanager
    def frame(self) -> Iterator[None]:
        """Have all that is written inside, by this thread, written as one; drawing of bars goes in here."""
        with self._tqdm.get_lock():
            if self._owner == threading.get_ident():
                yield
                return
            # Bars of other libraries may write past us: then the order of all writes has to be theirs.
            self._parts = [_WITHOUT_WRAP] if self._has_our_bars_only() else None
            self._owner = threading.get_ident()
            try:
                self._adopt_size()
                yield
            finally:
                parts, self._parts = self._parts, None
                self._owner = 0
                if parts is not None and parts != [_WITHOUT_WRAP]:
                    # An interactive interpreter's prompt comes where the cursor is: behind the bar, not over it.
                    self._write("".join(parts) + _WITH_WRAP + ("" if hasattr(sys, "ps1") else "\r"))
                    self._flush()

    def close(self) -> None:
        """Give the streams back, when the last bar is gone, and what was held of unfinished lines with them."""
        self._is_raw = True
        while self._undo:
            self._undo.pop()()
        tapped_streams.clear()
        held, self._held = self._held, {}
        self._write(CLEAR_DOWN + "\n".join(held.values()))
        self._flush()

    def leave_bars_to_parent(self) -> None:
        """In a forked child: know of no bars but that some may be there, so that a line has to clear its way."""
        self._child_lock = threading.RLock()
        self._owner, self._parts = 0, None
        self._held, self._whole = {}, set()

    def take_back(self) -> None:
        """In a forked child that has bars of its own now: be what it is in any process."""
        self._child_lock = None

    def _take(self, device: int) -> None:
        for stream in (sys.stdout, sys.stderr):
            if is_terminal(stream) and os.fstat(stream.fileno()).st_rdev == device:
                stream.flush()
                self._shadow(stream, "write", partial(self._written, stream.write))
                self._shadow(stream, "flush", partial(self._flushed, stream.flush))
                tapped_streams.append(stream)
        if is_terminal(sys.stdin):
            self._shadow(builtins, "input", partial(self._asked, builtins.input))
        self._shadow(threading, "excepthook", partial(self._excepted, threading.excepthook))

    def _shadow(self, owner: Any, name: str, function: Callable[..., Any]) -> None:
        """Put *function* in the place of an attribute, until `close`; what others put over it later stays."""
        has_own, before = name in vars(owner), getattr(owner, name)
        setattr(owner, name, function)

        def undo() -> None:
            if vars(owner).get(name) is function:
                setattr(owner, name, before) if has_own else delattr(owner, name)

        self._undo.append(undo)

    def _written(self, original: Callable[[str], int], text: str) -> int:
        """Be `write` of a stream."""
        thread = threading.get_ident()
        if self._owner == thread:
            if self._parts is None:
                return original(text)
            self._parts.append(text)
            return len(text)
        # Who has tqdm's lock draws bars, or has cleared them to write a line.
        is_drawing = self._child_lock is None and _is_owned(self._tqdm.get_lock())
        if self._is_raw or is_drawing or type(text) is not str:
            return original(text)
        held = self._held.pop(thread, "")
        lines, newline, rest = (held + text).rpartition("\n")
        # Several lines whose last has no end are the beginning of a `print`, which writes the end by itself: no other
        # thread's line may come in between.
        is_begun = bool(newline and rest) and "\n" not in held and len(held + text) <= _LONGEST_HELD
        if thread in self._whole or is_begun:
            self._held[thread] = lines + newline + rest
            return len(text)
        if rest:
            self._held[thread] = rest[rest.rfind("\r", 0, -1) + 1 :][-_LONGEST_HELD:]
        if newline:
            self._put(lines + newline)
        return len(text)

    def _put(self, lines: str) -> None:
        if self._child_lock is not None:
            with self._child_lock:
                self._write(CLEAR_DOWN + lines)
                self._flush()
            return
        with self.frame():
            if self._parts is None:
                with self._tqdm.external_write_mode(file=self._stream, nolock=True):
                    self._write(CLEAR_DOWN + lines)
                return
            # tqdm clears with spaces, which a terminal that is made narrower would wrap into lines of their own.
            self._parts = [CLEAR_DOWN + lines + _WITHOUT_WRAP]
            for bar in tuple(self._tqdm._instances):
                with suppress(Exception):  # who prints has nothing to do with what a bar shows
                    bar.refresh(nolock=True)

    def _flushed(self, original: Callable[[], None]) -> None:
        """Be `flush` of a stream: what has an end is shown; a child has no later moment for a line without one."""
        thread = threading.get_ident()
        if thread not in self._whole and "\n" in self._held.get(thread, ""):
            lines, newline, rest = self._held.pop(thread).rpartition("\n")
            if rest:
                self._held[thread] = rest
            self._put(lines + newline)
        if self._child_lock is not None and thread not in self._whole and (rest := self._held.pop(thread, "")):
            self._put(rest + "\n")
        if self._owner != thread:
            original()

    def _asked(self, original: Callable[..., str], *prompt: Any) -> str:
        """Be `input`: take the bars away while somebody types."""
        if self._child_lock is not None or self._is_raw:
            return original(*prompt)
        try:
            with self.frame():
                (self._write if self._parts is None else self._parts.append)(CLEAR_DOWN)
                self._is_raw = True
            return original(*prompt)
        finally:
            self._is_raw = not self._undo

    def _excepted(self, original: Callable[[Any], Any], arguments: Any) -> None:
        """Be `threading.excepthook`: a traceback is written in pieces, and other threads write too."""
        thread = threading.get_ident()
        self._whole.add(thread)
        try:
            original(arguments)
        finally:
            self._whole.discard(thread)
            if text := self._held.pop(thread, ""):
                self._put(text)

    def _has_our_bars_only(self) -> bool:
        return all(getattr(bar, "is_of_refunc", False) for bar in tuple(getattr(self._tqdm, "_instances", ())))

    def _adopt_size(self) -> None:
        size = self._measured()
        if size != self._size:
            self._size = size
            (self._write if self._parts is None else self._parts.append)(CLEAR_DOWN)
            self._on_resize()

    def _measured(self) -> tuple[int, int]:
        try:
            columns, rows = os.get_terminal_size(self._descriptor)
        except OSError:
            return 0, 0
        return columns, rows


def _is_owned(lock: Any) -> bool:
    """Whether this thread holds *lock*: tqdm's own, a pair, or what somebody set in its place."""
    ask = getattr(getattr(lock, "th_lock", lock), "_is_owned", None)
    return ask is not None and bool(ask())
