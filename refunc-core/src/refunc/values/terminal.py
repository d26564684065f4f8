"""
The place where refunc's lines appear: with colour or not, a terminal or a notebook, open progress bars.

Called by the console handler, the formatters and the progress trackers. Importing it does not import tqdm, colorama or
IPython: only modules that the process has loaded itself are used.
"""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache, partial
from typing import Any, TextIO

from refunc.values.loaded import of_loaded

#: Moves the cursor to the start of its line and clears the screen from there on.
CLEAR_DOWN = "\r\x1b[J"

#: The streams on which lines land above the bars by themselves; see `sharing`.
tapped_streams: list[TextIO] = []
#: Called before a line goes to another stream: stdout or stderr may have been replaced since bars were opened.
stream_watchers: list[Callable[[], None]] = []


def wants_color(stream: TextIO | None, *, colored: bool | None = None) -> bool:
    """
    Return whether lines on *stream* are to be coloured.

    The first of these that is set decides: *colored*; FORCE_COLOR or CLICOLOR_FORCE, set to anything but `0` (yes);
    NO_COLOR, set to anything (no); TERM=dumb (no); a terminal or a notebook's cell (yes); no. An empty variable counts
    as unset.
    """
    if colored is not None:
        return colored
    environ = os.environ
    if any(environ.get(name, "") not in ("", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE")):
        return True
    if environ.get("NO_COLOR") or environ.get("TERM") == "dumb":
        return False
    return is_terminal(stream) or type(stream).__module__.startswith("ipykernel.")


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether *stream* is a terminal; a missing, closed or half-made stream is not."""
    try:
        return stream is not None and stream.isatty()
    except Exception:  # a user's stream-like object: if it raises, it is not a terminal
        return False


def passes_on(stream: Any) -> bool:
    """
    Return whether *stream*, which claims to be a terminal, passes all output on to it, at once and unchanged.

    An object that replaces stdout may claim that and rewrite the output, or keep it until the line is complete, as
    those of rich, alive_progress and prompt_toolkit do. An empty string is written to it, which has to arrive at the
    terminal.
    """
    if is_file(stream) or type(stream).__module__.startswith("colorama."):
        return True
    with _probing:
        return _arrives_at_once(stream)


_probing = threading.RLock()


def _arrives_at_once(proxy: Any) -> bool:
    """Write an empty string to *proxy*, and return whether it arrived at one of Python's own files."""
    arrived: list[str] = []
    changed: list[tuple[Any, bool, Any]] = []

    def arrive(write: Any, text: str) -> Any:
        arrived.append(text)
        return write(text)

    try:
        targets: list[Any] = [sys.__stdout__, sys.__stderr__, *getattr(proxy, "__dict__", {}).values()]
        for target in targets:
            if is_file(target) and is_terminal(target):
                changed.append((target, "write" in vars(target), target.write))
                target.write = partial(arrive, target.write)
        proxy.write("")
    except Exception:  # of the object's own code
        return False
    finally:
        for target, has_own, write in reversed(changed):
            if has_own:
                target.write = write
            else:
                del target.write
    return "" in arrived


def is_file(stream: Any) -> bool:
    """Return whether *stream* is one of Python's own files, and not an object that wraps one."""
    return isinstance(stream, io.TextIOBase) and type(stream).write in (io.TextIOWrapper.write, io.StringIO.write)


def in_notebook() -> bool:
    """
    Return whether this process is the kernel of a notebook, where a cell shows stdout as plain text and stderr in
    red.
    """
    if "ipykernel" not in sys.modules:
        return False
    shell = (of_loaded("IPython", "get_ipython") or (lambda: None))()
    return getattr(shell, "kernel", None) is not None


def above_bars(stream: TextIO) -> AbstractContextManager[None] | None:
    """
    Return a context in which a line written to *stream* lands above the tqdm bars that are open in this process.

    None if there are none, which costs one look-up in a dictionary. Bars on other files are left alone. The context
    holds tqdm's own lock, which is re-entrant, so no other thread redraws a bar inside the line.
    """
    tqdm = of_loaded("tqdm", "tqdm")
    # `_instances` is private to tqdm, and only saves its lock (two semaphores, made on first use) while no bar is open.
    # Without it, the public context manager decides, more slowly.
    if tqdm is None or not getattr(tqdm, "_instances", True) or any(stream is tapped for tapped in tapped_streams):
        return None
    for look in stream_watchers:
        look()
    # Output that a wrapper passes on reaches one of those streams.
    if tapped_streams and (not is_file(stream) or any(stream is tapped for tapped in tapped_streams)):
        return None
    context: AbstractContextManager[None] = tqdm.external_write_mode(file=stream)
    return context


def at_prompt() -> bool:
    """Return whether an interactive interpreter waits for input, which must not be drawn over."""
    if not hasattr(sys, "ps1"):
        return False
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    names = []
    while frame is not None:
        names.append(str(frame.f_globals.get("__name__", "")).partition(".")[0])
        frame = frame.f_back
    # Python's own prompt is not Python code up to 3.12; `_pyrepl` reads lines from 3.13 on, prompt_toolkit in IPython.
    return not names or not {"_pyrepl", "prompt_toolkit"}.isdisjoint(names)


def is_in_keras() -> bool:
    """Return whether a callback of Keras is running: its bar may be at the cursor, and is redrawn."""
    if "keras" not in sys.modules:
        return False
    frame = sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
        if str(frame.f_globals.get("__name__")).partition(".")[0] == "keras":
            return True
    return False


@cache
def fix_windows_console() -> None:
    """Switch an old Windows console to understand colours, once a process; elsewhere do nothing."""
    if sys.platform == "win32":
        import colorama

        colorama.just_fix_windows_console()
