"""
A deque between the threads that log and one slow thing behind them, and the rule by which it is emptied.

The calling thread appends, looks at the length, and goes on: `collections.deque` is re-entrant and needs no lock, so
a signal handler, `__del__` or a forked child may log at any point (`queue.Queue` deadlocks in all three).
Everything else happens in `drain`, under one lock, by whichever thread calls it: the writer thread every 50 ms,
`flush()`, a write-through record, or a caller that found the deque too full.

`high_water` is the one number that the hot path compares with. It is 0 until the writer thread serves this outlet,
for ever if `durability` asks for a write in the call, and again after a fork and at exit; so one comparison covers
starting the thread, writing through, back-pressure and the end.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Literal

from refunc.journal import pump

#: Records in memory before the calling thread drains a batch itself.
HIGH_WATER = 32_768

#: How long one call waits for a drain that another thread is making, in seconds.
WAIT = 1.0

#: How often a thread that waits for a drain only lets others run, before it sleeps.
_STEPS_BACK = 50

#: How often a drain begins again because its own thread logged within it, while the writer thread would come as well.
LOOKS = 8

Durability = Literal["async", "process", "disk"]
DURABILITIES = ("async", "process", "disk")

report = logging.getLogger("refunc.journal")


def check_durability(durability: str) -> Durability:
    """Return *durability*, or raise the ValueError that names what is allowed."""
    if durability not in DURABILITIES:
        raise ValueError(f"durability: {durability!r} is not known. Allowed: {', '.join(DURABILITIES)}.")
    return durability  # type: ignore[return-value]  # checked above


class Outlet:
    """
    The shared half of everything that is written behind the training's back: journals, log files, async handlers.

    A subclass says in `_step` how a batch leaves. Attributes without an underscore are read on the hot path.
    """

    # The hot path reads these two: a slot is found at once, in a class with any number of attributes beside it.
    __slots__ = ("__dict__", "__weakref__", "high_water", "queue")

    #: The thread that drains it, and the seconds between two drains.
    served_by = pump.WRITER
    interval = 0.05

    def __init__(self, *, bound: int = HIGH_WATER, durability: Durability = "async") -> None:
        self.queue: deque[Any] = deque()
        self.high_water = 0
        self.drain_due = 0.0
        self._bound = bound
        self._durability = durability
        self._reset()

    def _reset(self) -> None:
        """Start as new, in the constructor and in a forked child: what is queued there belongs to the parent."""
        self.queue = deque()
        self.high_water = 0
        self._lock = threading.Lock()
        self._owner = 0
        self._again = False
        self._served = False
        self._flushing: set[int] = set()  # threads that wait for a drain of their own; no more than a hint
        self._begun = self._covered = 0  # the numbers of the last drain, and of the last that emptied the queue
        self._steps = 0  # batches tried so far: as long as it grows, the disk gets on
        self._stalled_at = -1  # what `_steps` was when somebody waited for nothing
        self._retry_at = 0.0
        self._retry_delay = 0.0
        self._dropped = itertools.count()
        self._has_dropped = False

    # -- the calling thread ------------------------------------------------------------------------------------------

    def append(self, item: Any) -> None:
        """Queue *item*. Never raises, never waits but for back-pressure. The hot path has these lines inline."""
        self.queue.append(item)
        if len(self.queue) > self.high_water:
            self.relieve()

    def write(self, item: Any) -> bool:
        """Queue *item* and drain: True when it is written on return, with everything that was queued before it."""
        return self.write_all((item,))

    def write_all(self, items: Iterable[Any]) -> bool:
        """Queue *items* and drain, as `write` does; no interrupt divides what an iterator written in C gives."""
        self.queue.extend(items)
        if not self._served:
            self.relieve()
        written = self.flush(sync=self._durability == "disk")
        if not written and len(self.queue) > self._bound and (self.failing or self._is_stalled()):
            self._shed()
        return written

    def relieve(self) -> None:
        """Do what a queue above `high_water` asks for: be served, write through, or press back."""
        if not self._served and pump.serve(self):
            if self._durability == "async":
                self.high_water = self._bound
            self._served = True
            if pump.is_closed():  # meanwhile, by the exiting thread: nobody drains any more
                self.high_water = 0
        if len(self.queue) <= self.high_water:
            return
        if self.high_water:
            self._press_back()
        else:
            if (self._write_alone() or self.drain()) and self._durability == "disk":
                self.sync()
            if len(self.queue) > self._bound and (self.failing or self._is_stalled()):
                self._shed()

    def flush(self, *, sync: bool = False) -> bool:
        """
        Write everything that was appended before this call; with *sync*, force it to disk as well.

        Returns:
            False where that was not done: the disk refuses, another thread's drain takes longer than a second, or
            this very thread is in a drain already (a signal handler, `__del__`): that drain looks again.
        """
        me = threading.get_ident()
        try:
            self._flushing.add(me)
            return self.drain(force=True) and (not sync or self.sync())
        finally:
            self._flushing.discard(me)

    def drain(self, *, limit: int | None = None, force: bool = False) -> bool:
        """
        Empty the deque of what is in it now, or of *limit* batches; True when that was done.

        Args:
            force: Try even if the last attempt failed a moment ago.
        """
        me = threading.get_ident()
        if self._owner == me and self._lock.locked():
            self._again = True
            return False
        if not force and (self._is_stalled() or time.monotonic() < self._retry_at):
            return False
        begun = self._begun
        looks = 0
        while True:
            looks += 1
            steps = self._steps
            if not wait_until_free(self._lock, WAIT, lambda begun=begun: self._covered > begun):  # type: ignore[misc]
                if steps == self._steps:
                    self._stalled_at = steps
                return False
            if self._covered > begun:  # another thread's drain, begun after this call, wrote for this one as well
                return True
            # `with`, no acquire(timeout): an interrupt right after acquire() returns leaves the lock taken for ever.
            with self._lock:
                try:
                    self._owner = me
                    self._again = False
                    self._begun = number = self._begun + 1
                    done = self._drain_owned(limit)
                    if done and limit is None:
                        self._covered = number
                finally:
                    self._owner = 0
            if not (self._again and done):
                return done
            # A signal handler or `__del__` wrote through meanwhile, and left it to this thread. Where they come all the
            # time while other threads log, that would never end: then the writer thread goes on.
            if looks >= LOOKS and self._served and not pump.is_closed():
                return True
            begun = self._begun
            limit = None

    def sync(self) -> bool:
        """Force what is written to the disk; True when that was done. Outlets without a file have nothing to do."""
        return True

    def close(self) -> None:
        """Drain, and leave the writer thread; a record that comes later is written in its call."""
        self.high_water = 0
        while self.flush() and self._again:  # what a drain leaves to the writer thread, which does not come any more
            continue
        pump.dismiss(self)
        self._served = False

    def after_fork_in_child(self) -> None:
        """Forget the parent's queue, locks and files. Called by the pump, in the child, before anything logs there."""
        self._reset()

    @property
    def is_idle(self) -> bool:
        """Whether a drain would find nothing to do; asked by the threads, 20 times a second for each outlet."""
        return not self.queue

    @property
    def dropped(self) -> int:
        """How many records were dropped so far."""
        # next() on an itertools.count is atomic, which `+= 1` is not. Its repr tells the number without taking it; its
        # `__reduce__` is gone from Python 3.14 on.
        return int(repr(self._dropped)[len("count(") : -1])

    @property
    def waiting(self) -> int:
        """How many records are in memory only."""
        return len(self.queue)

    @property
    def failing(self) -> bool:
        """Whether the last attempt to write failed."""
        return self._retry_delay > 0

    def _press_back(self) -> None:
        """Come back when the queue is below its bound: drain where nobody does, and drop only where nothing moves."""
        steps, deadline = self._steps, time.monotonic() + WAIT
        polite = bool(self._flushing)
        while len(self.queue) > self._bound:
            if self._owner == threading.get_ident() and self._lock.locked():
                self._again = True  # this is a signal handler within the drain, which goes on behind it
                return
            if self._is_stalled() or time.monotonic() < self._retry_at:
                self._shed()
                return
            if not (polite or self._lock.locked()):
                if self.drain(limit=1):
                    return
                continue
            polite = False
            if steps != self._steps:
                steps, deadline = self._steps, time.monotonic() + WAIT
            elif time.monotonic() > deadline:
                self._stalled_at = steps
            time.sleep(0.0005)

    def _is_stalled(self) -> bool:
        """Whether a write under way takes so long that somebody gave up waiting for it."""
        return self._stalled_at == self._steps and self._lock.locked()

    # -- under the drain lock ----------------------------------------------------------------------------------------

    def _drain_owned(self, limit: int | None) -> bool:
        remaining = self.waiting
        steps = 0
        try:
            while count := self._step():
                self._steps += 1
                if self._retry_delay:
                    self._recovered()
                remaining -= count
                steps += 1
                if steps == limit or remaining <= 0:
                    break
            self._settle()
        except Exception as error:  # a path that is none, no memory: whatever it is, no logging call may raise it
            self._steps += 1
            self._failed(error)
            return False
        return True

    def _settle(self) -> None:
        """Do what was put off while records were written alone."""

    def _step(self) -> int:
        """
        Take one batch from the queue and put it where it belongs; return how many records, 0 when nothing is left.

        Raises:
            OSError: It cannot be written now. The batch is kept and comes first at the next step.
        """
        raise TypeError(f"{type(self).__name__} does not say how its records are written.")

    def _write_alone(self) -> bool:
        """Write the one record that is queued, where that takes no whole drain; False where it was not done."""
        return False

    def _failed(self, error: Exception) -> None:
        first = not self._retry_delay
        self._retry_delay = min(30.0, self._retry_delay * 2 or 1.0)
        self._retry_at = time.monotonic() + self._retry_delay
        if first:
            report.warning(
                "%s cannot be written: %s. The training goes on; %s records are kept in memory, later ones are dropped "
                "and counted until it can be written again.",
                self,
                error,
                f"{self._bound:,}",
            )

    def _recovered(self) -> None:
        self._retry_delay = self._retry_at = 0.0
        report.info("%s is written again; %d records were dropped.", self, self.dropped)

    def _shed(self) -> None:
        """Drop the newest record that may be dropped: the disk takes none, and memory has a bound."""
        try:
            item = self.queue.pop()
        except IndexError:  # another thread drained it
            return
        if self._is_kept(item) and len(self.queue) < 2 * self._bound:
            self.queue.append(item)
        else:
            self._has_dropped = True
            next(self._dropped)

    def _is_kept(self, item: Any) -> bool:
        """Whether *item* is worth more than the bound: rare records, such as params and a run's end."""
        return False


def wait_until_free(lock: threading.Lock, seconds: float, is_done: Callable[[], bool] = bool) -> bool:
    """
    Wait until nobody holds *lock*, at most *seconds*; the caller takes it with `with` right after.

    Args:
        is_done: Whether what the caller wants the lock for was done by another thread. Without that, one of two threads
            that write in every call would find the lock taken nearly always.
    """
    deadline = time.monotonic() + seconds
    looks = 0
    while lock.locked() and not is_done():
        if time.monotonic() > deadline:
            return False
        # One record is written in some microseconds, so at first this thread only steps back.
        looks += 1
        time.sleep(0 if looks <= _STEPS_BACK else 0.0005)
    return True
