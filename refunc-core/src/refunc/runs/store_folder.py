"""The folder of a store: finding it, and why one is missing."""

from __future__ import annotations

import os
import shlex
from itertools import islice
from pathlib import Path
from typing import Final

from refunc.journal.folder import RUN_JSON
from refunc.runs.errors import StrangeStoreError
from refunc.values import settings
from refunc.values.near import nearest
from refunc.values.paths import DEFAULT_STORE, absolute

#: The most entries of a folder that are looked at for a hint.
_MOST_SEARCHED: Final = 100


def find_store(start: Path | None = None) -> Path:
    """
    Return the store for a command: `REFUNC_DIR`, else `experiments` here or in the nearest folder above.

    Raises:
        FileNotFoundError: There is no store.
        StrangeStoreError: The store that was found belongs to another user.
    """
    named = settings.DIR.text()
    if named:
        path = absolute(named)
        if path.is_dir():
            return path
        raise no_store(path, f"REFUNC_DIR={named}")
    here = (start or Path.cwd()).absolute()
    for folder in (here, *here.parents):
        if (folder / DEFAULT_STORE).is_dir():
            return _of_this_user(folder / DEFAULT_STORE)
    raise FileNotFoundError(
        f"no store found: there is no folder `{DEFAULT_STORE}` in {here} or above it. "
        "Name the store with --store or REFUNC_DIR."
    )


def _of_this_user(store: Path) -> Path:
    """
    Return *store*, which was found and not named, if it belongs to the user, like git's check of a repository.

    Any user can create such a folder above the working folders of others, as in /tmp or in a shared project.
    """
    owner = os.stat(store).st_uid
    if not hasattr(os, "geteuid") or owner == os.geteuid():
        return store
    if os.geteuid() == 0 and str(owner) == os.environ.get("SUDO_UID"):  # the same person, using sudo
        return store
    raise StrangeStoreError(
        f"the store {store} belongs to {_user(owner)}, not to you. "
        f"To use it anyway, name it: --store {shlex.quote(os.fspath(store))}, or REFUNC_DIR."
    )


def _user(number: int) -> str:
    try:
        import pwd

        return f"the user {pwd.getpwuid(number).pw_name}"
    except (ImportError, KeyError):
        return f"the user with the number {number}"


def no_store(folder: Path, said: str = "") -> OSError:
    """
    Return the error that *folder*, in which there are no runs, is not a store.

    Args:
        said: How it was named, for the text; by default its path.
    """
    text = f"{said or f'no store at {folder}'}: {missing(folder)}."
    return NotADirectoryError(text) if folder.exists() else FileNotFoundError(f"{text}{_near(folder)}")


def missing(folder: Path) -> str:
    """Return why *folder* is not a store."""
    if (folder / RUN_JSON).is_file():
        return f"it is a run, and its store is {folder.parent}"
    return "it is a file, not a folder" if folder.exists() else "no such folder"


def elsewhere(folder: Path) -> str:
    """Return a hint at stores in *folder*; empty if there are none, or if it has runs itself."""
    if _has_runs(folder):
        return ""
    try:
        found = [each for each in islice(folder.iterdir(), _MOST_SEARCHED) if each.is_dir() and _has_runs(each)]
    except OSError:
        return ""
    return f" There are runs in {' and '.join(map(str, sorted(found)[:3]))}." if found else ""


def _has_runs(folder: Path) -> bool:
    try:
        return any((each / RUN_JSON).is_file() for each in islice(folder.iterdir(), _MOST_SEARCHED))
    except OSError:
        return False


def _near(folder: Path) -> str:
    """Return a hint at folders that are spelled like *folder*; empty if there are none."""
    try:
        near = nearest(folder.name, os.listdir(folder.parent))
    except OSError:
        return f" Its parent {folder.parent} does not exist either." if not folder.parent.is_dir() else ""
    return f" Did you mean {folder.parent / near[0]}?" if near else ""
