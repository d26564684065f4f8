"""Folders for files on their way into a run: removed with the object that has them, and at exit."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from pathlib import Path


def scratch_folder(owner: object, where: str | None = None) -> Path:
    """Make a folder in *where*, by default that for temporary files, which goes with its *owner*."""
    folder = tempfile.mkdtemp(prefix="refunc-", dir=where)
    weakref.finalize(owner, _remove, folder, os.getpid())
    return Path(folder)


def _remove(folder: str, pid: int) -> None:
    if os.getpid() == pid:  # a forked child has a copy of the owner
        shutil.rmtree(folder, ignore_errors=True)
