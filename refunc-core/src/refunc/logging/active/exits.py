"""
Whether SystemExit ended the script, and with which code, for runs that no block ends.

Python does not report either, and has forgotten both when the exit handlers run. Whether SystemExit ended the script:
the main thread's outermost frame shows where it stopped, at a `return` or not. The code: `sys.exit`, `exit` and `quit`
note it before they raise as usual, from the import of `refunc.logging` on; `sys.exit(main())` looks them up before
`main` runs. A script that raises SystemExit itself, or has `sys.exit` under a name from before, has exited with an
unknown code.
"""

from __future__ import annotations

import builtins
import sys
import threading
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

from refunc.journal.kinds import COMPLETED, EXITED
from refunc.logging.active.outcome import status_of_exit
from refunc.processes.lifetime import is_ending
from refunc.values.texts import excerpt

_outermost: FrameType | None = None
#: The status and traceback of the last exit of the main thread. An exit that was caught does not matter, because then
#: the main thread stops at its end, or exits again.
_noted: tuple[str, str | None] | None = None


def watch() -> None:
    """Remember the main thread's outermost frame when a run begins; an exit noted before did not end the script."""
    global _outermost, _noted
    _noted = None
    if _outermost is None and not is_ending():
        frame = sys._current_frames().get(threading.main_thread().ident or 0)
        while frame is not None and frame.f_back is not None:
            frame = frame.f_back
        _outermost = frame


def forget() -> None:
    """
    Drop the frame: in a forked child, where another thread may be the main one, and after it was used.

    It keeps the objects of the script's module alive, so that Python would not call their `__del__`.
    """
    global _outermost, _noted
    _outermost = _noted = None


def ending() -> tuple[str, str | None] | None:
    """Return status and traceback of runs that end with the process, if SystemExit ended it; otherwise None."""
    if _outermost is None or hasattr(sys, "ps1"):  # at a prompt every line ends, however it does
        return None
    import opcode

    code, at = _outermost.f_code.co_code, _outermost.f_lasti
    if not 0 <= at < len(code) or opcode.opname[code[at]].startswith("RETURN"):
        return None
    return _noted or (EXITED, None)


def _note(code: Any, frame: FrameType | None) -> None:
    global _noted
    if threading.get_ident() != threading.main_thread().ident:
        return
    error = SystemExit(code)
    error.__context__ = sys.exc_info()[1]
    codes, above = [], frame
    while above is not None:
        codes.append(above.f_code)
        above = above.f_back
    status = status_of_exit(error, codes)
    _noted = status, None
    if status != COMPLETED:
        stack = "".join(traceback.format_stack(frame))
        said = "".join(traceback.format_exception_only(SystemExit, error))
        _noted = status, excerpt(f"Traceback (most recent call last):\n{stack}{said}")


def _noting(leave: Callable[..., NoReturn]) -> Callable[..., Any]:
    """Return the replacement of `sys.exit`."""

    def exit(status: Any = None, /) -> None:  # noqa: A001
        try:
            _note(status, sys._getframe(1))
        except Exception:  # no error may keep a script from exiting
            pass
        leave(status)

    # It is found, pickled and shown as the original function.
    exit.__module__, exit.__qualname__, exit.__doc__ = "sys", "exit", leave.__doc__
    return exit


def stand_in() -> None:
    """Have `sys.exit`, `exit` and `quit` note their argument; once per process."""
    if getattr(sys.exit, "__code__", None) is _CODE:
        return
    sys.exit = _noting(sys.exit)
    quitter: Any = type(getattr(builtins, "exit", None))
    if quitter.__module__ == "_sitebuiltins":
        leave = quitter.__call__

        def call(self: Any, code: Any = None) -> None:
            try:
                _note(code, sys._getframe(1))
            except Exception:  # see above
                pass
            leave(self, code)

        quitter.__call__ = call


_CODE = _noting(sys.exit).__code__
