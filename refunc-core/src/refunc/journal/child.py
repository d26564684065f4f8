"""How a process of our own is started: Python, with this process's search path, and one function to call."""

from __future__ import annotations

import os
import sys
from typing import Final

#: The search path is this process's, with nothing before it: what lies beside a script is found there too, and nothing
#: in the working folder is taken for something else.
_PROGRAM: Final = """
import sys
function, count, *rest = sys.argv[1:]
sys.path[:] = rest[int(count):]
from importlib import import_module
module, _, name = function.partition(":")
getattr(import_module(module), name)(*rest[: int(count)])
"""


def command(function: str, *arguments: str) -> list[str]:
    """
    Return the command line of a Python process that calls *function* with *arguments*.

    The user's own main module is not imported in it, as `multiprocessing` would.

    Args:
        function: As `package.module:name`.
    """
    path = [os.path.abspath(entry) for entry in sys.path]
    return [sys.executable or "python", "-c", _PROGRAM, function, str(len(arguments)), *arguments, *path]
