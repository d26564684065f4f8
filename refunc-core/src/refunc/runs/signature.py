"""The state of a run's files, which shows whether it has changed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from refunc.journal.folder import JOURNAL, RUN_JSON
from refunc.journal.pieces import is_folded_name, writer_of

#: For each file: name, size in bytes, time of its last change in nanoseconds, and inode number.
Signature = tuple[tuple[str, int, int, int], ...]


def signature_of(folder: Path) -> Signature:
    """Return the sizes, times and inodes of the files of the run in *folder*, which show whether it has changed."""
    found = []
    path = os.fspath(folder)  # once: a path of pathlib takes longer than the call to the system
    try:
        status = os.stat(f"{path}/{RUN_JSON}")
        found.append((RUN_JSON, status.st_size, status.st_mtime_ns, status.st_ino))
        with os.scandir(f"{path}/{JOURNAL}") as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                is_read = writer_of(entry.name) is not None or is_folded_name(entry.name)
                if is_read and stat.S_ISREG(status.st_mode):
                    found.append((entry.name, status.st_size, status.st_mtime_ns, status.st_ino))
    except OSError:  # gone meanwhile, or not accessible
        pass
    return tuple(sorted(found))
