"""
An outlet whose records become bytes at the end of a file: the mechanism under journals and log files.

Whatever interrupts a drain (a refused write, Ctrl-C between any two bytecodes), the next one takes up exactly there:
everything that must change together stands in one immutable `_State`, replaced by one assignment; and how much of an
interrupted write reached the file, the file's own size tells.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections import deque
from itertools import repeat
from typing import Any, NamedTuple

from refunc.journal.file import AppendFile
from refunc.journal.outlet import HIGH_WATER, WAIT, Durability, Outlet, wait_until_free
from refunc.journal.unsynced import Unsynced

#: Records in one write at most; fewer while they are big.
BATCH_RECORDS = 4_096
BATCH_BYTES = 1 << 20

#: Errors after which the same bytes can go to the same file later. Any other makes the file suspect.
_REFUSALS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EAGAIN, errno.EINTR})


class _State(NamedTuple):
    """Where the outlet stands. `batch` and `data` are empty between two steps."""

    file: AppendFile | None = None
    size: int = 0  # bytes of the file that belong to finished batches
    seq: int = 0  # the number of the first record in `batch`, or of the next one
    drops_told: int = 0  # how many drops are in finished batches
    batch: list[Any] | None = None
    drops: int = 0  # how many are known in this batch
    data: bytes | None = None  # the batch, encoded, and before it what is written again; that may stand alone
    tried: bool = False  # whether a write of `data` was begun
    again: tuple[AppendFile, int, int] | None = None  # of which file's bytes `data` is a copy, from where to where


#: `_State(…)` at a third of its price, for what is done at each call.
_new_state = tuple.__new__


class FileOutlet(Outlet):
    """
    Writes batches to the file that `_open_next` gives.

    A subclass says how a batch is encoded, what its files are, and when one is full.
    """

    def __init__(self, *, bound: int = HIGH_WATER, durability: Durability = "async") -> None:
        super().__init__(bound=bound, durability=durability)

    def _reset(self) -> None:
        super()._reset()
        self._state = _State()
        self._batch_limit = BATCH_RECORDS
        self._unsynced = Unsynced()
        self._is_deleted = False  # whether somebody removed the file that is written to

    # -- what a subclass says ----------------------------------------------------------------------------------------

    def _encode(self, batch: list[Any], seq: int, drops: int) -> bytes:
        """Return *batch*, its first record numbered *seq*, as bytes; if *drops*, then one that says so."""
        raise TypeError(f"{type(self).__name__} does not say how its records are encoded.")

    def _open_next(self) -> AppendFile:
        """Open the next file. Raises OSError where that cannot be done now."""
        raise TypeError(f"{type(self).__name__} does not say where its records go.")

    def _header(self) -> bytes:
        """Return what an empty file starts with."""
        return b""

    def _is_full(self, size: int) -> bool:
        """Whether a file of *size* bytes takes no further batch."""
        return False

    # -- under the drain lock ----------------------------------------------------------------------------------------

    def _write_alone(self) -> bool:
        """
        Write the one record that is queued to the file that is open; False leaves it, or the rest of it, to a drain.

        Nearly every call under `durability="process"` comes here: these are a drain's steps without those for which
        such a record has no use.
        """
        if self._lock.locked():
            return False
        me = threading.get_ident()
        with self._lock:
            try:
                self._owner = me  # at once, with no call before it: a signal handler would wait for its own thread
                self._again = False
                done = self._write_alone_owned()
            finally:
                self._owner = 0
        return done and not self._again

    def _write_alone_owned(self) -> bool:
        state = self._state
        if (
            len(self.queue) != 1
            or state.batch
            or state.data is not None
            or not state.size
            or state.file is None
            or self._unsynced.suspects
            or self._is_deleted
            or self._retry_delay
            or self._has_dropped
            or self._is_full(state.size)
        ):
            return False
        try:
            item = self.queue[0]
            data = self._encode([item], state.seq, 0)
            file, size, seq, told = state.file, state.size, state.seq, state.drops_told
            # Set before the record leaves the queue: `_step` knows it again, wherever this is interrupted.
            self._state = _new_state(_State, (file, size, seq, told, [item], 0, data, True, None))
            self.queue.popleft()
            if os.write(file.fd, data) != len(data):
                return False
            self._state = _new_state(_State, (file, size + len(data), seq + 1, told, None, 0, None, False, None))
        except OSError as error:
            if error.errno not in _REFUSALS:
                self._leave_file(self._state)
            return False
        except Exception:  # the drain says what it was
            return False
        self._steps += 1
        return True

    def _step(self) -> int:
        state = self._state
        if state.batch and self.queue and self.queue[0] is state.batch[0]:  # `_write_alone` was interrupted in between
            self.queue.popleft()
        if state.data is not None and not state.batch and not state.drops:
            # What a failed sync had written again, which was refused or interrupted; what is queued comes behind it.
            self._put(state)
            state = self._state
        if not state.batch and not state.drops:
            state = self._take(state)
            if not state.batch and not state.drops and not self._unsynced.must_rewrite():
                return 0
        self._put(state)
        return len(state.batch or ())

    def _put(self, state: _State) -> None:
        """Write the batch of *state* to a file that can take it."""
        state = self._with_file(state)
        if state.data is None:
            data = self._encode(state.batch or [], state.seq, state.drops)
            if state.size == 0:
                data = self._header() + data
            state = self._state = state._replace(data=data)
        self._write(state)

    def _take(self, state: _State) -> _State:
        """Move a batch out of the deque. The list is in the state before it is filled, so no interrupt loses it."""
        count = min(len(self.queue), self._batch_limit)
        dropped = self.dropped if self._has_dropped else 0
        if not count and dropped == state.drops_told:
            return state
        batch: list[Any] = []
        self._state = state = state._replace(batch=batch, drops=dropped - state.drops_told)
        with contextlib.suppress(IndexError):  # a caller dropped a record meanwhile
            # One call into C, which runs no signal handler halfway.
            batch.extend(map(deque.popleft, repeat(self.queue, count)))
        return state

    def _with_file(self, state: _State) -> _State:
        """Return the state with a file that can take the batch."""
        if self._unsynced.must_rewrite() and state.again is None:
            return self._rewrite_suspect(state)
        if self._is_deleted:
            self._is_deleted = False
            self._leave_file(state)
            state = self._state
        if state.file is not None and (state.tried or not self._is_full(state.size)):
            return state
        file = self._open_next()
        self._retire(state)
        self._state = state = state._replace(file=file, size=file.size, data=None, tried=False)
        return state

    def _write(self, state: _State) -> None:
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
        self._state = _State(file, state.size + len(data), seq, state.drops_told + state.drops)

    def _leave_file(self, state: _State) -> None:
        """Have the batch written to another file, with the same numbers: what of it reached this one is unknown."""
        self._retire(state)
        if state.again is not None:  # what was written again is trusted here no more than where it stood
            file, start, end = state.again
            self._unsynced.suspects[file] = (start, end)
        self._state = state._replace(file=None, size=0, data=None, tried=False, again=None)

    def _retire(self, state: _State) -> None:
        if state.file is not None:
            self._unsynced.retire(state.file, state.size)

    def _rewrite_suspect(self, state: _State) -> _State:
        """
        After a failed sync, copy what was written since the last good one to a new file.

        The kernel may have dropped those pages, and a second fsync may report success for pages that never reached the
        disk (https://lwn.net/Articles/752063/), so the old file is not trusted any more. One file at a time: each may
        be as long as a segment.
        """
        suspect, (start, end) = next(iter(self._unsynced.suspects.items()))
        end = state.size if suspect is state.file else end
        carried = b""
        with contextlib.suppress(OSError):  # unreadable now: what is missing shows as a gap in the numbers
            carried = suspect.read(start, end)
        if start == 0 and self._header():  # it was never synced, begins with its header, and the new one has its own
            carried = carried.partition(b"\n")[2]
        fresh = self._open_next()
        if suspect is not state.file:
            self._retire(state)
        data = carried + self._encode(state.batch or [], state.seq, state.drops)
        if fresh.size == 0:
            data = self._header() + data
        again = (suspect, start, end)
        self._state = state = state._replace(file=fresh, size=fresh.size, data=data, tried=False, again=again)
        self._unsynced.clear(suspect)
        return state

    # -- the disk ----------------------------------------------------------------------------------------------------

    def sync(self) -> bool:
        """Force what is written to the disk, in the calling thread; False where the disk refuses or takes too long."""
        return self._unsynced.sync(self._current, self)

    def _current(self) -> tuple[AppendFile | None, int]:
        """Return the file that is written to and how much of it is; notice where somebody removed it."""
        state = self._state
        if state.file is not None and state.file.is_deleted():
            self._is_deleted = True
        return state.file, state.size

    def close(self) -> None:
        """Drain, sync and close the file. A record that comes later opens the next one."""
        super().close()
        if wait_until_free(self._lock, WAIT):
            with self._lock:
                state = self._state
                if not state.batch:
                    self._leave_file(state)
        self.sync()

    def after_fork_in_child(self) -> None:
        """Close the inherited file: it is the parent's, and one process writes one file."""
        inherited = self._unsynced.files()
        if self._state.file is not None:
            inherited.append(self._state.file)
        for file in inherited:
            with contextlib.suppress(OSError):
                file.close()
        super().after_fork_in_child()

    @property
    def is_idle(self) -> bool:
        """Whether a drain would find nothing to do: no record, none told of as dropped, no file to be left."""
        state = self._state
        return not (self.queue or state.batch or state.data or self._has_dropped or self._unsynced.suspects)

    @property
    def waiting(self) -> int:
        """How many records are in memory only."""
        return len(self.queue) + len(self._state.batch or ())
