"""Users' paths, and the folder of runs."""

from __future__ import annotations

import os
from pathlib import Path

from refunc.values import settings

#: The default folder of runs.
DEFAULT_STORE = "experiments"


def absolute(path: str | os.PathLike[str]) -> Path:
    """
    Return *path* as an absolute path, with `~` at its start expanded, as a shell does.

    If the working folder was removed, a relative path has no meaning: it is returned unchanged, and each write there
    fails until the folder is back.
    """
    place = Path(os.path.expanduser(path))
    try:
        return place.absolute()
    except OSError:
        return place


def store_path(path: str | os.PathLike[str] | None = None) -> Path:
    """Return the store's absolute path: *path*, else `REFUNC_DIR`, else `./experiments`. It need not exist."""
    return absolute(path or settings.DIR.text() or DEFAULT_STORE)
