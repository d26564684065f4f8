"""
How the terminal is shared while bars are open on it: all other output appears above them, in whole lines.

`write` is replaced on the objects of sys.stdout and sys.stderr themselves, so that all their users are covered:
`print`, `warnings`, tracebacks, the handlers of other libraries. Lines go out when they are complete, together with the
redrawn bars after them, in one write: no other thread or process can write in between. The cursor rests at the start of
the outermost bar; from there, the display is repaired after a terminal became narrower and wrapped the bars, however it
wrapped them.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from typing import Any, TextIO

from refunc.logging.bars.held_lines import HeldLines
from refunc.logging.bars.keyboard import CLEAR_BEHIND, Keyboard
from refunc.logging.bars.shadows import Shadows
from refunc.values.terminal import CLEAR_DOWN, is_file, is_terminal, passes_on, stream_watchers, tapped_streams

#: Around bars: one that was made for a wider terminal must stay one line.
_WITHOUT_WRAP, _WITH_WRAP = "\x1b[?7l", "\x1b[?7h"

#: How often output waits for a prompt that is about to be written.
_TRIES = 3


class SharedTerminal:
    """
    A terminal with bars on it, in the process that drew them, and in its forked children, which have none.

    `frame` and all writes take tqdm's lock, which is re-entrant; no other lock is taken inside.
    """

    def __init__(self, stream: TextIO, tqdm_class: Any, on_resize: Callable[[], None]) -> None:
        """
        Share the terminal of *stream*, which the bars of *tqdm_class* are drawn on.

        Raises:
            OSError, AttributeError: It has no file, or is closed.
        """
        self._tqdm = tqdm_class
        self._child_lock: Any = None
        self._on_resize = on_resize
        self._descriptor = stream.fileno()
        self._size = self._measured()
        self._write, self._flush = stream.write, stream.flush
        self._stream = stream
        self._is_closed = False
        self._keyboard = Keyboard(self._descriptor, self._make_way)
        # The stdout and stderr of the last check, and whether a live display had replaced them.
        self._streams: tuple[Any, Any] = (sys.stdout, sys.stderr)
        self._is_left = False
        self._has_prompt = False
        self._is_clear = False
        # The thread that composes the current frame, and the frame's text so far; None if output is written directly.
        self._owner = 0
        self._parts: list[str] | None = None
        self._held = HeldLines()
        self._shadows = Shadows()
        self._device = os.fstat(self._descriptor).st_rdev
        self._take_streams()
        stream_watchers.append(self._look_at_streams)
        for shadow in self._keyboard.shadows():
            with suppress(AttributeError, TypeError):  # stdin was replaced by another object
                self._shadows.add(*shadow)
        self._shadows.add(threading, "excepthook", partial(self._show_exception, threading.excepthook))

    @property
    def is_asking(self) -> bool:
        """
        Whether the bars are away: the user is being asked something, or another library's live display has the
        screen.
        """
        return self._is_left or self._keyboard.is_read

    def look(self) -> None:
        """Check whether the bars have to be away; called by the drawing thread before it draws."""
        if self._child_lock is None:
            self._look_at_streams()
            self._keyboard.look()

    @contextmanager
    def frame(self) -> Iterator[None]:
        """Write all output of this thread inside the block at once; bars are drawn in here."""
        with self._tqdm.get_lock():
            if self._owner == threading.get_ident():
                yield
                return
            # Bars of other libraries may write past us: then all writes have to keep the order of theirs.
            self._parts = [_WITHOUT_WRAP] if self._has_our_bars_only() else None
            self._owner = threading.get_ident()
            self._is_clear = self._is_clear and self.is_asking
            try:
                self._adopt_size()
                yield
            finally:
                parts, self._parts = self._parts, None
                self._owner = 0
                if parts is not None and parts != [_WITHOUT_WRAP]:
                    # An interactive interpreter's prompt comes where the cursor is: after the bar, not over it.
                    self._write("".join(parts) + _WITH_WRAP + ("" if hasattr(sys, "ps1") else "\r"))
                    self._flush()

    def close(self) -> None:
        """Restore the streams when the last bar is gone, and write the unfinished lines that were held back."""
        is_asking, self._is_closed = self.is_asking, True
        self._shadows.remove()
        tapped_streams.clear()
        stream_watchers.clear()
        self._write(("" if is_asking else CLEAR_DOWN) + "\n".join(self._held.take_all()))
        self._flush()

    def leave_bars_to_parent(self) -> None:
        """
        In a forked child: forget the bars, but remember that some may be there, so that a line has to clear them
        first.
        """
        self._child_lock = threading.RLock()
        self._owner, self._parts = 0, None
        self._held = HeldLines()
        self._keyboard.forget()

    def take_back(self) -> None:
        """In a forked child that now has bars of its own: share the terminal as usual."""
        self._child_lock = None

    def _take_streams(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            is_taken = any(stream is tapped for tapped in tapped_streams)
            if not is_taken and is_terminal(stream) and os.fstat(stream.fileno()).st_rdev == self._device:
                stream.flush()
                self._shadows.add(stream, "write", partial(self._written, stream.write))
                self._shadows.add(stream, "flush", partial(self._flushed, stream.flush))
                tapped_streams.append(stream)

    def _look_at_streams(self) -> None:
        """
        Handle objects that have replaced stdout or stderr since a bar was opened.

        A wrapper that passes its input on writes to the streams that are covered. A live display (rich's, for example)
        does not: it moves the cursor as if it had the terminal to itself, and keeps it until it restores the streams.
        """
        streams = (sys.stdout, sys.stderr)
        if streams[0] is self._streams[0] and streams[1] is self._streams[1]:
            return
        self._streams = streams
        was_left, self._is_left = self._is_left, any(is_terminal(one) and not passes_on(one) for one in streams)
        if self._is_left and not was_left:
            self._make_way(True)
        if all(map(is_file, streams)):
            with suppress(Exception):  # one that is closed already
                self._take_streams()

    def _make_way(self, at_bars: bool) -> None:
        """Take the bars away, and show an unfinished line that was held back: it belongs to the prompt."""
        if self._is_closed or self._child_lock is not None:
            return
        with self._tqdm.get_lock():
            self._has_prompt = not self._is_left
            clear = "" if self._is_clear else CLEAR_DOWN if at_bars else CLEAR_BEHIND
            self._is_clear = True
            thread = threading.get_ident() if at_bars else threading.main_thread().ident or 0
            with suppress(Exception):  # the terminal is gone: the code that asks will notice
                self._write(clear + self._held.take(thread))
                self._flush()

    def leave_prompt(self) -> None:
        """End the line of a prompt, because a bar is about to be opened or closed in spite of it."""
        self._below_prompt(self._tqdm.get_lock, self._end_prompt)

    def _end_prompt(self) -> None:
        if self._has_prompt and self.is_asking:
            self._has_prompt = False
            self._write("\n")

    def _below_prompt(self, lock: Callable[[], AbstractContextManager[Any]], work: Callable[[], None]) -> None:
        """Do *work* under *lock*, which it takes, when no prompt is about to be written."""
        is_done = False
        for tries_left in reversed(range(_TRIES)):
            self._keyboard.await_prompt()
            with lock():
                is_done = self._do_unless_asked(work, tries_left)
            if is_done:
                break

    def _do_unless_asked(self, work: Callable[[], None], tries_left: int) -> bool:
        if tries_left and self._keyboard.is_prompt_coming():  # the question came while this thread waited for the lock
            return False
        work()
        return True

    def _written(self, original: Callable[[str], int], text: str) -> int:
        """Replace `write` of a stream."""
        thread = threading.get_ident()
        if self._owner == thread:
            if self._parts is None:
                return original(text)
            self._parts.append(text)
            return len(text)
        # The thread with tqdm's lock draws bars, or has cleared them to write a line.
        is_drawing = self._child_lock is None and _is_owned(self._tqdm.get_lock())
        if self._is_closed or is_drawing or type(text) is not str:
            return original(text)
        self._look_at_streams()
        if self._is_left or self._keyboard.is_asked_by(thread):
            return original(text)
        if lines := self._held.add(thread, text):
            self._put(lines)
        return len(text)

    def _put(self, lines: str) -> None:
        if self._child_lock is not None:
            with self._child_lock:
                self._write(CLEAR_DOWN + lines)
                self._flush()
            return
        if threading.current_thread() is not threading.main_thread():
            self._keyboard.look()  # the drawing thread does that ten times a second; a prompt may have come since
        self._below_prompt(self.frame, partial(self._put_in_frame, lines))

    def _put_in_frame(self, lines: str) -> None:
        if self.is_asking:
            # The first line ends that of the prompt; a later one may stand where a bar was opened meanwhile.
            text, self._has_prompt = ("\n" if self._has_prompt else CLEAR_DOWN) + lines, False
            (self._write if self._parts is None else self._parts.append)(text)
            return
        if self._parts is None:
            with self._tqdm.external_write_mode(file=self._stream, nolock=True):
                self._write(CLEAR_DOWN + lines)
            return
        # tqdm clears with spaces, which a narrower terminal would wrap into lines of their own.
        self._parts = [CLEAR_DOWN + lines + _WITHOUT_WRAP]
        for bar in tuple(self._tqdm._instances):
            with suppress(Exception):  # an error of a bar must not reach the code that prints
                bar.refresh(nolock=True)

    def _flushed(self, original: Callable[[], None]) -> None:
        """
        Replace `flush` of a stream: finished lines are shown; in a child also an unfinished one, as it has no later
        chance.
        """
        thread = threading.get_ident()
        if self._child_lock is None and not self._is_closed and self._owner != thread:
            self._keyboard.flushed_by(sys._getframe(1))
            if thread in self._held and self._keyboard.is_echo_off():
                self._make_way(True)
        if lines := self._held.take_lines(thread):
            self._put(lines)
        if self._child_lock is not None and not self._held.is_whole(thread) and (rest := self._held.take(thread)):
            self._put(rest + "\n")
        if self._owner != thread:
            original()

    def _show_exception(self, original: Callable[[Any], Any], arguments: Any) -> None:
        """Replace `threading.excepthook`: a traceback is written in pieces, and other threads write too."""
        thread = threading.get_ident()
        self._held.begin_whole(thread)
        try:
            original(arguments)
        finally:
            if text := self._held.end_whole(thread):
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
    """Whether this thread holds *lock*: tqdm's own, a pair, or a replacement."""
    ask = getattr(getattr(lock, "th_lock", lock), "_is_owned", None)
    return ask is not None and bool(ask())
