"""
The runs that a process of this machine has open, as the kernel tells: by its open files, and the locks on them.

Any user who can write to a store can write a `run.json` that names a process. The lock of that process is what only it
can have. Linux tells in /proc; elsewhere none is found.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from refunc.journal.folder import RUN_JSON
from refunc.journal.ranks import RANKS
from refunc.processes.opener import files_of, holders_of, is_above

_OF_RANK: Final = f"/{RANKS}/"
#: The file of a run, in its store, that the process has open that has opened the run; or its draft.
_HELD: Final = re.compile(rf"([^/]+)/(?:\.?{re.escape(RUN_JSON)}[^/]*|{RANKS}/[^/]+)")


def runs_of(pid: int) -> list[Path]:
    """Return the folders of the runs that the process *pid* holds."""
    folders = {
        Path(path).parent.parent if _OF_RANK in path else Path(path).parent
        for path in files_of(pid)
        if path.endswith(f"/{RUN_JSON}") or (_OF_RANK in path and path.endswith(".json"))
    }
    return sorted(folder for folder in folders if is_held_by(pid, folder))


def names_open_in(store: Path, pid: int) -> list[str] | None:
    """
    Return the names of the folders in *store* in which the process *pid* has opened a run, or is about to open one.

    It costs as much as that process has files, however many runs the store has.

    Returns:
        None if that cannot be known: *pid* is the number of no process above this one, or its files cannot be seen.
    """
    files = files_of(pid) if is_above(pid) else []
    if not files:  # one that has a run has a file at least
        return None
    beginning = f"{os.path.realpath(store)}/"
    found = (_HELD.fullmatch(path, len(beginning)) for path in files if path.startswith(beginning))
    return list(dict.fromkeys(match[1] for match in found if match is not None))


def is_held_by(pid: int, folder: Path) -> bool:
    """Whether the process *pid* has the lock of the run in *folder*, or of a rank of it."""
    try:
        locked = [folder / RUN_JSON, *(folder / RANKS).glob("*.json")]
        return any(pid in holders_of(os.stat(path, follow_symlinks=False)) for path in locked)
    except OSError:
        return False
