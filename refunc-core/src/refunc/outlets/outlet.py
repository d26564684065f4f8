"""
A deque between the threads that log and something slow, and the rule for emptying it.

The calling thread appends, looks at the length, and goes on: `collections.deque` is re-entrant and needs no lock, so
a signal handler, `__del__` or a forked child may log at any point (`queue.Queue` deadlocks in all three).
Everything else happens in `drain`, under one lock, by whichever thread calls it: the writer thread every 50 ms,
`flush()`, a write-through record, or a caller that found the deque too full.

`high_water` is the one number that the hot path compares with. It is 0 until the writer thread serves this outlet,
always if `durability` asks for a write in the call, in a child process while it logs little, and again after a fork and
at exit; so one comparison covers starting the thread, writing through, back-pressure and the end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from refunc.outlets import pump
from refunc.outlets.bounded_queue import HIGH_WATER, BoundedQueue
from refunc.outlets.durability import Durability
from refunc.outlets.refusal import Refusal
from refunc.outlets.turn import WAIT, Turn

#: Seconds for which a thread whose last drain was interrupted leaves draining to others: two rounds of the pump.
STEP_BACK = 2 * pump.POLL

#: Records between two rounds of the thread that a child process writes in their calls, at some microseconds each.
MOST_IN_CALLS = 50

#: How often a drain begins again because its own thread logged within it, although the writer thread would drain too.
LOOKS = 8


class Outlet(BoundedQueue):
    """
    The shared half of everything that is written in the background: journals and log files.

    A subclass defines in `_step` how a batch is written. Attributes without an underscore are read on the hot path.
    """

    #: Seconds between two drains by the writer thread.
    interval = 0.05

    def __init__(self, *, bound: int = HIGH_WATER, durability: Durability = "async") -> None:
        self.drain_due = 0.0
        self._durability = durability
        super().__init__(bound)

    def _reset(self) -> None:
        super()._reset()
        self._turn = Turn()
        self._served = False
        self.is_closing = False  # closed, while a drain took too long to be waited for: the writer thread does the rest
        self._flushing: set[int] = set()  # threads that wait for a drain of their own; only a hint
        self._interrupted = 0  # the thread whose last drain was cut short by a signal handler that raised
        self._paced = 0  # batches tried at the last `keep_pace`
        self._refusal = Refusal()

    # -- the calling thread ------------------------------------------------------------------------------------------

    def append(self, item: Any) -> None:
        """Queue *item*. Never raises, and waits only for back-pressure. The hot path has these lines inline."""
        self.queue.append(item)
        if len(self.queue) > self.high_water:
            self.relieve()

    def write(self, item: Any) -> bool:
        """Queue *item* and drain: True if it is written on return, with everything queued before it."""
        return self.write_all((item,))

    def write_all(self, items: Iterable[Any]) -> bool:
        """Queue *items* and drain, as `write` does; no interrupt can divide the items of an iterator written in C."""
        self.queue.extend(items)
        if not self._served:
            self.relieve()
        written = self.flush(sync=self._durability == "disk")
        if not written and len(self.queue) > self._bound and (self.failing or self._turn.is_stalled()):
            self._shed()
        return written

    def relieve(self) -> None:
        """Relieve a queue above `high_water`: start the thread, write through, or apply back-pressure."""
        if not self._served and pump.serve(self):
            self._served = True
            if not pump.is_in_child():
                self._leave_to_thread()
        if len(self.queue) <= self.high_water:
            return
        if self.high_water:
            self._apply_back_pressure()
        else:
            turn = self._turn
            alone = not turn.lock.locked() and turn.take(self._write_alone) and not turn.again
            if (alone or self.drain()) and self._durability == "disk":
                self.fsync()
            if len(self.queue) > self._bound and (self.failing or self._turn.is_stalled()):
                self._shed()

    def keep_pace(self) -> None:
        """
        Choose which thread writes until the next round of the writer thread, which calls this in a child process.

        Such a process may be terminated as soon as its work is done, as the workers of `with Pool(...)` are. So its
        records are written in their calls, as long as they are few; if there are many, they wait for the next round.
        """
        steps, self._paced = self._turn.steps - self._paced, self._turn.steps
        if max(steps, len(self.queue)) > MOST_IN_CALLS or self.failing or self._turn.is_stalled():
            self._leave_to_thread()
        else:
            self.high_water = 0

    def _leave_to_thread(self) -> None:
        if self._served and self._durability == "async":
            self.high_water = self._bound
            # Meanwhile, the process began to exit, the last run ended, or another thread closed this: the writer thread
            # drains no more.
            if pump.is_closed() or not self._served:
                self.high_water = 0
            elif not pump.is_running():
                self.rest()

    def flush(self, *, sync: bool = False) -> bool:
        """
        Write everything that was appended before this call; with *sync*, force it to disk as well.

        Returns:
            False if that was not done: the disk refuses, another thread's drain takes longer than a second, or this
            thread is in a drain already (in a signal handler or `__del__`), which then looks again.
        """
        me = threading.get_ident()
        try:
            self._flushing.add(me)
            return self.drain(force=True) and (not sync or self.fsync())
        finally:
            self._flushing.discard(me)

    def drain(self, *, limit: int | None = None, force: bool = False) -> bool:
        """
        Empty the deque of its current records, or of *limit* batches; True if that was done.

        Args:
            force: Try even if the last attempt failed a moment ago.
        """
        turn = self._turn
        if turn.is_mine():
            turn.again = True
            return False
        if not force and (time.monotonic() < self._refusal.retry_at or turn.is_stalled()):
            return False
        begun = turn.begun
        if self._interrupted == threading.get_ident() and self._left_to_others(begun):
            return True
        looks = 0
        while True:
            looks += 1
            if not turn.wait(begun):
                return False
            if turn.covered > begun:  # another thread's drain, begun after this call, wrote for this one as well
                return True
            done = turn.take(partial(self._drain_owned, limit), covers=limit is None)
            if not (turn.again and done):
                return done
            # A signal handler or `__del__` wrote through meanwhile, and left it to this thread. If that happens all the
            # time while other threads log, it would never end: then the writer thread goes on.
            if looks >= LOOKS and self._served and not pump.is_closed():
                return True
            begun = turn.begun
            limit = None

    def _left_to_others(self, begun: int) -> bool:
        """
        Give the writer thread, which no signal interrupts, time for a drain; True if there was one after *begun*.

        If signals come faster than a batch is encoded, this thread would begin it again and again, and hold the lock
        nearly always: nothing would be written, and memory would fill.
        """
        deadline = time.monotonic() + STEP_BACK
        turn = self._turn
        while turn.covered <= begun and self._served and not pump.is_closed() and time.monotonic() < deadline:
            time.sleep(0.0005)
        return turn.covered > begun

    def fsync(self) -> bool:
        """Force the written records to the disk; True if that was done. Outlets without a file do nothing."""
        return True

    def finish(self) -> None:
        """Finish the process's work, once everything is drained and fsynced."""

    def rest(self) -> None:
        """Expect the writer thread no more; the next record starts it again. Waiting records are written here."""
        self.high_water = 0
        self._served = False
        self.flush()

    def close(self) -> None:
        """Drain, and leave the writer thread; if a drain hangs, when that is over. A later record starts it again."""
        self.high_water = 0
        while (is_drained := self.flush()) and self._turn.again:  # a drain may leave records to the writer thread
            continue
        self.is_closing = self._served = not (is_drained or self.failing) and pump.serve(self)
        if not self.is_closing:
            pump.dismiss(self)
        self.high_water = 0  # overrides a choice of the thread

    def after_fork_in_child(self) -> None:
        """Forget the parent's queue, locks and files. Called by the pump, in the child, before anything logs there."""
        self._reset()

    @property
    def is_idle(self) -> bool:
        """Whether a drain would find nothing to do; the threads call this 20 times a second for each outlet."""
        return not self.queue

    def after_writing(self, call: Callable[[], None]) -> bool:
        """
        Have *call* made as soon as this thread's drain is done; False if it is not in one.

        A signal handler in the middle of a drain cannot write: the drain goes on only when the handler returns.
        """
        return self._turn.and_then(call)

    @property
    def failing(self) -> bool:
        """Whether the last attempt to write failed."""
        return self._refusal.retry_at > 0

    @property
    def refused(self) -> int:
        """The number of records that are only in memory because the disk refuses them, or hangs."""
        return self.waiting if self.failing or self._turn.is_stalled() else 0

    def _apply_back_pressure(self) -> None:
        """Return when the queue is below its bound: drain if no thread does; drop only if no drain makes progress."""
        turn = self._turn
        steps, deadline = turn.steps, time.monotonic() + WAIT
        polite = bool(self._flushing)
        while len(self.queue) > self._bound:
            if turn.is_mine():
                turn.again = True  # this is a signal handler within the drain, which goes on afterwards
                return
            if time.monotonic() < self._refusal.retry_at or turn.is_stalled():
                self._shed()
                return
            if not (polite or turn.lock.locked()):
                if self.drain(limit=1):
                    return
                continue
            polite = False
            if steps != turn.steps:
                steps, deadline = turn.steps, time.monotonic() + WAIT
            elif time.monotonic() > deadline:
                turn.note_stalled(steps)
            time.sleep(0.0005)

    # -- within the turn --------------------------------------------------------------------------------------------

    def _drain_owned(self, limit: int | None) -> bool:
        remaining = self.waiting
        steps = 0
        self._interrupted = threading.get_ident()
        try:
            while count := self._step():
                self._turn.steps += 1
                if self.failing:
                    self._refusal.ended(self, self.dropped)
                remaining -= count
                steps += 1
                if steps == limit or remaining <= 0:
                    break
            self._settle()
        except Exception as error:  # an invalid path, no memory: a logging call may not raise any of it
            self._turn.steps += 1
            self._refusal.failed(self, error, self._bound)
            done = False
        else:
            done = True
        self._interrupted = 0
        return done

    def _settle(self) -> None:
        """Do the work that was postponed while records were written alone."""

    def _step(self) -> int:
        """
        Take one batch from the queue and write it; return the number of its records, 0 if nothing is left.

        Raises:
            OSError: It cannot be written now. The batch is kept and comes first at the next step.
        """
        raise TypeError(f"{type(self).__name__} does not say how its records are written.")

    def _write_alone(self) -> bool:
        """Write the only queued record, if that needs no whole drain; False leaves it, or the rest of it, to one."""
        return False
