"""
The file of annotations, replaced as a whole.

A process locks the file while it makes the next one of it, so that changes of two processes are both kept. The lock is
on the file itself: one that waited for it looks whether the file is still the one with this name. The first file is
put in place only if there is none.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

from refunc.annotations.change import Change, without_superseded
from refunc.annotations.errors import AnnotationError
from refunc.annotations.file import ANNOTATIONS, FORMAT, MOST_BYTES, read
from refunc.annotations.state import Annotations
from refunc.journal.folder import RUN_JSON
from refunc.outlets.foreign import own_logger
from refunc.outlets.locks import give_up, locked
from refunc.outlets.opening import no_links, write_whole
from refunc.outlets.replaced import Draft

#: Seconds to wait for another process that changes the same file.
_PATIENCE: Final = 5.0
_PAUSE: Final = 0.01

_report = own_logger("refunc.annotations")


def change(
    folder: Path, decide: Callable[[Annotations], Sequence[Change]], *, patience: float = _PATIENCE
) -> Annotations:
    """
    Replace the annotations of the run in *folder* by the changes that *decide* returns for them.

    Args:
        decide: Called with the annotations that no other process changes meanwhile; once more if one was first.
        patience: Seconds to wait for another process.

    Raises:
        AnnotationError: The file is damaged, or it would be too large; nothing was changed.
        TimeoutError: Another process holds the lock for too long.
        OSError: There is no run, or its folder cannot be written to.
    """
    if not os.path.exists(folder / RUN_JSON):
        raise FileNotFoundError(2, f"it is not a run: it has no {RUN_JSON}", str(folder))
    deadline = time.monotonic() + patience
    try:
        while True:
            with _held(folder / ANNOTATIONS, deadline) as is_there:
                known = read(folder)
                if known.problem is not None:
                    raise AnnotationError(f"{folder}: {known.problem}. Repair the file, or move it away.")
                changes = tuple(decide(known))
                if changes == known.changes or _is_put(folder / ANNOTATIONS, _encoded(changes), is_new=not is_there):
                    return Annotations(changes)
    except TimeoutError:
        raise
    except OSError as error:
        said = f"its annotations cannot be written ({error.strerror or error})"
        raise OSError(error.errno, said, str(folder)) from error


def _is_put(path: Path, data: bytes, *, is_new: bool) -> bool:
    """Put *data* into its place; False if there must be no file, and another process has made one."""
    with Draft(path) as draft:
        write_whole(draft.fd, data)
        if not is_new:
            draft.put(fsync=True)
            return True
        try:
            draft.put_new(fsync=True)
        except FileExistsError:
            return False
        return True


def _encoded(changes: Sequence[Change]) -> bytes:
    """Return the file of *changes*, one change a line. Raises AnnotationError if it would be too large."""
    try:
        data = _lines(changes)
        if len(data) > MOST_BYTES // 2:  # then changes that later ones have undone are forgotten
            data = _lines(without_superseded(changes))
    except (ValueError, RecursionError) as error:  # of members that another program wrote
        raise AnnotationError(f"{ANNOTATIONS} has a member that cannot be written again ({error}).") from error
    if len(data) > MOST_BYTES:
        raise AnnotationError(
            f"the annotations of one run have at most {MOST_BYTES:,} bytes. Remove notes that are not needed, or put "
            "long texts into an artifact."
        )
    return data


def _lines(changes: Sequence[Change]) -> bytes:
    lines = ",\n".join(json.dumps(each.to_dict(), allow_nan=False) for each in changes)
    return b'{"format": %d, "changes": [\n%s\n]}\n' % (FORMAT, lines.encode("ascii"))


# -- the lock ----------------------------------------------------------------------------------------------------------


@contextmanager
def _held(path: Path, deadline: float) -> Iterator[bool]:
    """Hold the lock on the file *path*, and yield whether there is one. Raises TimeoutError, OSError."""
    fd = _locked(path, deadline)
    try:
        yield fd is not None
    finally:
        if fd is not None and fd >= 0:
            give_up(fd)


def _locked(path: Path, deadline: float) -> int | None:
    """Return a descriptor with the lock; None if there is no file, -1 if the file system has no locks."""
    while True:
        try:
            fd = _opened(path)
        except FileNotFoundError:
            return None
        try:
            is_mine = locked(fd)
            if is_mine is None:
                _tell_no_locks(str(path.parent.parent))
                os.close(fd)
                return -1
            if is_mine and os.path.samestat(os.fstat(fd), os.stat(path, follow_symlinks=False)):
                return fd
        except FileNotFoundError:
            is_mine = True
        except BaseException:
            give_up(fd)
            raise
        os.close(fd)
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path.parent}: another process holds the lock on {path.name}. Try again.")
        if not is_mine:
            time.sleep(_PAUSE)


def _opened(path: Path) -> int:
    try:
        return no_links(path, os.O_RDWR)  # NFS locks only files that may be written
    except PermissionError:  # another user's file, which may be replaced all the same
        return no_links(path, os.O_RDONLY)


@cache
def _tell_no_locks(store: str) -> None:
    _report.warning("%s has no file locks: an annotation by another process at the same moment may be lost.", store)
