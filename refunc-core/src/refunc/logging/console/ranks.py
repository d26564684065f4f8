"""
Which rank shows a line on the console: all ranks of a launch may write to the same terminal.

`REFUNC_RANK_LEVEL` is the level from which those other than 0 do.
"""

from __future__ import annotations

import logging
import os
import time
from typing import Final

from refunc.processes.launchers import is_launched, launch_rank
from refunc.values import settings
from refunc.values.levels import WARNING, level_number

#: Seconds for which the variables count as unchanged: a program may set them after its first line.
_LOOK_AGAIN: Final = 1.0

_looked_at = -_LOOK_AGAIN
_seen: tuple[int, int | None] = (0, None)


def rank_on_console() -> int | None:
    """Return the rank of this process if it is one that speaks less, so any but 0; None otherwise."""
    global _looked_at, _seen
    now, pid = time.monotonic(), os.getpid()
    if now - _looked_at >= _LOOK_AGAIN or _seen[0] != pid:
        _looked_at, _seen = now, (pid, (launch_rank() or None) if is_launched() else None)
    return _seen[1]


def is_shown_by(number: int, record: logging.LogRecord) -> bool:
    """Whether rank *number*, not 0, shows *record*: from WARNING on, or from the level that the user set."""
    chosen = settings.RANK_LEVEL.choice()
    return (record.levelno or 0) >= (level_number(chosen.upper()) if chosen else WARNING)


def marked(number: int, line: str) -> str:
    """Return *line* of rank *number* with its mark."""
    return f"[rank {number}] {line}"
