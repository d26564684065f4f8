"""
How open bars are drawn: tqdm draws, when one thread of the process asks it to.

A tracker only counts. The thread `refunc-progress` lives while a bar is open; ten times a second it reads each
tracker's count and metrics and hands them to tqdm, so that a training step pays for neither formatting nor writing.
All drawing goes through tqdm and its lock, and on a terminal through `sharing`, which keeps other output above the
bars. Nothing in this module raises into the training, and tqdm is not imported before a bar is really drawn.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

from refunc.logging.bars.bar import Bar, Counted, one_line, size_of, thread_lock, tqdm_class
from refunc.logging.bars.notebook import SilentFile, has_widgets
from refunc.logging.bars.shared_terminal import SharedTerminal
from refunc.logging.console.ranks import rank_on_console
from refunc.logging.console.throttle import bar_opened, open_bars
from refunc.logging.notices import warn_once
from refunc.processes import lifetime
from refunc.processes.forks import at_fork
from refunc.values.terminal import at_prompt, fix_windows_console, in_notebook, is_terminal, passes_on
from refunc.values.texts import text_of

#: Seconds between two looks at the trackers; how often a bar is redrawn is its tqdm option `mininterval`.
_TICK = 0.1

#: Seconds that a thread waits for the drawing thread, which may hang in a terminal that was stopped with Ctrl-S.
_PATIENCE = 1.0


class _Screen:
    """The bars that this process has open, outermost first, and the thread that draws them."""

    def __init__(self) -> None:
        # Held while a bar is opened, drawn or closed; always taken before tqdm's lock. Re-entrant for signal handlers.
        self.lock = threading.RLock()
        self.bars = open_bars
        self.bars.clear()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        # None if no bar is open, or the bars are not on a terminal: in a notebook, or on a stream-like object.
        self._terminal: SharedTerminal | None = None
        self._is_child = False
        self._held: list[Any] = []

    def share(self, file: Any) -> None:
        """Share the terminal that a bar is about to be opened on, unless it is shared already. Called with the lock."""
        if self._terminal is not None:
            if not self.bars:
                self._terminal.take_back()
        elif file in (sys.stdout, sys.stderr) and is_terminal(file) and not in_notebook():
            with suppress(OSError, AttributeError):
                self._terminal = SharedTerminal(file, tqdm_class(), self._fit)

    def unshare(self) -> None:
        """Stop sharing the terminal once no bar is open; a child still has to allow for its parent's bars."""
        if self._terminal is None or self.bars:
            return
        if self._is_child:
            self._terminal.leave_bars_to_parent()
        else:
            terminal, self._terminal = self._terminal, None
            terminal.close()

    def frame(self) -> AbstractContextManager[None]:
        """Return a context in which all that is drawn reaches the terminal as one write."""
        return nullcontext() if self._terminal is None else self._terminal.frame()

    def leave_prompt(self) -> None:
        """Go below a prompt on the terminal before drawing in spite of it."""
        if self._terminal is not None:
            self._terminal.leave_prompt()

    def _fit(self) -> None:
        for bar in tuple(self.bars):
            with suppress(Exception):
                bar.fit()

    def add(self, bar: Bar) -> None:
        with self.lock:
            self.bars.append(bar)
            bar_opened()
            if self._thread is not None:
                return
            self._stop = threading.Event()
            thread = threading.Thread(target=self._draw, args=(self._stop,), name="refunc-progress", daemon=True)
            if lifetime.start(thread):  # otherwise the bar shows only its start and its end
                self._thread = thread

    def remove(self, bar: Bar) -> None:
        thread = None
        with self.lock:
            if bar not in self.bars:
                return
            try:
                if sys.is_finalizing():
                    bar.disown()
                else:
                    self.leave_prompt()
                    with self.frame():
                        bar.close()
            except Exception:
                # Drawing is a courtesy: stderr may be closed, or a value's `__str__` broken.
                bar.disown()
            finally:
                self.bars.remove(bar)
                with suppress(Exception):
                    self.unshare()
            if not self.bars:
                self._stop.set()
                thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(_PATIENCE)

    def close_all(self) -> None:
        """At exit: a daemon thread that writes to stderr while the interpreter goes down may abort it."""
        for bar in reversed(self.bars):
            self.remove(bar)

    def _draw(self, stop: threading.Event) -> None:
        while not stop.wait(_TICK):
            if self._is_typed_at():
                continue
            read = [bar for bar in tuple(self.bars) if bar.due(time.monotonic()) and self._is_read(bar)]
            try:
                with self.lock, self.frame():
                    # Reading takes time, and the user may have been asked something meanwhile.
                    for bar in read if not self._is_typed_at() else ():
                        if bar in self.bars:
                            self._try_to_draw(bar)
            except Exception:  # of the terminal, which took none of the output
                for bar in read:
                    self.remove(bar)

    def _is_typed_at(self) -> bool:
        terminal = self._terminal
        if terminal is not None:
            terminal.look()
        return at_prompt() or (terminal is not None and terminal.is_asking)

    def _is_read(self, bar: Bar) -> bool:
        try:
            if bar.read():
                return True
        except Exception:  # of a metric's own code
            pass
        self.remove(bar)
        return False

    def _try_to_draw(self, bar: Bar) -> None:
        try:
            bar.draw(time.monotonic())
        except Exception:
            # Any error of the terminal or of a metric's own code ends this bar, but not the training.
            self.remove(bar)

    def before_fork(self) -> None:
        """Fork between two writes only, or the child would inherit a lock of a thread that it does not have."""
        self._held = [lock for lock in (self.lock, thread_lock()) if lock and lock.acquire(timeout=_PATIENCE)]

    def after_fork_in_parent(self) -> None:
        while self._held:
            self._held.pop().release()

    def after_fork_in_child(self) -> None:
        for bar in self.bars:
            bar.disown()
        if held_above := [lock for lock in self._held if lock is not self.lock]:
            held_above[0].release()
        terminal = self._terminal
        self.__init__()  # type: ignore[misc]
        self._terminal, self._is_child = terminal, True
        if terminal is not None:
            terminal.leave_bars_to_parent()


_screen = _Screen()
_watching = False


def drawable(file: Any = None) -> bool:
    """
    Whether bars are drawn on *file* (default: stderr): on terminals and in notebooks, unless TQDM_DISABLE is set. Of a
    launch, only rank 0 draws them.
    """
    if os.environ.get("TQDM_DISABLE") or rank_on_console() is not None:
        return False
    if in_notebook():
        return True
    file = file or sys.stderr
    # The object that replaces stdout may claim to be a terminal, and be a live display of another library.
    return (
        os.environ.get("TERM") != "dumb"
        and is_terminal(file)
        and (file not in (sys.stdout, sys.stderr) or passes_on(file))
    )


def open_bar(
    source: Counted,
    *,
    total: float | None,
    description: str,
    unit: str = "it",
    elapsed: float = 0.0,
    options: Mapping[str, Any] | None = None,
) -> Bar | None:
    """
    Open a bar for *source*, inside those that are open already; None if none can be drawn.

    Args:
        elapsed: Seconds that *source* has been counting for.
        options: tqdm's keyword arguments. They beat the user's TQDM_* variables, which beat refunc's defaults.
    """
    given = dict(options or {})
    fix_windows_console()
    if sys.is_finalizing() or not drawable(given.get("file")):  # formatting a bar may fail at shutdown
        return None
    open_to_us = [name for name in ("unit", "leave", "ncols", "nrows") if f"TQDM_{name.upper()}" not in os.environ]
    sized = [] if in_notebook() else [name for name in open_to_us if name in ("ncols", "nrows") and name not in given]
    # With leave=None, tqdm keeps the last state of an outermost bar and wipes an inner one; not so in a notebook.
    leave = not _screen.bars if in_notebook() else None
    ours = {"unit": unit, "leave": leave, **size_of(given.get("file") or sys.stderr, sized)}
    wanted = {name: ours[name] for name in open_to_us if name in ours}
    try:
        with _screen.lock:
            _screen.share(given.get("file") or sys.stderr)
            if in_notebook() and not has_widgets():
                given["file"] = SilentFile()
            _screen.leave_prompt()
            with _screen.frame():
                drawn = tqdm_class()(total=total, desc=one_line(description), **{**wanted, **given, "disable": False})
            drawn.start_t = drawn.last_print_t = time.monotonic() - elapsed
            bar = Bar(source, drawn, sized)
            _watch_process()
            _screen.add(bar)
    except Exception as error:
        with _screen.lock:
            _screen.unshare()
        reason = text_of(error)
        warn_once(f"bar {reason}", "%s: no progress bar: %s", description or "progress", reason)
        return None
    return bar


def close_bar(bar: Bar) -> None:
    """Close *bar*, from any thread, and any number of times; the last bar ends the drawing thread."""
    _screen.remove(bar)


def _watch_process() -> None:
    """Register for forks and the exit of this process, at the first bar: importing registers nothing."""
    global _watching
    if _watching:
        return
    _watching = True
    atexit.register(_screen.close_all)
    at_fork(
        before=_screen.before_fork,
        after_in_parent=_screen.after_fork_in_parent,
        after_in_child=_screen.after_fork_in_child,
    )
