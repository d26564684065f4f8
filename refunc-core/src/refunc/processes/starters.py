"""
The processes that started this one in another way than through `multiprocessing`.

One that starts a script tells it by a variable, see `inherited`. Ray's workers are started by its daemon, the raylet,
perhaps long before there is work for them. On one machine, where `ray.init()` has started the raylet, the process that
has the work, Ray's driver, is the raylet's parent.
"""

from __future__ import annotations

import os
from typing import Final

from refunc.processes import inherited

#: Ray gives it to its workers.
_RAYLET: Final = "RAY_RAYLET_PID"


def is_ray_worker() -> bool:
    """Whether Ray started this process, or one above it."""
    return _RAYLET in os.environ


def has_starter() -> bool:
    """Whether there is such a process: a first look, which costs little."""
    return is_ray_worker() or inherited.announced() is not None


def starters() -> list[int]:
    """Return the ids of these processes, Ray's driver first."""
    from refunc.processes.opener import parent_of

    raylet = os.environ.get(_RAYLET, "")
    driver = parent_of(int(raylet)) if raylet.isascii() and raylet.isdigit() else None
    told = inherited.announced()
    known = [driver, told.pid if told is not None else None]
    return [pid for pid in dict.fromkeys(known) if pid is not None and pid != os.getpid()]
