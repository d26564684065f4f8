"""
The cursor of one run for one integration, in the hands of the one process that delivers.

It is loaded anew when the lock is taken, for whoever had it may have delivered, and saved only while the lock is held.
"""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

from refunc.delivery.cursor import Cursor, DeliveryLock

#: Seconds between two saves of a cursor at least, while windows follow each other.
SAVE_INTERVAL = 0.02

report = logging.getLogger("refunc.delivery")


class Custody:
    """A cursor, its lock, and when it is saved. Any thread may save."""

    def __init__(self, folder: Path, key: str, name: str, *, keeps: bool) -> None:
        """
        Args:
            keeps: Whether the saved cursor counts; a `live` integration begins anew.
        """
        self.keeps = keeps
        self.cursor = Cursor.load(folder, key, name) if keeps else Cursor(folder, key, name)
        self._lock = DeliveryLock(folder, key)
        self._has_moved = False
        self._saved_at = 0.0
        self._saving = threading.Lock()

    @property
    def is_held(self) -> bool:
        """Whether this process is the one that delivers, so that `cursor` is true and the saved one may lag behind."""
        return self._lock.is_held

    def take(self) -> bool:
        """Take the lock, and the cursor as it was left; False where another process has it, or it cannot be made."""
        try:
            if not self._lock.take():
                return False
        except OSError:
            return False
        if self.keeps:
            self.cursor = Cursor.load(self.cursor.folder, self.cursor.key, self.cursor.name)
        return True

    def release(self) -> None:
        """Let another process go on."""
        self._lock.release()

    def move(self) -> None:
        """Remember that the cursor is another one than was saved."""
        self._has_moved = True

    def save_if_due(self) -> None:
        """Save a cursor that has moved, at most every fiftieth of a second."""
        if self._has_moved and time.monotonic() - self._saved_at >= SAVE_INTERVAL:
            self.save()

    def save(self, *, sync: bool = False) -> None:
        """Save the cursor now, where the run is still there and no other process delivers it; see `Cursor.save`."""
        if not self.is_held or not self.cursor.folder.is_dir():
            return
        with self._saving:
            try:
                self.cursor.save(sync=sync)
            except OSError as error:
                report.warning("%s: its cursor cannot be saved: %s", self.cursor.name, error)
            self._saved_at = time.monotonic()
            self._has_moved = False
