"""
Measuring and freeing the space that a store uses.

Only runs in the store itself are removed, and never one that is or may be running: a run is first renamed into a hidden
folder of the store, so that no reader sees half of it, and its lock is checked again before it is removed.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs

from refunc.annotations.file import ANNOTATIONS, read
from refunc.delivery.sync import targets_of
from refunc.journal.alive import life_of
from refunc.journal.folder import ARTIFACTS, RUN_JSON, size_of
from refunc.journal.kinds import UNREADABLE
from refunc.outlets.replaced import REMOVAL, passage
from refunc.runs.ending import end_status
from refunc.runs.errors import RunFormatError
from refunc.runs.identity import read_birth
from refunc.runs.index.location import index_path
from refunc.runs.run import Run
from refunc.runs.signature import signature_of
from refunc.runs.store import Store
from refunc.runs.unreadable import containing
from refunc_commands.upkeep.drafts import drafts_around, drafts_in_run, is_left

#: Seconds for which `refunc restore` can take back a removal.
RESTORABLE: Final = 30 * 86_400.0


@attrs.frozen(kw_only=True)
class Piece:
    """Something in the store that uses space: a run, or a leftover of an interruption."""

    path: Path
    size: int
    run: Run | None = None
    status: str = ""
    time: float = 0.0  # when the run began, or the draft was last changed
    is_draft: bool = False
    due: float | None = None  # from when on a run that `refunc rm` has marked is removed


@attrs.frozen
class Space:
    """The space that a store uses, in bytes."""

    runs: list[Piece]
    drafts: list[Piece]
    index: list[Piece]  # the files of the store's index, which lie in the user's cache
    artifacts: int  # of all runs
    unreadable: list[RunFormatError]  # folders like runs that cannot be read; they are not in the sizes

    @property
    def total(self) -> int:
        """The space of everything."""
        return sum(piece.size for piece in (*self.runs, *self.drafts, *self.index))


def survey(store: Store, here: Path | None = None) -> Space:
    """
    Return the space that *store* uses. Links are not followed.

    Args:
        here: A folder to which files were exported; drafts of such files count as well.

    Raises:
        OSError: The store cannot be listed.
    """
    runs: list[Piece] = []
    drafts: list[Piece] = []
    artifacts = 0
    listing = store.listing()
    for run in (*listing.runs, *listing.removed):
        if run.folder.is_symlink() or run.folder.parent != store.path:
            continue
        size = size_of(run.folder)
        artifacts += size_of(run.folder / ARTIFACTS)
        due = due_time(run)
        runs.append(Piece(path=run.folder, size=size, run=run, status=run.status, time=run.start_time, due=due))
        drafts += _drafts(drafts_in_run(run.folder))
    drafts += _drafts(drafts_around(store.path, here))
    each_once = {os.path.realpath(piece.path): piece for piece in drafts}  # *here* may be one of these folders
    return Space(runs, list(each_once.values()), list(_index_of(store)), artifacts, listing.unreadable)


def due_time(run: Run) -> float | None:
    """
    Return the time from which on *run*, if `refunc rm` has marked it, is removed; None if it is not marked.

    The 30 days begin with the latest of the mark, of the change of its file on this disk, which a copy of the run has
    later, and of the last record: a run may have been continued since.
    """
    mark = run.annotations.removal
    if mark is None:
        return None
    moments = [mark.time, *(changed / 1e9 for _, _, changed, _ in signature_of(run.folder))]
    with suppress(OSError):
        moments.append(os.lstat(run.folder / ANNOTATIONS).st_ctime)
    return max(moments) + RESTORABLE


def _index_of(store: Store) -> Iterator[Piece]:
    path = index_path(store.path)
    for suffix in ("", "-wal", "-shm"):  # SQLite's own files next to it
        file = path.with_name(path.name + suffix) if path is not None else None
        if file is not None and file.is_file():
            yield Piece(path=file, size=size_of(file), time=file.stat().st_mtime)


def _drafts(paths: Iterator[Path]) -> Iterator[Piece]:
    for path in paths:
        with suppress(OSError):  # its process has come back to it
            yield Piece(path=path, size=size_of(path), time=path.lstat().st_mtime, is_draft=True)


class KeptError(Exception):
    """Something is not removed; the text says why."""


def remove_run(piece: Piece, store: Store, *, undelivered: bool = False) -> None:
    """
    Remove a run, whole or not at all as far as any reader can see.

    Args:
        undelivered: Also remove a run that is not completely delivered.

    Raises:
        KeptError: It is or may be running; its journal cannot be read; it is not delivered; or it was marked as removed
            less than 30 days ago, or restored.
        OSError: It cannot be removed.
    """
    folder = piece.path
    assert piece.run is not None  # drafts have no run
    due = due_time(piece.run)
    if (due is None) != (piece.due is None) or (due is not None and due > time.time()):
        raise KeptError("its annotations have changed")
    if folder.is_symlink() or folder.parent != store.path:
        raise KeptError("it is not in the store")
    # Checked again right before removal, since the survey was a while ago. A run that has stopped never runs again.
    status = piece.run.status
    if status == UNREADABLE:
        raise KeptError("its journal cannot be read, so its state is unknown")
    keep_what_may_live(folder)
    if not undelivered:
        try:
            with containing(folder):
                targets = [target for target in targets_of(folder) if target.is_own and not target.is_done]
        except RunFormatError as error:
            raise KeptError("its journal cannot be read, so it is unknown whether it is delivered") from error
        waiting = [target.passport.name for target in targets]
        if waiting:
            raise KeptError(
                f"{', '.join(waiting)} has not received all of it; deliver it with `refunc sync`, or pass --undelivered"
            )
    gone = passage(store.path, REMOVAL)
    gone.mkdir()
    try:
        os.rename(folder, gone / folder.name)
        try:
            keep_what_may_live(gone / folder.name)  # a run may have begun in it before it was moved
            if piece.due is not None and read(gone / folder.name).removal is None:
                raise KeptError("it was restored")
        except KeptError:
            os.rename(gone / folder.name, folder)
            raise
    except (KeptError, OSError):
        gone.rmdir()
        raise
    shutil.rmtree(gone)


def keep_what_may_live(folder: Path) -> None:
    """
    Raise KeptError if the run in *folder*, or a run in a store within it at any depth, is or may be running.

    A recorded end does not prove that no process writes to the run any more, but without a lock it counts as proof.
    """
    found = [os.fspath(folder)]
    while found:
        inner = found.pop()
        try:
            with os.scandir(inner) as entries:
                inside = [entry for entry in entries if entry.name == RUN_JSON or entry.is_dir(follow_symlinks=False)]
            found += [entry.path for entry in inside if entry.name != RUN_JSON]
            said = why_kept(Path(inner)) if _has_birth(inside) else ""
        except OSError as error:
            raise KeptError(f"{_inside(inner, folder)}cannot be read, so a run may be running there") from error
        if said:
            raise KeptError(f"{_inside(inner, folder)}{said}")


def _has_birth(entries: list[os.DirEntry[str]]) -> bool:
    return any(entry.name == RUN_JSON for entry in entries)


def _inside(inner: str, folder: Path) -> str:
    where = os.path.relpath(inner, folder)
    return "it " if where == os.curdir else f"the run in it at {where} "


def why_kept(folder: Path) -> str:
    """Return why the run in *folder* is kept; empty if it may be removed. Raises OSError."""
    life = life_of(folder)
    try:
        read_birth(folder)
    except RunFormatError as error:
        if isinstance(error.__cause__, OSError):
            raise error.__cause__ from None
        return "is running" if life.is_held else ""  # a file of that name, of another program
    if end_status(folder) is not None:
        return "is running" if life.is_held else ""
    if not life.may_live:
        return ""
    return "is running" if life.lives and not life.doubt else f"may be running: {life.doubt or 'its state is unknown'}"


def remove_draft(piece: Piece) -> None:
    """Remove a leftover of an interruption. Raises OSError, and KeptError if it is something else by now."""
    if piece.is_draft and not is_left(piece.path):
        raise KeptError("a process works on it, or refunc did not make it")
    if piece.path.is_dir() and not piece.path.is_symlink():
        shutil.rmtree(piece.path)
    else:
        piece.path.unlink(missing_ok=True)
