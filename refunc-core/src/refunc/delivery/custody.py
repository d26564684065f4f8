"""
The cursor of one run for one integration: its file `delivery/<key>.json`, and the right to write it.

The file lags behind the backend and never leads it, except for `at-most-once`, where it leads. It is replaced as a
whole. If it is lost or damaged, delivery begins again, and a backend recognises records by `(writer, seq)`.

The process that delivers holds a lock. It loads the cursor again when it takes the lock, because another process may
have delivered meanwhile, and saves it only while it holds the lock.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path

from refunc.delivery.cursor import Cursor, cursor_path
from refunc.delivery.lock import DeliveryLock
from refunc.journal.codec import MAX_LINE_BYTES
from refunc.journal.folder import refuse_link
from refunc.journal.opening import NoDescriptorError, read_whole
from refunc.outlets.foreign import own_logger
from refunc.outlets.opening import write_whole
from refunc.outlets.replaced import Draft

#: The least seconds between two saves of a cursor while windows follow each other.
SAVE_INTERVAL = 0.02

own_log = own_logger("refunc.delivery")


def load_cursor(folder: Path, key: str, name: str) -> Cursor:
    """
    Return the saved cursor, or a new one if none can be read.

    Raises:
        NoDescriptorError: Too many files are open; a new cursor would deliver everything again.
    """
    path = cursor_path(folder, key)
    try:
        refuse_link(path.parent)
        return Cursor.from_line(read_whole(path, MAX_LINE_BYTES).partition(b"\n")[0], folder, key, name)
    except (OSError, ValueError):
        return Cursor(folder, key, name)


def save_cursor(cursor: Cursor, *, sync: bool = False) -> None:
    """
    Replace the saved cursor by *cursor*.

    Args:
        sync: Force it to disk before returning.

    Raises:
        OSError: The disk refuses. Delivery may continue, and may deliver records again.
    """
    cursor.path.parent.mkdir(exist_ok=True)
    refuse_link(cursor.path.parent)
    with Draft(cursor.path, private=True) as draft:
        write_whole(draft.fd, cursor.to_line())
        draft.put(fsync=sync)


class Custody:
    """A cursor, its lock, and its saves. Any thread may save."""

    def __init__(self, folder: Path, key: str, name: str, *, keeps: bool) -> None:
        """
        Args:
            keeps: Whether the saved cursor is used; a `live` integration starts again.
        """
        self.keeps = keeps
        self.cursor = Cursor(folder, key, name)
        if keeps:
            with suppress(NoDescriptorError):  # it is loaded when the lock is taken
                self.cursor = load_cursor(folder, key, name)
        self._lock = DeliveryLock(folder, key)
        self._has_moved = False
        self._saved_at = 0.0
        self._saving = threading.Lock()

    @property
    def is_held(self) -> bool:
        """Whether this process delivers, so that `cursor` is current and the saved one may lag behind."""
        return self._lock.is_held

    def take(self) -> bool:
        """Take the lock and load the saved cursor; False if another process has it, or it cannot be taken now."""
        try:
            if not self._lock.take():
                return False
        except OSError:
            return False
        if self.keeps:
            try:
                self.cursor = load_cursor(self.cursor.folder, self.cursor.key, self.cursor.name)
            except NoDescriptorError:
                self._lock.release()
                return False
        return True

    def release(self) -> None:
        """Release the lock, so that another process can continue."""
        self._lock.release()

    def move(self) -> None:
        """Remember that the cursor differs from the saved one."""
        self._has_moved = True

    def save_if_due(self) -> None:
        """Save a cursor that has moved, at most every fiftieth of a second."""
        if self._has_moved and time.monotonic() - self._saved_at >= SAVE_INTERVAL:
            self.save()

    def save(self, *, sync: bool = False) -> None:
        """Save the cursor now, if the run still exists and no other process delivers it; see `save_cursor`."""
        if not self.is_held or not self.cursor.folder.is_dir():
            return
        with self._saving:
            try:
                save_cursor(self.cursor, sync=sync)
            except OSError as error:
                own_log.warning("%s: its cursor cannot be saved: %s", self.cursor.name, error)
            self._saved_at = time.monotonic()
            self._has_moved = False
