"""
The exception that ends the interpreter, for runs that no block ends.

`sys.excepthook` is given it, and calls the hook that was there before. A child of `multiprocessing` shows its exception
past that hook; `processes/parent.py` notices it there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType

from refunc.journal.kinds import COMPLETED
from refunc.logging.active import exits
from refunc.logging.active.outcome import status_of_exception, traceback_of
from refunc.processes.parent import has_parent, watch_child_error

_noted: list[tuple[str, str | None]] = []
_is_hooked = False
_own_hook: Callable[..., None] | None = None


def watch() -> None:
    """Notice the exception from now on; called when a run begins."""
    global _is_hooked
    watch_child_error(_note)
    exits.watch()
    if not _is_hooked:
        _is_hooked = True
        if not hasattr(sys, "ps1"):  # at a prompt an exception ends nothing
            _chain_excepthook()


def _chain_excepthook() -> None:
    """Remember the exception that ends the interpreter, then call the previous hook to show it."""
    global _own_hook
    previous = sys.excepthook

    def excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        try:
            _note(error, trace)
        finally:
            previous(kind, error, trace)

    sys.excepthook = _own_hook = excepthook


def _note(error: BaseException, trace: TracebackType | None = None) -> None:
    status = status_of_exception(error)
    if status != COMPLETED:
        _noted.append((status, None))  # at once: a second Ctrl-C may interrupt formatting
        _noted.append((status, traceback_of(error, status, trace)))


def ending() -> tuple[str, str | None]:
    """Return the status and traceback of the runs that end with the process."""
    if _noted:
        return _noted[-1]
    if has_parent():
        return COMPLETED, None
    # Another hook replaced ours, as `rich.traceback.install()` does. Python keeps the exception that a hook is given.
    error = getattr(sys, "last_value", None)
    if _own_hook is not None and sys.excepthook is not _own_hook and isinstance(error, BaseException):
        status = status_of_exception(error)
        return status, traceback_of(error, status)
    return exits.ending() or (COMPLETED, None)


def forget() -> None:
    """Forget it, in a forked child: it is the parent's."""
    _noted.clear()
