"""
What refunc knows about the place its lines appear in: colour or not, what is safe to print, open progress bars.

Called by the console handler, the formatters and the progress trackers. Importing it imports neither tqdm, colorama
nor IPython: what the process has not loaded itself is not asked.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from contextlib import AbstractContextManager
from functools import cache
from typing import TextIO

#: Where a message's second and later lines begin. No log line starts with a space, so none can be forged.
CONTINUATION = "    "

#: Takes the cursor to the start of its line and clears the screen from there on.
CLEAR_DOWN = "\r\x1b[J"

#: The streams on which lines land above the bars by themselves; see `sharing`.
tapped_streams: list[TextIO] = []


def wants_color(stream: TextIO | None, *, colored: bool | None = None) -> bool:
    """
    Return whether lines on *stream* are to be coloured.

    The first of these that has an opinion decides: *colored*; FORCE_COLOR or CLICOLOR_FORCE, set to anything but
    `0` (yes); NO_COLOR, set to anything (no); TERM=dumb (no); a terminal or a notebook's cell (yes); no.
    An empty variable counts as unset.
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
    """Return whether *stream* is a terminal; a missing, closed or half-made stream is none."""
    try:
        return stream is not None and stream.isatty()
    except Exception:  # a user's stream-like object: whatever it raises, it is no terminal
        return False


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook, where a cell shows stdout calmly and stderr in red."""
    if "ipykernel" not in sys.modules:
        return False
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


def printable(text: str, *, indent: str = CONTINUATION) -> str:
    r"""
    Return *text* with every character that could act on a terminal as a visible escape such as `\x1b`.

    These are the control characters (C0, DEL, C1), the bidirectional controls, the line separators U+2028 and
    U+2029, and lone surrogates. Tabs stay; newlines stay too, and the lines after the first get *indent* in front.
    """
    if str.isprintable(text):
        return text
    text = _unsafe().sub(_escape, text)
    return text.replace("\n", "\n" + indent) if indent else text


def printable_line(text: str) -> str:
    r"""Return *text* as `printable` does, on one line: newlines become `\n` in sight."""
    if str.isprintable(text):
        return text
    return _unsafe().sub(_escape, text).replace("\n", "\\n")


@cache
def _unsafe() -> re.Pattern[str]:
    # Compiled at first need: most processes never print such a character, a newline included.
    ranges = "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
    return re.compile(f"[{ranges}]")


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code == 0x0D:
        return "\\r"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def above_bars(stream: TextIO) -> AbstractContextManager[None] | None:
    """
    Return a context in which a line written to *stream* lands above the tqdm bars that are open in this process.

    None where there are none, which a look into a dictionary tells. Bars on other files are left alone. The context
    holds tqdm's own lock, which is re-entrant, so no other thread redraws a bar inside the line.
    """
    tqdm = getattr(sys.modules.get("tqdm"), "tqdm", None)
    # `_instances` is private to tqdm, and only spares us its lock (two semaphores, made at first use) when no bar is
    # open. Where it is gone, the public context manager decides, more slowly.
    if tqdm is None or not getattr(tqdm, "_instances", True) or any(stream is tapped for tapped in tapped_streams):
        return None
    context: AbstractContextManager[None] = tqdm.external_write_mode(file=stream)
    return context


def at_prompt() -> bool:
    """Return whether an interactive interpreter waits for its user to type, who would not like to be drawn over."""
    if not hasattr(sys, "ps1"):
        return False
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    names = []
    while frame is not None:
        names.append(str(frame.f_globals.get("__name__", "")).partition(".")[0])
        frame = frame.f_back
    # Python's own prompt is no Python code up to 3.12; `_pyrepl` reads lines from 3.13 on, prompt_toolkit in IPython.
    return not names or not {"_pyrepl", "prompt_toolkit"}.isdisjoint(names)


@cache
def fix_windows_console() -> None:
    """Switch an old Windows console to understand colours, once a process; elsewhere do nothing."""
    if sys.platform == "win32":
        import colorama

        colorama.just_fix_windows_console()
