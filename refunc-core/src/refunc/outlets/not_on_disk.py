"""The part of an outlet's files that no fsync has confirmed, and two ways to confirm it: an fsync, or another file."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

from refunc.outlets.file import AppendFile
from refunc.outlets.foreign import own_logger
from refunc.outlets.opening import NO_DESCRIPTOR
from refunc.outlets.turn import Turn

#: After this many failed fsyncs in a row, the same records are not copied to yet another file until one succeeds.
MAX_REWRITES = 3

#: Files that stay open while no fsync of them succeeds, so that a disk that always refuses it does not cost a
#: descriptor for each; an older file is found by its name when its records are written again.
MAX_NOT_ON_DISK = 8

#: Returns the current file, and how many of its bytes belong to finished batches.
_Current = Callable[[], tuple[AppendFile | None, int]]

own_log = own_logger("refunc.journal")


class NotOnDisk:
    """
    The files of one outlet that may not be complete on disk.

    `fsync` may be called in any thread and has a turn of its own; the rest is called within the outlet's.
    """

    def __init__(self) -> None:
        #: The range of bytes of each file that is not trusted, because an fsync failed.
        self.suspects: dict[AppendFile, tuple[int, int]] = {}
        self._retired: deque[tuple[AppendFile, int]] = deque()
        self._turn = Turn()
        self._failures = 0

    def must_rewrite(self) -> bool:
        """Whether the content of suspect files has to be written to another file."""
        return bool(self.suspects) and self._failures <= MAX_REWRITES

    def retire(self, file: AppendFile, size: int) -> None:
        """Leave *file*, which is finished, to the next fsync; or to a rewrite, if an fsync of it failed."""
        if file in self.suspects:
            self.suspects[file] = (self.suspects[file][0], size)
        else:
            self._retired.append((file, size))

    def clear(self, file: AppendFile) -> None:
        """Mark *file* as no longer suspect: another file has its content. It is closed at the next fsync."""
        self.suspects.pop(file, None)
        self._retired.append((file, file.fsynced))

    def files(self) -> list[AppendFile]:
        """Return the files that are not closed yet; including the current one if an fsync failed."""
        return [*(file for file, _ in [*self._retired]), *self.suspects]

    def fsync(self, current: _Current, name: object) -> bool:
        """
        Force all files to the disk; False if it refuses, takes too long, or if this thread is within an fsync already.

        Args:
            name: The name of the outlet, for the one warning.
        """
        turn = self._turn
        if turn.is_mine():  # a signal handler in this thread's fsync
            return False
        begun = turn.begun
        if not turn.wait(begun):
            return False
        # Without a call of its own if another thread's, begun after this call, succeeded.
        return turn.covered > begun or turn.take(partial(self._fsync_all, current, name), covers=True)

    # -- within the turn ---------------------------------------------------------------------------------------------

    def _fsync_all(self, current: _Current, name: object) -> bool:
        self._close_old_suspects(current)
        while self._retired:
            file, size = self._retired[0]
            if not self._fsync_file(file, size, name) and file not in self.suspects:
                return False
            if file not in self.suspects:
                file.close()
            self._retired.popleft()
        written, size = current()
        if self.must_rewrite() or (written is not None and not self._fsync_file(written, size, name)):
            return False
        if written is not None and written.is_deleted():  # the next drain goes on elsewhere
            return False
        self._failures = 0
        return not self.suspects

    def _close_old_suspects(self, current: _Current) -> None:
        if len(self.suspects) <= MAX_NOT_ON_DISK or self.must_rewrite():
            return
        written, _ = current()
        for file in [*self.suspects][:-MAX_NOT_ON_DISK]:
            if file is not written:
                file.close()

    def _fsync_file(self, file: AppendFile, size: int, name: object) -> bool:
        try:
            file.fsync(size)
        except OSError as error:
            if error.errno in NO_DESCRIPTOR:
                return False
            self._failures += 1
            if self._failures == 1:
                own_log.warning(
                    "%s: the disk did not take records that were written (%s). They are written to a new file.",
                    name,
                    error,
                )
            # From the first untrusted byte: a later fsync's success does not prove anything about those pages.
            start, end = self.suspects.get(file, (file.fsynced, size))
            self.suspects[file] = (start, max(end, size))
            return False
        return True
