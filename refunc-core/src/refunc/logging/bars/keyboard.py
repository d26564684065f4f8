"""
Whether the user is being asked something at the terminal, so that bars stay away until the answer is given.

There are three signs of it. `input`, `sys.stdin.readline` or `sys.stdin.read` is called. The C function `input` is
called under a name that was bound earlier, as click's is: it asks stdin for its descriptor and flushes stdout within
one instruction, which no Python code can do. Or the terminal's mode was changed: no echo (getpass, sudo), or key by key
(prompt_toolkit, an editor, a debugger).
"""

from __future__ import annotations

import builtins
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType
from typing import Any

from refunc.values.terminal import is_terminal

try:
    import termios
except ImportError:  # Windows, where only the first two signs are available
    termios = None  # type: ignore[assignment]

#: Modules that draw their own line and clear everything after it.
_LINE_EDITORS = frozenset({"prompt_toolkit", "_pyrepl", "curses"})
#: A main thread in here waits for other threads, not for keys.
_WAITING = frozenset({"threading", "concurrent", "queue", "multiprocessing", "asyncio", "selectors"})
#: Seconds of CPU between two looks, above which the main thread works and another thread listens for keys.
_WORKS = 0.002

#: Seconds for which another thread's output waits until a prompt stands there, after which it may come in between.
_PROMPTLY = 0.5

#: Seconds within which C writes a prompt once the bars have made way for it.
_WRITTEN = 0.05

#: Clears the screen after the cursor, which may have the rest of a bar after a prompt.
CLEAR_BEHIND = "\x1b[J"


class Keyboard:
    """The keyboard of a terminal with bars on it, in the process that drew them."""

    def __init__(self, descriptor: int, make_way: Callable[[bool], None]) -> None:
        """
        Watch the keyboard of the terminal *descriptor*.

        Args:
            make_way: Takes the bars away, under the lock of all drawing. Its argument says whether the cursor is where
                the bars left it; otherwise a prompt already stands before it.
        """
        self._descriptor = descriptor
        self._make_way = make_way
        self._askers: set[int] = set()
        self._made_way_at = 0.0  # for the last question
        # The instruction in which the main thread called C's `input`, and the one that asked stdin for its descriptor.
        self._asking: tuple[FrameType, int] | None = None
        self._opening: tuple[int, int] | None = None
        self._usual = self._mode()
        self._is_mode_anothers = False
        self._cpu = 0.0

    @property
    def is_read(self) -> bool:
        """Whether the user is being asked something right now, as far as this was noticed."""
        return bool(self._askers) or self._is_mode_anothers or self._is_in_input()

    def is_asked_by(self, thread: int) -> bool:
        """Whether *thread* is the one that asks, so that its output is the prompt."""
        return self.is_read and (thread in self._askers or thread == _main())

    def await_prompt(self) -> None:
        """Wait until the prompt of a thread that is about to read is on the screen; return at once if there is none."""
        deadline, was_coming = time.monotonic() + _PROMPTLY, False
        while self.is_prompt_coming() and time.monotonic() < deadline:
            was_coming = True
            time.sleep(0.001)
        if was_coming:
            time.sleep(_WRITTEN)  # that thread has just left its last Python code

    def is_prompt_coming(self) -> bool:
        """
        Whether another thread has called a function that reads, and does not read yet: its prompt is written last.

        The line of a prompt has to be ended before anything is shown below it, which must not happen before it begins.
        """
        asking, me = self._asking, threading.get_ident()
        readers = [(asker, Keyboard._asked.__code__) for asker in tuple(self._askers)]
        if asking is not None:
            readers.append((_main(), asking[0].f_code))
        if all(thread == me for thread, _ in readers):
            return False
        tops = sys._current_frames()
        # A thread that reads is in C. Until then it runs Python code, of the streams at last; then C writes the prompt.
        return time.monotonic() < self._made_way_at + _WRITTEN or any(
            top.f_code is not code for thread, code in readers if thread != me and (top := tops.get(thread)) is not None
        )

    def shadows(self) -> Iterator[tuple[Any, str, Callable[..., Any]]]:
        """Yield owners, names of attributes, and their replacements while bars are open."""
        stdin: Any = sys.stdin
        if not is_terminal(stdin):
            return
        yield builtins, "input", partial(self._asked, builtins.input, True)
        yield stdin, "readline", partial(self._asked, stdin.readline, False)
        yield stdin, "read", partial(self._asked, stdin.read, False)
        yield stdin, "fileno", partial(self._descriptor_asked, stdin.fileno)

    def _asked(self, original: Callable[..., Any], of_any_thread: bool, *arguments: Any, **options: Any) -> Any:
        """Call *original*, a function that reads. Another thread may read stdin for a key that stops the training."""
        thread = threading.get_ident()
        if self._askers or not (of_any_thread or thread == _main()):
            return original(*arguments, **options)
        self._askers.add(thread)
        try:
            self._make_way_now()
            return original(*arguments, **options)
        finally:
            self._askers.discard(thread)

    def _descriptor_asked(self, original: Callable[[], int]) -> int:
        """Stand in for `fileno` of stdin."""
        if threading.current_thread() is threading.main_thread():
            caller = sys._getframe(1)
            self._opening = id(caller), caller.f_lasti
        return original()

    def flushed_by(self, caller: FrameType) -> None:
        """Note that *caller* flushed stdout or stderr, as C's `input` does right before it reads."""
        opening, self._opening = self._opening, None
        if opening == (id(caller), caller.f_lasti) and not self._askers:
            self._asking = caller, caller.f_lasti
            self._make_way_now()

    def _make_way_now(self) -> None:
        self._made_way_at = math.inf
        self._make_way(True)
        self._made_way_at = time.monotonic()

    def _is_in_input(self) -> bool:
        asking = self._asking
        if asking is None:
            return False
        caller, instruction = asking
        top = sys._current_frames().get(_main())
        # At first it is still in `flush`, below which there are no calls but ours.
        above = [top, top and top.f_back, top and top.f_back and top.f_back.f_back]
        if caller.f_lasti == instruction and any(frame is caller for frame in above):
            return True
        self._asking = None
        return False

    def forget(self) -> None:
        """Forget the parent's questions in a forked child."""
        self._askers.clear()
        self._asking = self._opening = None
        self._is_mode_anothers = False

    def look(self) -> None:
        """
        Check whether a program that reads keys has set the terminal's mode; called often, not by the main thread.

        If it listens for keys during the training, the main thread keeps working.
        """
        mode = self._mode()
        if mode == self._usual or mode is None:
            self._is_mode_anothers = False
        elif mode == _LINES:  # its usual mode
            self._usual, self._is_mode_anothers = mode, False
        elif not self._is_mode_anothers:
            self._main_works()
            self._is_mode_anothers = True
            if not _is_edited():
                self._make_way(False)
        elif self._main_works() and not _is_edited():
            self._usual, self._is_mode_anothers = mode, False

    def is_echo_off(self) -> bool:
        """Whether typed characters are not shown, unlike before: then a prompt is about to wait for a password."""
        mode = self._mode()
        return mode is not None and mode != self._usual and not mode & _ECHO

    def _mode(self) -> int | None:
        try:
            return None if termios is None else int(termios.tcgetattr(self._descriptor)[3]) & _LINES
        except Exception:  # the terminal is gone
            return None

    def _main_works(self) -> bool:
        """Whether the main thread has used the processor since the last look, or waits for other threads."""
        frame = sys._current_frames().get(_main())
        if frame is None or str(frame.f_globals.get("__name__")).partition(".")[0] in _WAITING:
            return True
        try:
            now = time.clock_gettime(time.pthread_getcpuclockid(_main()))
        except Exception:  # not on this system
            return False
        before, self._cpu = self._cpu, now
        return now - before > _WORKS


#: The flags of a terminal that gives whole lines and shows typed characters.
_ECHO = 0 if termios is None else termios.ECHO
_LINES = 0 if termios is None else termios.ICANON | _ECHO


def _main() -> int:
    return threading.main_thread().ident or 0


def _is_edited() -> bool:
    """Whether some thread is in a line editor of Python, which manages the screen itself."""
    for top in sys._current_frames().values():
        frame: FrameType | None = top
        while frame is not None:
            if str(frame.f_globals.get("__name__")).partition(".")[0] in _LINE_EDITORS:
                return True
            frame = frame.f_back
    return False
