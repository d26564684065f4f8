"""
The run of the process that started this one in any way but `multiprocessing`, told by a variable.

Such processes are the workers of loky and dask, and scripts that the training starts. The variable is set only while a
run is open, and processes of refunc itself do not get it. It names no code, host or credential, and the run that it
names has to be running.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final, NamedTuple

VARIABLE: Final = "_REFUNC_RUN"


class Announced(NamedTuple):
    """The run that another process has announced."""

    pid: int
    run_id: str
    folder: str


#: The value that this process was started with.
_given: str | None = os.environ.get(VARIABLE)


def announce(run_id: str, folder: str) -> None:
    """Tell processes that are started from now on which run is theirs."""
    os.environ[VARIABLE] = f"{os.getpid()}:{run_id}:{folder}"


def withdraw() -> None:
    """Tell them the run that this process was told, or none."""
    if _given is not None:
        os.environ[VARIABLE] = _given
    else:
        with suppress(KeyError):  # none, or another thread was faster: `pop` with a default would raise then
            del os.environ[VARIABLE]


def variables() -> dict[str, str]:
    """
    Return all variables of the environment.

    `dict(os.environ)` lists the names first, and raises if a run that another thread ends takes its variable out then.
    """
    return {name: value for name in os.environ if (value := os.environ.get(name)) is not None}


def announced() -> Announced | None:
    """Return the run that another process has announced to this one; None if there is none."""
    pid, _, rest = (_given or "").partition(":")
    run_id, _, folder = rest.partition(":")
    if not (pid.isascii() and pid.isdigit() and run_id and os.path.isabs(folder)):
        return None
    return Announced(int(pid), run_id, folder) if int(pid) != os.getpid() else None
