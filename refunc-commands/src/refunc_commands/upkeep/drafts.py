"""
Finding drafts that interrupted exports, imports, copies, deliveries and removals have left: by their names, and folders
also by their content, because users have hidden files of their own.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from refunc.annotations.file import ANNOTATIONS
from refunc.journal.alive import life_of
from refunc.journal.folder import ARTIFACTS, DELIVERY, JOURNAL, RUN_JSON
from refunc.journal.provenance import key_path
from refunc.journal.ranks import RANKS
from refunc.outlets.locks import is_locked
from refunc.outlets.replaced import is_draft_name, is_passage_name
from refunc.values.names import is_folder_name, may_be_folder_name

#: The entries that refunc creates in a run's folder.
OF_A_RUN = frozenset({RUN_JSON, JOURNAL, ARTIFACTS, DELIVERY, RANKS, ANNOTATIONS, ".gitignore"})
#: Seconds after which no process works on a draft any more.
_STALE = 3_600.0


def drafts_in_run(folder: Path) -> Iterator[Path]:
    """Yield the files in the run *folder* that refunc began and did not finish."""
    for each in (folder, *(folder / part for part in (JOURNAL, ARTIFACTS, DELIVERY, RANKS))):
        yield from _matching(each, is_draft_name)


def drafts_around(store: Path, here: Path | None) -> Iterator[Path]:
    """
    Yield the folders in *store* of interrupted imports and removals; and unfinished files next to its runs, in the
    folder *here*, and next to the user's key.
    """
    yield from _matching(store, is_passage_name)
    yield from _matching(store, is_draft_name)
    for folder in _folders(store):
        if _was_to_become_a_run(folder):
            yield from drafts_in_run(folder)
    for each in (here, key_path().parent):
        if each is not None:
            yield from filter(_is_of_this_user, _matching(each, is_draft_name))


def _was_to_become_a_run(folder: Path) -> bool:
    """Whether *folder* has parts of a run but no `run.json`; its name may be any, such as REFUNC_RUN_ID."""
    if (folder / RUN_JSON).exists():
        return False
    if is_folder_name(folder.name):
        return True
    try:
        names = os.listdir(folder)
    except OSError:
        return False
    return bool(names) and all(name in OF_A_RUN or is_draft_name(name) for name in names)


def is_left(path: Path) -> bool:
    """Whether *path*, which is named like a draft, was made by refunc and no process works on it."""
    try:
        info = path.lstat()
        if time.time() - info.st_mtime <= _STALE:
            return False
        if not is_passage_name(path.name):
            return stat.S_ISREG(info.st_mode) and not is_locked(path)
        return stat.S_ISDIR(info.st_mode) and _holds_a_run_at_most(path)
    except OSError:
        return False


def _folders(store: Path) -> list[Path]:
    try:
        with os.scandir(store) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []


def _is_of_this_user(path: Path) -> bool:
    try:
        return not hasattr(os, "geteuid") or path.lstat().st_uid == os.geteuid()
    except OSError:
        return False


def _matching(folder: Path, is_one: Callable[[str], bool]) -> Iterator[Path]:
    if folder.is_symlink():
        return
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    yield from (folder / name for name in names if is_one(name) and is_left(folder / name))


def _holds_a_run_at_most(path: Path) -> bool:
    """Whether the folder *path* has only one run, or a part of one, that no process writes. Raises OSError."""
    inside = list(path.iterdir())
    if not inside:
        return True
    folder = inside[0]
    if len(inside) > 1 or folder.is_symlink() or not folder.is_dir():
        return False
    names = set(os.listdir(folder))
    if not all(name in OF_A_RUN or is_draft_name(name) for name in names):
        return False
    # An import killed early, or a removal killed late, may leave little, but more than the name.
    if RUN_JSON not in names:
        return bool(names) or may_be_folder_name(folder.name)
    return not life_of(folder).may_live
