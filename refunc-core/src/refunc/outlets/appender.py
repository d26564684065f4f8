"""
An outlet that appends its records to a file: the base of journals and log files.

A drain may be interrupted anywhere (by a refused write, or by Ctrl-C between any two bytecodes), and the next one goes
on exactly there: everything that must change together is in one immutable `State`, replaced by one assignment, and the
file's own size tells how much of an interrupted write reached it.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections import deque
from itertools import repeat
from typing import Any

from refunc.outlets.batch_state import State, new_state
from refunc.outlets.bounded_queue import HIGH_WATER
from refunc.outlets.durability import Durability
from refunc.outlets.file import AppendFile
from refunc.outlets.not_on_disk import NotOnDisk
from refunc.outlets.outlet import Outlet

#: The most records in one write; fewer if they are big.
BATCH_RECORDS = 4_096
BATCH_BYTES = 1 << 20

#: Errors after which the same bytes can go to the same file later. Any other makes the file suspect.
_REFUSALS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EAGAIN, errno.EINTR})


class FileOutlet(Outlet):
    """
    Writes batches to the file from `_open_next`.

    A subclass defines how a batch is encoded, its files, and when a file is full.
    """

    def __init__(self, *, bound: int = HIGH_WATER, durability: Durability = "async") -> None:
        super().__init__(bound=bound, durability=durability)

    def _reset(self) -> None:
        super()._reset()
        self._state = State()
        self._batch_limit = BATCH_RECORDS
        self._not_on_disk = NotOnDisk()
        #: A file that was found deleted: a thread may find that when another has already gone on in the next file.
        self._deleted: AppendFile | None = None

    # -- for subclasses ----------------------------------------------------------------------------------------------

    def _encode(self, batch: list[Any], seq: int, drops: int) -> bytes:
        """Return *batch* as bytes, its first record numbered *seq*; if *drops*, with a record that reports them."""
        raise TypeError(f"{type(self).__name__} does not say how its records are encoded.")

    def _open_next(self) -> AppendFile:
        """Open the next file. Raises OSError if that cannot be done now."""
        raise TypeError(f"{type(self).__name__} does not say where its records go.")

    def _header(self) -> bytes:
        """Return the bytes at the start of a new file."""
        return b""

    def _is_full(self, size: int) -> bool:
        """Whether a file of *size* bytes is full."""
        return False

    # -- within the turn --------------------------------------------------------------------------------------------

    def _write_alone(self) -> bool:
        """
        Write the only queued record to the open file; False leaves it, or the rest of it, to a drain.

        Nearly every call under `durability="process"` comes here: these are the steps of a drain that such a record
        needs.
        """
        state = self._state
        if (
            len(self.queue) != 1
            or state.batch
            or state.data is not None
            or not state.size
            or state.file is None
            or self._not_on_disk.suspects
            or self._deleted is not None
            or self._refusal.retry_at
            or self._has_untold_drops(state)
            or self._is_full(state.size)
        ):
            return False
        try:
            item = self.queue[0]
            data = self._encode([item], state.seq, 0)
            file, size, seq, told = state.file, state.size, state.seq, state.drops_told
            # Set before the record leaves the queue: `_step` recognises it, wherever this is interrupted.
            self._state = new_state(State, (file, size, seq, told, [item], 0, data, True, None))
            self.queue.popleft()
            if os.write(file.fd, data) != len(data):
                return False
            self._state = new_state(State, (file, size + len(data), seq + 1, told, None, 0, None, False, None))
        except OSError as error:
            if error.errno not in _REFUSALS:
                self._leave_file(self._state)
            return False
        except Exception:  # the drain reports the error
            return False
        self._turn.steps += 1
        return True

    def _step(self) -> int:
        state = self._state
        if state.batch and self.queue and self.queue[0] is state.batch[0]:  # `_write_alone` was interrupted in between
            self.queue.popleft()
        if state.data is not None and not state.batch and not state.drops:
            # A rewrite after a failed fsync was refused or interrupted; the queued records come after it.
            self._put(state)
            state = self._state
        if self._deleted is not None:
            deleted, self._deleted = self._deleted, None
            if deleted is state.file:
                self._leave_deleted(state)
                state = self._state
        if not state.batch and not state.drops:
            state = self._take(state)
            if not state.batch and not state.drops and not self._not_on_disk.must_rewrite():
                return 0
        self._put(state)
        return len(state.batch or ())

    def _put(self, state: State) -> None:
        """Write the batch of *state* to a file that can take it."""
        state = self._with_file(state)
        if state.data is None:
            data = self._encode(state.batch or [], state.seq, state.drops)
            if state.size == 0:
                data = self._header() + data
            state = self._state = state._replace(data=data)
        self._write(state)

    def _take(self, state: State) -> State:
        """Move a batch out of the deque. The list is in the state before it is filled, so no interrupt loses it."""
        count = self._next_count(state)
        dropped = self.dropped if self._has_dropped else 0
        if not count and dropped == state.drops_told:
            return state
        batch: list[Any] = []
        self._state = state = state._replace(batch=batch, drops=dropped - state.drops_told)
        with contextlib.suppress(IndexError):  # a caller dropped a record meanwhile
            # One call into C, which runs no signal handler halfway.
            batch.extend(map(deque.popleft, repeat(self.queue, count)))
        return state

    def _has_untold_drops(self, state: State) -> bool:
        return self._has_dropped and self.dropped != state.drops_told

    def _next_count(self, state: State) -> int:
        """Return how many records the next batch takes from the queue."""
        return min(len(self.queue), self._batch_limit)

    def _with_file(self, state: State) -> State:
        """Return the state with a file that can take the batch."""
        if self._not_on_disk.must_rewrite() and state.again is None:
            return self._rewrite_suspect(state)
        if state.file is not None and (state.tried or not self._is_full(state.size)):
            return state
        file = self._open_next()
        self._retire(state)
        self._state = state = state._replace(file=file, size=file.size, data=None, tried=False)
        return state

    def _write(self, state: State) -> None:
        file, data = state.file, state.data
        assert file is not None  # `_step` saw to both
        assert data is not None
        if not state.tried:
            self._state = state._replace(tried=True)
        try:
            file.append_from(state.size, data, resume=state.tried)
        except OSError as error:
            if error.errno not in _REFUSALS:
                self._leave_file(state)
            raise
        if len(data) > BATCH_BYTES:
            self._batch_limit = max(1, self._batch_limit // 2)
        elif self._batch_limit < BATCH_RECORDS:
            self._batch_limit *= 2
        seq = state.seq + len(state.batch or ()) + (state.drops > 0)
        told = state.drops_told + state.drops
        self._state = State(file=file, size=state.size + len(data), seq=seq, drops_told=told)

    def _leave_file(self, state: State) -> None:
        """Write the batch to another file, with the same numbers: how much of it reached this one is unknown."""
        self._retire(state)
        if state.again is not None:  # the rewritten bytes are not trusted here either
            file, start, end = state.again
            self._not_on_disk.suspects[file] = (start, end)
        self._state = state._replace(file=None, size=0, data=None, tried=False, again=None)

    def _leave_deleted(self, state: State) -> None:
        """Go on in another file, because the current one was deleted."""
        self._leave_file(state)

    def _retire(self, state: State) -> None:
        if state.file is not None:
            self._not_on_disk.retire(state.file, state.size)

    def _rewrite_suspect(self, state: State) -> State:
        """
        After a failed fsync, copy the bytes written since the last good one to a new file.

        The kernel may have dropped those pages, and a second fsync may report success for pages that never reached the
        disk (https://lwn.net/Articles/752063/), so the old file is no longer trusted. One file at a time: each may be
        as long as a segment.
        """
        suspect, *_ = [*self._not_on_disk.suspects]  # a list of them is made in one step: the fsync thread adds some
        start, end = self._not_on_disk.suspects[suspect]
        end = state.size if suspect is state.file else end
        carried = b""
        with contextlib.suppress(OSError):  # unreadable now: the missing records show as a gap in the numbers
            carried = suspect.read(start, end)
        if start == 0 and self._header():  # it was never fsynced: skip its header, as the new file has its own
            carried = carried.partition(b"\n")[2]
        fresh = self._open_next()
        if suspect is not state.file:
            self._retire(state)
        data = carried + self._encode(state.batch or [], state.seq, state.drops)
        if fresh.size == 0:
            data = self._header() + data
        again = (suspect, start, end)
        self._state = state = state._replace(file=fresh, size=fresh.size, data=data, tried=False, again=again)
        self._not_on_disk.clear(suspect)
        return state

    # -- the disk ----------------------------------------------------------------------------------------------------

    def flush(self, *, sync: bool = False) -> bool:
        """Write everything that was appended before, to a file that is not deleted; see `Outlet.flush`."""
        self._current()
        return super().flush(sync=sync)

    def fsync(self) -> bool:
        """
        Force the written bytes to the disk, in the calling thread.

        False if the disk refuses or takes too long, or if the file was deleted, and its content with it.
        """
        return self._not_on_disk.fsync(self._current, self)

    def _current(self) -> tuple[AppendFile | None, int]:
        """Return the current file and the size of its finished batches; note if it was deleted."""
        state = self._state
        with contextlib.suppress(OSError):  # closed meanwhile
            if state.file is not None and state.file.is_deleted():
                self._deleted = state.file
        return state.file, state.size

    def close(self) -> None:
        """Drain, fsync and close the file. A later record opens the next one."""
        super().close()
        turn = self._turn
        if self.is_closing:
            return
        if turn.wait(since=turn.begun):
            turn.take(self._leave_written_file)
        self.fsync()

    def _leave_written_file(self) -> bool:
        state = self._state
        if not state.batch:
            self._leave_file(state)
        return True

    def after_fork_in_child(self) -> None:
        """Close the inherited file: it is the parent's, and only one process writes a file."""
        inherited = self._not_on_disk.files()
        if self._state.file is not None:
            inherited.append(self._state.file)
        for file in inherited:
            with contextlib.suppress(OSError):
                file.close()
        super().after_fork_in_child()

    @property
    def is_idle(self) -> bool:
        """Whether a drain would find nothing to do: no record, no drops to report, and no file to leave."""
        state = self._state
        return not (
            self.queue
            or state.batch
            or state.data
            or self._has_untold_drops(state)
            or self._deleted is not None
            or self._not_on_disk.suspects
        )

    @property
    def waiting(self) -> int:
        """The number of records that are only in memory."""
        return len(self.queue) + len(self._state.batch or ())
