"""
The queue of records for the targets of an AsyncHandler, and the thread that empties it.

Each queue has a thread of its own, named `refunc-handlers`, so that a target that hangs delays only itself. While that
thread runs, no other thread calls a target, so a thread that waits for it (`flush`, ERROR, a full buffer, the exit) can
give up. Records are passed on in the call only if no thread can run, as at interpreter shutdown.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from refunc.logging.handlers.ends import finish_at_exit, seconds_left
from refunc.logging.handlers.origin import Origin, is_in_target, origin
from refunc.outlets import pump
from refunc.outlets.count import Count
from refunc.processes import lifetime

THREAD = "refunc-handlers"

#: Seconds that a call waits for a target that takes no record in that time.
CALL_WAIT = 1.0


class Wrapper(Protocol):
    """The handler with targets that a queue serves."""

    def pass_on(self, record: logging.LogRecord, before: Origin) -> None:
        """Give *record* to each target; raises only exceptions that end a thread."""

    def flush_targets(self) -> None:
        """Flush each target."""

    def abandon(self) -> None:
        """Keep the exit from waiting for the target that hangs."""

    def say(self, message: str, *args: object) -> None:
        """Log *message* once where a user sees it, but never to the targets."""


class _Mark:
    """An item that marks a position: it is taken when all items before it are passed on."""

    def __init__(self, *, flush: bool) -> None:
        self.flush = flush
        self.pending = threading.Lock()
        self.pending.acquire()


class HandlerQueue:
    """The records that wait for one wrapper's targets. They hold the wrapper; the queue and its thread do not."""

    def __init__(self, wrapper: Wrapper, bound: int, interval: float) -> None:
        self._bound = bound
        self._interval = interval
        self._reset()
        self._wrapper = weakref.ref(wrapper, self._close_without_wrapper)
        self.dropped = Count()

    def _reset(self) -> None:
        self._items: deque[tuple[Wrapper, Any, Origin]] = deque()
        self._thread: threading.Thread | None = None
        self._wake = threading.Lock()  # released to wake the thread. A lock, because a signal handler may log
        self._wake.acquire()
        self._armed = False  # whether the thread knows that something waits
        self._urgent = False
        self._closing = False
        self._steps = 0  # while it grows, the targets make progress
        self._busy = False
        self._stalled_at = -1  # `_steps` when a thread waited in vain
        self._given_up = False

    # -- any thread --------------------------------------------------------------------------------------------------

    def put(self, wrapper: Wrapper, record: logging.LogRecord) -> None:
        """Queue *record* for at most the interval; if it is an ERROR or the process ends, only for this call."""
        if self._given_up:
            self.dropped.add()
            return
        self._closing = False
        self._items.append((wrapper, record, origin()))
        if not self._armed:
            self._armed = True
            if not self._is_served():
                self._empty()
                return
            self._notify()
        if record.levelno >= logging.ERROR or pump.is_closed():
            self.flush(wrapper)
        if len(self._items) > self._bound and not self._wait_for_room():
            self._shed(wrapper)

    def flush(self, wrapper: Wrapper, *, flush_targets: bool = False) -> bool:
        """
        Wait until all earlier records are passed on; with *flush_targets*, until the targets are flushed as well.

        Returns:
            False if a target took nothing for a second, and within a call of any target, which does not wait for
            others.
        """
        if is_in_target():
            self._urgent = True
            self._notify()
        if self._given_up or is_in_target() or threading.current_thread() is self._thread:
            return False
        if self._thread is None or not self._is_served():
            self._empty()
            if flush_targets:
                wrapper.flush_targets()
            return True
        mark = _Mark(flush=flush_targets)
        item = (wrapper, mark, Origin())
        self._items.append(item)
        self._urgent = True
        self._notify()
        if self._wait_while_it_moves(lambda seconds: mark.pending.acquire(timeout=seconds)):
            return True
        with suppress(ValueError, IndexError):  # it is being taken
            self._items.remove(item)
        return False

    def close(self) -> None:
        """End the thread after the records that wait; a later record starts another."""
        self._closing = True
        self._notify()

    def _close_without_wrapper(self, _: object) -> None:
        self.close()

    def _notify(self) -> None:
        try:
            self._wake.release()
        except RuntimeError:  # it is free already
            pass

    def _is_served(self) -> bool:
        if sys.is_finalizing():  # daemon threads are frozen for good
            return False
        if self._runs():
            return True
        return not pump.is_closed() and pump.start(self._start)

    def _runs(self) -> bool:
        thread = self._thread
        return thread is not None and thread.is_alive()

    def _start(self) -> bool:
        if self._runs():  # another call started it meanwhile
            return True
        finish_at_exit(self)
        self._thread = threading.Thread(target=self._run, name=THREAD, daemon=True)
        return lifetime.start(self._thread)

    def _wait_for_room(self) -> bool:
        self._urgent = True
        self._notify()
        if is_in_target():
            return len(self._items) < 2 * self._bound
        return self._wait_while_it_moves(self._has_room)

    def _has_room(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while len(self._items) > self._bound:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.0005)
        return True

    def _wait_while_it_moves(self, wait: Callable[[float], bool]) -> bool:
        """Call *wait* until it succeeds, as long as records are taken; if a target hangs, only once."""
        while True:
            steps = self._steps
            if wait(0.0 if self._stalled_at == steps and self._busy else CALL_WAIT):
                return True
            if steps == self._steps:
                self._stalled_at = steps
                return False

    def _shed(self, wrapper: Wrapper) -> None:
        """Drop the newest record: the target hangs, and memory is bounded. ERROR records may double the bound."""
        try:
            item = self._items.pop()
        except IndexError:  # the target made progress
            return
        record = item[1]
        if isinstance(record, _Mark) or (record.levelno >= logging.ERROR and len(self._items) < 2 * self._bound):
            self._items.append(item)
            return
        self.dropped.add()
        wrapper.say(
            "%s: its buffer is full and a target hangs; newer records are dropped, and counted in `dropped`, until it "
            "takes one.",
            wrapper,
        )

    # -- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        me, due = threading.current_thread(), 0.0
        while self._thread is me:  # in a child that a target forked, it is not
            if self._items and not due:
                due = time.monotonic() + self._interval
            self._wake.acquire(timeout=min(max(0.0, due - time.monotonic()), threading.TIMEOUT_MAX) if due else -1)
            if self._thread is not me:
                break
            if self._urgent or self._closing or pump.is_closed() or (due and time.monotonic() >= due):
                self._urgent = False
                due = 0.0
                self._empty()
                if self._closing and not self._items:
                    self._thread = None
                    if self._items:  # put meanwhile, while there still was a thread
                        self._thread = me
        self._notify()  # another thread may have started meanwhile, and this one has taken its wake-up

    def _empty(self) -> None:
        """Pass on the records that are in the queue now."""
        self._armed = False  # first, so that later records notify again
        for _ in range(len(self._items)):
            try:
                wrapper, item, before = self._items.popleft()
            except IndexError:  # dropped, or given up at exit
                return
            self._busy = True
            try:
                if not isinstance(item, _Mark):
                    wrapper.pass_on(item, before)
                    continue
                if item.flush:
                    wrapper.flush_targets()
                item.pending.release()
            except BaseException:
                if threading.current_thread() is not self._thread:
                    raise
                self.dropped.add()  # a target's SystemExit ends no thread that others rely on
            finally:
                self._busy = False
                self._steps += 1

    # -- exit and fork -----------------------------------------------------------------------------------------------

    def hurry(self) -> Callable[[], None]:
        """Make the thread pass on all waiting records at exit; return the call that waits for it."""
        wrapper = self._items[0][0] if self._items else self._wrapper()
        if wrapper is None or self._given_up or not self._runs():
            return lambda: None
        mark = _Mark(flush=False)
        self._items.append((wrapper, mark, Origin()))
        self._notify()

        def finish() -> None:
            if not mark.pending.acquire(timeout=seconds_left()):
                self._give_up(wrapper)

        return finish

    def _give_up(self, wrapper: Wrapper) -> None:
        self._given_up = True
        count = sum(not isinstance(item, _Mark) for _, item, _ in tuple(self._items)) + self._busy
        self._items.clear()
        wrapper.abandon()
        if count:
            wrapper.say(
                "%s: %d records were not passed on before the process ended, because it takes them too slowly.",
                wrapper,
                count,
            )

    def after_fork_in_child(self) -> None:
        """Forget the parent's records and thread."""
        self._reset()
