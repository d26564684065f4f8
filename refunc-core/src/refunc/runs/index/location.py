"""
Where indexes lie.

A cache belongs to one user: its file has the mode 0600, in a folder that only the user can write to.
The folder is `REFUNC_CACHE` (and in it `user-<number>` if that folder is shared), else `refunc` in `XDG_CACHE_HOME`,
else in `~/.cache`. `REFUNC_CACHE=off` disables it.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from refunc.values import settings
from refunc.values.paths import absolute


def cache_folder() -> Path | None:
    """Return the folder of indexes; None if it is disabled."""
    named = settings.CACHE.text()
    if settings.on_or_off(named) is False:
        return None
    if named:
        folder = absolute(named)
        return folder if is_ours(folder) else folder / f"user-{os.geteuid()}"
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base, "refunc") if os.path.isabs(base) else None


def is_ours(folder: Path) -> bool:
    """Whether no other user can write to *folder*, or it does not exist yet: foreign indexes are not read."""
    try:
        info = os.stat(folder)
    except OSError:
        return True
    return not hasattr(os, "geteuid") or (info.st_uid == os.geteuid() and not info.st_mode & 0o022)


def index_path(store: Path) -> Path | None:
    """Return the path of the index of the folder *store*, which need not exist; None if it is disabled."""
    folder = cache_folder()
    digest = hashlib.sha256(os.fsencode(os.path.realpath(store))).hexdigest()[:16]
    return folder / f"{digest}.sqlite" if folder is not None else None
