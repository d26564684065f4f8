"""
How a process of our own is started: Python, with this process's search path, and one function to call.

In an application that was frozen (PyInstaller, cx_Freeze, Nuitka), or that has Python inside, `sys.executable` is the
application. If it were started as a process of ours, it would begin its own work a second time, and start the next one.
If that is known, no process is started; an application that was mistaken for Python ends itself at its first record.
"""

from __future__ import annotations

import os
import sys
from typing import Final

from refunc.processes import inherited

#: Set for a process of ours, which removes it first.
_MARK: Final = "_REFUNC_CHILD"

#: Options of Python that keep out variables of the environment, folders and a `sitecustomize`: such a process has them
#: if this one has.
_KEEPS_OUT: Final = {"isolated": "-I", "ignore_environment": "-E", "no_user_site": "-s", "no_site": "-S"}

#: The search path is this process's, with nothing before it: modules next to a script are found there too, and modules
#: in the working folder do not shadow others.
_PROGRAM: Final = f"""
import os, sys
answer = os.environ.pop("{_MARK}", "")
if answer:
    try:
        os.write(int(answer), b"begun")
    except OSError:
        pass  # that process has ended meanwhile, and left this one its work
    os.close(int(answer))
function, count, *rest = sys.argv[1:]
sys.path[:] = rest[int(count):]
from importlib import import_module
module, _, name = function.partition(":")
getattr(import_module(module), name)(*rest[: int(count)])
"""


class NoPythonError(OSError):
    """There is no Python program to start as a process of ours."""


def python() -> str | None:
    """Return the Python that runs this process; None if this program is an application that contains Python."""
    is_frozen = getattr(sys, "frozen", False) or "__compiled__" in vars(sys.modules.get("__main__", sys))
    program = sys.executable
    return program if program and not is_frozen and "py" in os.path.basename(program).lower() else None


def command(function: str, *arguments: str) -> list[str]:
    """
    Return the command line of a Python process that calls *function* with *arguments*.

    The user's own main module is not imported in it, as `multiprocessing` would.

    Args:
        function: As `package.module:name`.

    Raises:
        NoPythonError: This process is an application that contains Python.
    """
    program = python()
    if program is None:
        raise NoPythonError(f"{sys.executable or 'this program'} does not start Python")
    path = [os.path.abspath(entry) for entry in sys.path]
    options = [option for flag, option in _KEEPS_OUT.items() if getattr(sys.flags, flag)]
    return [program, *options, "-c", _PROGRAM, function, str(len(arguments)), *arguments, *path]


def environment(answer: int | None = None) -> dict[str, str]:
    """
    Return the environment for such a process, which always tells it that refunc started it.

    Args:
        answer: The descriptor of a pipe, to which it writes when Python has begun with *function*.
    """
    environ = {name: value for name, value in inherited.variables().items() if name != inherited.VARIABLE}
    return {**environ, _MARK: "" if answer is None else str(answer)}


def end_if_mistaken_for_python() -> None:
    """End this process if refunc started it as one of its own, but it is an application that begins its work."""
    if _MARK in os.environ:
        os._exit(1)
