"""Folders that refunc makes, and that it keeps out of the user's repository."""

from __future__ import annotations

import os
from io import FileIO
from pathlib import Path

from refunc.outlets.opening import open_file, write_whole


def make_folder(path: Path) -> bool:
    """
    Make the folder *path*, and those above it, unless it is there.

    Returns:
        Whether this call has made it, and not the user, or another process at the same moment.

    Raises:
        OSError: It cannot be made.
    """
    os.makedirs(path.parent, exist_ok=True)
    try:
        os.mkdir(path)
    except OSError:  # of any kind: a file system that can only be read may say so first
        if not os.path.isdir(path):
            raise
        return False
    return True


def keep_out_of_git(folder: Path) -> None:
    """Have git ignore everything in *folder*; a `.gitignore` that is there stays. Raises OSError."""
    try:
        # `open` is gone from the builtins at interpreter shutdown.
        file = FileIO(folder / ".gitignore", "xb", opener=open_file)
    except FileExistsError:
        return
    with file:
        write_whole(file.fileno(), b"*\n")
