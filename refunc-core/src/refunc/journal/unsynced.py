"""What of an outlet's files no sync has confirmed, and the two ways to have it confirmed: a sync, or another file."""

from __future__ import annotations

import errno
import threading
from collections import deque
from collections.abc import Callable

from refunc.journal.file import AppendFile
from refunc.journal.outlet import WAIT, report, wait_until_free

#: Syncs in a row that may fail before the same records are no longer copied to yet another file until one succeeds.
MAX_REWRITES = 3

#: Files that stay open while no sync of them succeeds, so that a disk that never syncs does not cost a descriptor for
#: each; an older one is found by its name when its records are written again.
MAX_UNSYNCED = 8

#: Errors of a sync that say nothing about the disk: it is tried again.
_NO_DESCRIPTOR = frozenset({errno.EMFILE, errno.ENFILE})

#: Gives the file that is written to, and how many of its bytes belong to finished batches.
_Current = Callable[[], tuple[AppendFile | None, int]]


class Unsynced:
    """
    The files of one outlet that the disk may not have whole.

    `sync` may be called in any thread and has a lock of its own; the rest is called under the outlet's drain lock.
    """

    def __init__(self) -> None:
        #: From which byte to which one a file is not trusted: a sync of it failed.
        self.suspects: dict[AppendFile, tuple[int, int]] = {}
        self._retired: deque[tuple[AppendFile, int]] = deque()
        self._lock = threading.Lock()
        self._owner = 0
        self._begun = self._done = 0  # the numbers of the last sync, and of the last that succeeded
        self._failures = 0

    def must_rewrite(self) -> bool:
        """Whether what suspect files hold is to be written to another one."""
        return bool(self.suspects) and self._failures <= MAX_REWRITES

    def retire(self, file: AppendFile, size: int) -> None:
        """Leave *file*, which is written to no more, to the next sync; to a rewrite first where a sync of it failed."""
        if file in self.suspects:
            self.suspects[file] = (self.suspects[file][0], size)
        else:
            self._retired.append((file, size))

    def clear(self, file: AppendFile) -> None:
        """Take *file* for suspect no more: another one has what it held. It is closed at the next sync."""
        self.suspects.pop(file, None)
        self._retired.append((file, file.synced))

    def files(self) -> list[AppendFile]:
        """Return the files that are not closed yet; the one that is written to is among them where a sync failed."""
        return [*(file for file, _ in self._retired), *self.suspects]

    def sync(self, current: _Current, name: object) -> bool:
        """
        Force all files to the disk; False where it refuses or takes too long, or this thread is within a sync already.

        Args:
            name: Whose files they are, for the one warning.
        """
        me = threading.get_ident()
        if self._owner == me and self._lock.locked():  # a signal handler in this thread's sync
            return False
        begun = self._begun
        if not wait_until_free(self._lock, WAIT, lambda: self._done > begun):
            return False
        if self._done > begun:  # by another thread, begun after this call
            return True
        with self._lock:
            try:
                self._owner = me
                self._begun = number = self._begun + 1
                done = self._sync_owned(current, name)
                if done:
                    self._done = number
                return done
            finally:
                self._owner = 0

    # -- under the sync lock -----------------------------------------------------------------------------------------

    def _sync_owned(self, current: _Current, name: object) -> bool:
        self._close_old_suspects(current)
        while self._retired:
            file, size = self._retired[0]
            if not self._sync_file(file, size, name) and file not in self.suspects:
                return False
            if file not in self.suspects:
                file.close()
            self._retired.popleft()
        written, size = current()
        if self.must_rewrite() or (written is not None and not self._sync_file(written, size, name)):
            return False
        self._failures = 0
        return not self.suspects

    def _close_old_suspects(self, current: _Current) -> None:
        if len(self.suspects) <= MAX_UNSYNCED or self.must_rewrite():
            return
        written, _ = current()
        for file in tuple(self.suspects)[:-MAX_UNSYNCED]:
            if file is not written:
                file.close()

    def _sync_file(self, file: AppendFile, size: int, name: object) -> bool:
        try:
            file.sync(size)
        except OSError as error:
            if error.errno in _NO_DESCRIPTOR:
                return False
            self._failures += 1
            if self._failures == 1:
                report.warning(
                    "%s: the disk did not take what was written (%s). It is written to a new file.", name, error
                )
            # From where it was not trusted before: what a later sync says of those pages is worth nothing.
            start, end = self.suspects.get(file, (file.synced, size))
            self.suspects[file] = (start, max(end, size))
            return False
        return True
