"""Whether a run is still running."""

from __future__ import annotations

from pathlib import Path

from refunc.journal.alive import is_alive
from refunc.journal.kinds import CRASHED, RUNNING


def status_of(folder: Path, ended: str | None) -> str:
    """
    Return the status of the run in *folder*: that of its end record, else `running` or `crashed`.

    See `journal/alive.py` for how the process that opened it is found. If that is impossible, as on Windows, a run
    without an end is `running`.
    """
    if ended is not None:
        return ended
    return CRASHED if is_alive(folder) is False else RUNNING
