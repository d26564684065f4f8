"""
What takes space in a store, and taking it away.

Only what lies in the store itself is ever removed, and no run that is running, or may be: it is renamed into a hidden
folder of the store first, so that nobody ever reads half of it, and the lock is asked again before it goes.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import attrs

from refunc.delivery.sync import targets_of
from refunc.importing.transfer import DRAFT as IMPORT_DRAFT
from refunc.journal.file import is_locked
from refunc.journal.folder import ARTIFACTS, RUN_JSON, size_of
from refunc.journal.kinds import RUNNING, UNREADABLE
from refunc.journal.names import new_id
from refunc.runs.index import index_path
from refunc.runs.run import Run, RunFormatError
from refunc.runs.store import Store

#: How the hidden folder begins that runs go through on their way out.
_BIN = ".gc-"
#: A `run.json` and an artifact that were begun: see journal/folder.py and logging/artifacts.py.
_BIRTH_DRAFT, _COPY_DRAFT = re.compile(rf"\.{re.escape(RUN_JSON)}\.[0-9a-z]{{8}}"), re.compile(r"\.[0-9a-z]{12}")
#: Seconds after which nobody works on a draft any more.
_STALE = 3_600.0


@attrs.frozen(kw_only=True)
class Piece:
    """Something in the store that takes space: a run, or what an interruption has left."""

    path: Path
    size: int
    run: Run | None = None
    status: str = ""
    time: float = 0.0  # when the run began, or the draft was last changed


@attrs.frozen
class Space:
    """What takes space in a store, in bytes."""

    runs: list[Piece]
    drafts: list[Piece]
    index: list[Piece]  # the files of the store's index, which lie in the user's cache
    artifacts: int  # of all runs
    unreadable: list[RunFormatError]  # folders like runs that cannot be read; they are not in the sizes

    @property
    def total(self) -> int:
        """All of it."""
        return sum(piece.size for piece in (*self.runs, *self.drafts, *self.index))


def survey(store: Store) -> Space:
    """Return what takes space in *store*. Links are not followed. Raises OSError where it cannot be listed."""
    runs: list[Piece] = []
    drafts: list[Piece] = []
    artifacts = 0
    unreadable: list[RunFormatError] = []
    for run in store.runs(unreadable):
        if run.folder.is_symlink() or run.folder.parent != store.path:
            continue
        size = size_of(run.folder)
        artifacts += size_of(run.folder / ARTIFACTS)
        runs.append(Piece(path=run.folder, size=size, run=run, status=run.status, time=run.start_time))
        drafts += _drafts_in(run.folder, _BIRTH_DRAFT)
        drafts += _drafts_in(run.folder / ARTIFACTS, _COPY_DRAFT)
    with os.scandir(store.path) as entries:
        for entry in entries:
            if entry.name.startswith((IMPORT_DRAFT, _BIN)) and entry.is_dir(follow_symlinks=False):
                drafts += _draft(Path(entry.path))
    return Space(runs, drafts, list(_index_of(store)), artifacts, unreadable)


def _index_of(store: Store) -> Iterator[Piece]:
    path = index_path(store.path)
    for suffix in ("", "-wal", "-shm"):  # SQLite's own files beside it
        file = path.with_name(path.name + suffix) if path is not None else None
        if file is not None and file.is_file():
            yield Piece(path=file, size=size_of(file), time=file.stat().st_mtime)


def _drafts_in(folder: Path, pattern: re.Pattern[str]) -> Iterator[Piece]:
    """Yield the hidden files in *folder* that refunc has begun and never finished."""
    if folder.is_symlink():
        return
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    for name in names:
        if pattern.fullmatch(name):
            yield from _draft(folder / name)


def _draft(path: Path) -> Iterator[Piece]:
    """Yield the draft at *path*, unless somebody may still be at it."""
    try:
        changed = path.lstat().st_mtime
    except OSError:
        return
    if time.time() - changed > _STALE and not any(
        is_locked(birth) is not False for birth in path.glob(f"*/{RUN_JSON}")
    ):
        yield Piece(path=path, size=size_of(path), time=changed)


class KeptError(Exception):
    """Something is not removed; the text says why."""


def remove_run(piece: Piece, store: Store, *, undelivered: bool = False) -> None:
    """
    Remove a run, whole or not at all as far as any reader can see.

    Args:
        undelivered: Also one that an integration has not received whole.

    Raises:
        KeptError: It runs, or may run; its journal cannot be read; or it is not delivered.
        OSError: It cannot be removed.
    """
    folder = piece.path
    assert piece.run is not None  # a draft is no run
    if folder.is_symlink() or folder.parent != store.path:
        raise KeptError("it is not in the store")
    # Asked anew, right before it goes: the store was looked through a while ago. No run that has stopped runs again.
    status = piece.run.status
    if status == RUNNING or is_locked(folder / RUN_JSON):
        raise KeptError("it is running")
    if status == UNREADABLE:
        raise KeptError("its journal cannot be read, so nobody knows what it is")
    if not undelivered:
        waiting = [target.passport.name for target in targets_of(folder) if not target.is_done]
        if waiting:
            raise KeptError(f"{', '.join(waiting)} has not received all of it; see `refunc sync`")
    gone = store.path / f"{_BIN}{new_id()}"
    gone.mkdir()
    try:
        os.rename(folder, gone / folder.name)
    except OSError:
        gone.rmdir()
        raise
    shutil.rmtree(gone)


def remove_draft(piece: Piece) -> None:
    """Remove what an interruption has left. Raises OSError."""
    if piece.path.is_dir() and not piece.path.is_symlink():
        shutil.rmtree(piece.path)
    else:
        piece.path.unlink(missing_ok=True)
