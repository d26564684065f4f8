"""
The runs that a process of this machine has open, as the kernel tells: by its open files, and the locks on them.

Any user who can write to a store can write a `run.json` that names a process. The lock of that process is what only it
can have. Linux tells in /proc; elsewhere none is found.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from refunc.journal.folder import RUN_JSON
from refunc.journal.ranks import RANKS
from refunc.processes.opener import files_of, holders_of

_OF_RANK: Final = f"/{RANKS}/"


def runs_of(pid: int) -> list[Path]:
    """Return the folders of the runs that the process *pid* holds."""
    folders = {
        Path(path).parent.parent if _OF_RANK in path else Path(path).parent
        for path in files_of(pid)
        if path.endswith(f"/{RUN_JSON}") or (_OF_RANK in path and path.endswith(".json"))
    }
    return sorted(folder for folder in folders if is_held_by(pid, folder))


def is_held_by(pid: int, folder: Path) -> bool:
    """Whether the process *pid* has the lock of the run in *folder*, or of a rank of it."""
    try:
        locked = [folder / RUN_JSON, *(folder / RANKS).glob("*.json")]
        return any(pid in holders_of(os.stat(path, follow_symlinks=False)) for path in locked)
    except OSError:
        return False
