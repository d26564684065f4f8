"""Whether a run still runs: told from its files alone, with no server, heartbeat or process list."""

from __future__ import annotations

from pathlib import Path

from refunc.journal.file import is_locked
from refunc.journal.folder import RUN_JSON
from refunc.journal.kinds import CRASHED, RUNNING


def status_of(folder: Path, ended: str | None) -> str:
    """
    Return the status of the run in *folder*: the one that its end record gives, else `running` or `crashed`.

    The process that opened a run holds a lock on its `run.json`, and the kernel gives that up however the process
    ends. Where locks cannot be asked (Windows, some network file systems) a run without an end reads as `running`.
    """
    if ended is not None:
        return ended
    return CRASHED if is_locked(folder / RUN_JSON) is False else RUNNING
