"""
The process that started this one through `multiprocessing`, or through a copy of it; and how such a child ends.

A child leaves by `os._exit`, past atexit, and its exception is printed by the package that started it, past
`sys.excepthook`; but it does run its finalizers.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import import_module
from types import FrameType
from typing import Any, NamedTuple

from refunc.values.loaded import of_loaded

#: `multiprocess` is the copy that dill needs; loky, joblib and torch use the original.
_PACKAGES = ("multiprocessing", "multiprocess")

#: The key of this information in a process's settings.
_KEY = "refunc"

#: The calls at a child's end, by process: a forked child registers its own.
_registered: set[tuple[object, ...]] = set()

#: Tool numbers for `sys.monitoring`, first those that are not reserved for a kind of tool.
_TOOLS = (3, 4, 5, 2, 0, 1)


def package_of_parent() -> str | None:
    """Return the name of the package that started this process as a child; None if none did."""
    for package in _PACKAGES:
        parent_process = of_loaded(f"{package}.process", "parent_process")
        if parent_process is not None and parent_process() is not None:
            return package
    return None


def has_parent() -> bool:
    """Whether this process was started through `multiprocessing`."""
    return package_of_parent() is not None


def parent_pid() -> int | None:
    """Return the process id of the parent; None if there is none."""
    package = package_of_parent()
    return sys.modules[f"{package}.process"].parent_process().pid if package is not None else None


class Legacy(NamedTuple):
    """The information that a process passes on to its descendants."""

    pid: int
    #: The folder of their run, and whether that is an implicit one.
    folder: str
    is_implicit: bool
    #: The ids of its own ancestors.
    above: tuple[int, ...]
    #: The proof that a run belongs to one of these processes; see `processes/family.py`.
    token: bytes


def bequeath(told: Legacy | None) -> None:
    """
    Pass this on to all children that are started from now on, and through them to theirs.

    A process object takes over the settings of the process that makes it, for every way to start one, also if processes
    in between do not use refunc. The environment would tell other subprocesses as well.
    """
    if told is not None:
        # At interpreter shutdown no more children are started. If the working folder is gone, and is first on the path
        # as with `python -c`, Python 3.13.0 raises SystemError.
        with suppress(Exception):
            import_module("multiprocessing.process")
    for settings in _settings():
        if told is None:
            settings.pop(_KEY, None)
        else:
            settings[_KEY] = tuple(told)  # processes in between may not have refunc to unpickle it


def legacy() -> Legacy | None:
    """Return the information that this process was given, or passes on; None if there is none."""
    return next((Legacy(*settings[_KEY]) for settings in _settings() if _KEY in settings), None)


def own_token() -> bytes:
    """Return the token for children of this process: its ancestors' token, so that the family shares one."""
    told = legacy()
    return told.token if told is not None else _made_token()


@cache
def _made_token() -> bytes:
    return os.urandom(32)


def given_keys() -> list[bytes]:
    """
    Return the keys that the packages gave to this process, and to all descendants of the same ancestor.

    Processes from before the first run have them too, however they were started. A key that a program has set itself is
    left out, because it might be guessed.
    """
    keys = [settings.get("authkey") for settings in _settings()]
    return [bytes(key) for key in keys if isinstance(key, bytes) and len(key) == 32 and not _is_text(key)]


def _is_text(key: bytes) -> bool:
    return key.isascii() and key.decode("ascii").isprintable()


def _settings() -> list[dict[str, Any]]:
    asked = [of_loaded(f"{package}.process", "current_process") for package in _PACKAGES]
    found = [getattr(current_process(), "_config", None) for current_process in asked if current_process is not None]
    return [settings for settings in found if isinstance(settings, dict)]


def at_child_end(call: Callable[..., None], *args: object, priority: int) -> None:
    """
    Run *call* with *args* when this process ends by itself, if it is such a child. Registering the same ones again has
    no effect.

    Args:
        priority: Below 0, so that the child's own children were waited for; the higher one runs first.
    """
    package = package_of_parent()
    key = (os.getpid(), call, *args)
    if package is not None and key not in _registered:
        _registered.add(key)
        import_module(f"{package}.util").Finalize(None, call, args=args, exitpriority=priority)


def watch_child_error(note: Callable[[BaseException], None]) -> None:
    """
    Call *note* with the exception that ends this process, if it is such a child; may be called again.

    Nothing is patched for this. Up to Python 3.11 the finalizers run while the exception is being raised. Later
    versions have handled it by then, but allow watching the lines of one function (PEP 669): here the one that handles
    it.
    """
    if not has_parent():
        return
    if sys.version_info < (3, 12):
        at_child_end(_note_current_error, note, priority=-1)
    else:
        _watch_bootstrap(note)


if sys.version_info >= (3, 12):

    def _watch_bootstrap(note: Callable[[BaseException], None]) -> None:
        monitoring = sys.monitoring
        frame = _bootstrap_above(sys._current_frames().get(threading.main_thread().ident or 0))
        if frame is None or (os.getpid(), note) in _registered:
            return
        users = [monitoring.get_tool(tool) for tool in range(6)]
        if "refunc" in users or None not in users:  # a forked child inherits it; with six debuggers, no number is free
            return
        tool = next(tool for tool in _TOOLS if users[tool] is None)
        _registered.add((os.getpid(), note))
        noted: list[int] = []

        def see_line(code: object, line: int) -> None:
            error = _error_in(sys._getframe(1))
            if error is not None and not noted:
                noted.append(line)
                with suppress(Exception):  # the child's own error is the one to be shown
                    note(error)

        monitoring.use_tool_id(tool, "refunc")
        monitoring.register_callback(tool, monitoring.events.LINE, see_line)
        monitoring.set_local_events(tool, frame.f_code, monitoring.events.LINE)


def _note_current_error(note: Callable[[BaseException], None]) -> None:
    frame = _bootstrap_above(sys._getframe())
    error = _error_in(frame) if frame is not None else None
    if error is not None:
        note(error)


def _error_in(frame: FrameType) -> BaseException | None:
    """Return the exception that *frame* is handling, but not one that the parent was handling when it forked."""
    error = sys.exc_info()[1]
    trace = error.__traceback__ if error is not None else None
    return error if trace is not None and trace.tb_frame is frame else None


def _bootstrap_above(frame: FrameType | None) -> FrameType | None:
    """Return the frame, *frame* or one that it was called from, in which this child runs its target."""
    modules = [f"{package}.process" for package in _PACKAGES]
    while frame is not None:
        if frame.f_code.co_name == "_bootstrap" and frame.f_globals.get("__name__") in modules:
            return frame
        frame = frame.f_back
    return None
