"""
Work that one thread does at a time, and may do for others that wait: emptying a queue, forcing files to disk.

Ctrl-C may arrive between any two bytecodes, and Python runs signal handlers and `__del__` within the work. So two rules
hold for the lock, and this file is where they are kept:

* It is taken by `with`. After `acquire(timeout=…)`, an interrupt before the next bytecode would leave it taken.
* The block contains a call, and neither a loop nor an `if` in one: CPython 3.13 may skip the end of such a block at
  Ctrl-C (https://github.com/python/cpython/issues/130279).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

#: How long one call waits for work that another thread is doing, in seconds.
WAIT = 1.0

#: How often a thread that waits only yields to others, before it sleeps.
_YIELDS = 50


class Turn:
    """
    The right to do one kind of work.

    A thread that is within its own work already, in a signal handler or `__del__`, must not wait for itself: it asks
    `is_mine` first.
    """

    __slots__ = ("_after", "_stalled_at", "again", "begun", "covered", "lock", "owner", "steps")

    def __init__(self) -> None:
        self.lock = threading.Lock()  # others only look whether it is taken
        self.owner = 0
        #: Set within the work by its own thread: there is more to do since.
        self.again = False
        #: See `and_then`: for a signal handler, which cannot wait for the end of the work.
        self._after: Callable[[], None] | None = None
        #: The number of the last work that was begun, and of the last that covers everything before it.
        self.begun = self.covered = 0
        #: The number of parts of the work that were tried so far: while it grows, the work makes progress.
        self.steps = 0
        self._stalled_at = -1  # `steps` when a thread waited in vain

    def is_mine(self) -> bool:
        """Whether the calling thread is within this work."""
        return self.owner == threading.get_ident() and self.lock.locked()

    def and_then(self, call: Callable[[], None]) -> bool:
        """Have *call* made as soon as this thread's work is done; False if it is not within it."""
        if not self.is_mine():
            return False
        self._after = call
        return True

    def wait(self, since: int) -> bool:
        """
        Wait until the turn is free, or work that began after number *since* has covered the caller's.

        The second matters: one of two threads that write in every call would find the lock taken nearly always.

        Returns:
            False if neither came within a second. Without a step in it, the work is stalled from then on.
        """
        steps, deadline = self.steps, time.monotonic() + WAIT
        looks = 0
        while self.lock.locked() and self.covered <= since:
            if time.monotonic() > deadline:
                self.note_stalled(steps)
                return False
            # One record is written in some microseconds, so at first this thread only yields.
            looks += 1
            time.sleep(0 if looks <= _YIELDS else 0.0005)
        return True

    def note_stalled(self, steps: int) -> None:
        """Note that a thread gave up waiting for this work, if that is still at *steps*."""
        if steps == self.steps:
            self._stalled_at = steps

    def is_stalled(self) -> bool:
        """Whether the current step takes so long that a thread gave up waiting for it."""
        return self._stalled_at == self.steps and self.lock.locked()

    def take(self, work: Callable[[], bool], *, covers: bool = False) -> bool:
        """
        Do *work* as the only thread, and return its result.

        Args:
            covers: Where *work* returns True, it has done the work of all who asked before.
        """
        me = threading.get_ident()
        with self.lock:
            try:
                self.owner = me  # at once, with no call before it: a signal handler would wait for its own thread
                self.again = False
                self.begun = number = self.begun + 1
                done = work()
                if done and covers:
                    self.covered = number
            finally:
                self.owner = 0
        if self._after is not None:
            after, self._after = self._after, None
            after()
        return done
