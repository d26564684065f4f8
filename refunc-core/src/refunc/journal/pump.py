"""
The threads of a process that writes: `refunc-writer` drains what becomes files, `refunc-sync` forces it to disk, and
`refunc-handlers` drains what goes to somebody else's handlers, which may take seconds and keep no file waiting.

An outlet says which thread drains it, and its first record starts it. All are daemons, and have one owner, this module.
At exit what becomes files is drained in the exiting thread: no thread is started there (Python 3.12 refuses it), none
is waited for for long. What goes to handlers is left to their thread, for one that hangs must not hold up the exit.
A forked child has none of the threads; its first record starts its own.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from refunc.journal.outlet import Outlet

#: Seconds between two rounds of the writer thread: an unwritten record is older than that only by a drain's time.
POLL = 0.05
#: Seconds between two rounds of the sync thread: what a power cut may cost.
SYNC_INTERVAL = 1.0
#: Seconds that closing waits for each thread.
JOIN = 1.0
#: Seconds that closing waits for handlers to take what is theirs.
HANDLERS_JOIN = 10.0

WRITER, SYNC, HANDLERS = "refunc-writer", "refunc-sync", "refunc-handlers"

report = logging.getLogger("refunc.journal")


class _Pump:
    """The threads and what they serve. One instance a process, replaced in a forked child."""

    def __init__(self) -> None:
        self.outlets: dict[int, Outlet] = {}
        self.closed = False
        self.lock = threading.RLock()  # re-entrant: a signal handler may log its first record while this is held
        self.stop = threading.Lock()
        self.stop.acquire()
        self.threads: dict[str, threading.Thread] = {}
        self.starting = False
        self.handlers_deadline = 0.0
        self.handlers_done = threading.Event()

    def serve(self, outlet: Outlet) -> bool:
        if self.closed or not self.start(outlet.served_by):
            return False
        self.outlets[id(outlet)] = outlet
        return True

    def start(self, drainer: str) -> bool:
        """Start what outlets of *drainer* need and does not run; False where that cannot be, or is under way below."""
        if self._is_running(drainer):
            return True
        with self.lock:
            if self.starting:
                return False
            if self._is_running(drainer):  # by another thread, while this one waited
                return True
            try:
                self.starting = True
                _install_process_hooks()
                if drainer == WRITER:
                    self._start_thread(SYNC, self._sync_loop)
                self._start_thread(drainer, partial(self._drain_loop, drainer))
            except RuntimeError:  # at interpreter shutdown, and in subinterpreters that refuse daemon threads
                return False
            finally:
                self.starting = False
        return True

    def _is_running(self, drainer: str) -> bool:
        names = (SYNC, WRITER) if drainer == WRITER else (drainer,)
        return all(name in self.threads and self.threads[name].is_alive() for name in names)

    def _start_thread(self, name: str, target: Callable[[], None]) -> None:
        thread = self.threads.get(name)
        if thread is None or not thread.is_alive():
            self.threads[name] = thread = threading.Thread(target=target, name=name, daemon=True)
            thread.start()

    def _served_by(self, drainer: str) -> list[Outlet]:
        return [outlet for outlet in tuple(self.outlets.values()) if outlet.served_by == drainer]

    def _drain_loop(self, drainer: str) -> None:
        while not self.stop.acquire(timeout=POLL):
            now = time.monotonic()
            for outlet in self._served_by(drainer):
                if now >= outlet.drain_due and not outlet.is_idle:
                    outlet.drain_due = now + outlet.interval - POLL / 2
                    _contained(outlet.drain, outlet, "draining it")
        self.stop.release()
        if drainer == HANDLERS:
            for outlet in self._served_by(drainer):
                _contained(outlet.flush, outlet, "draining it at exit")
            self.handlers_done.set()

    def _sync_loop(self) -> None:
        while not self.stop.acquire(timeout=SYNC_INTERVAL):
            for outlet in self._served_by(WRITER):
                _contained(outlet.sync, outlet, "syncing it")
        self.stop.release()

    def close(self) -> None:
        """Drain and sync everything; later records are written in their calls."""
        self.closed = True
        for outlet in tuple(self.outlets.values()):
            outlet.high_water = 0
        for outlet in self._served_by(WRITER):
            _contained(outlet.flush, outlet, "draining it at exit")
            _contained(outlet.sync, outlet, "syncing it at exit")
        if self.threads and self.stop.locked():
            self.stop.release()
        for name, thread in self.threads.items():
            if name != HANDLERS and thread.is_alive():
                thread.join(JOIN)
        still_busy = self._wait_for_handlers()
        for outlet in self._served_by(HANDLERS):
            if still_busy:
                _give_up(outlet)
            else:  # what came behind the thread's last look
                _contained(outlet.flush, outlet, "draining it at exit")

    def _wait_for_handlers(self) -> bool:
        """Wait until their thread has drained all that is theirs; True if it was too slow, or somebody hit Ctrl-C."""
        thread = self.threads.get(HANDLERS)
        if thread is None or not thread.is_alive():
            return False
        self.handlers_deadline = self.handlers_deadline or time.monotonic() + HANDLERS_JOIN
        try:
            # No join(): up to Python 3.12 one that Ctrl-C interrupts takes a running thread for ended.
            return not self.handlers_done.wait(max(0.0, self.handlers_deadline - time.monotonic()))
        except KeyboardInterrupt:  # `at_exit` comes back
            self.handlers_deadline = time.monotonic()
            raise


_pump = _Pump()
_hooks_installed = False


def serve(outlet: Outlet) -> bool:
    """Have the threads look after *outlet*; False where there can be none (any more)."""
    return _pump.serve(outlet)


def is_closed() -> bool:
    """Whether the process is exiting, so that every record is written in its call."""
    return _pump.closed


def dismiss(outlet: Outlet) -> None:
    """Stop looking after *outlet*."""
    _pump.outlets.pop(id(outlet), None)


def _contained(call: Callable[[], object], whose: object, doing: str) -> None:
    """Run *call* so that nothing it raises ends a thread that serves other outlets too, or an exit."""
    try:
        call()
    except Exception:  # what is foreseen is dealt with in the call: this is a fault of ours, and is told as one
        report.exception("%s: %s failed unexpectedly; please report this.", whose, doing)


def _give_up(outlet: Outlet) -> None:
    """Drop what *outlet* still has, so that nothing else at exit waits for it, and say so."""
    count = len(outlet.queue)
    outlet.queue.clear()
    if count:
        report.warning(
            "%s: %d records were not passed on before the process ended, because it takes them too slowly.",
            outlet,
            count,
        )


def at_exit(call: Callable[[], None]) -> None:
    """Run *call*, which can be taken up again where it was interrupted, to its end: Ctrl-C at exit loses nothing."""
    for _ in range(5):
        try:
            _contained(call, "refunc", "its work at exit")
            return
        except KeyboardInterrupt:
            continue


def _install_process_hooks() -> None:
    global _hooks_installed
    processes = sys.modules.get("multiprocessing.process")
    if processes is not None and processes.parent_process() is not None:
        # Children of multiprocessing end with os._exit, past atexit; their own finalizers run, ours behind the user's.
        from multiprocessing import util

        util.Finalize(None, _close, exitpriority=-1_000)
    if _hooks_installed:
        return
    _hooks_installed = True
    atexit.register(_close)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_after_fork_in_child)


def _close() -> None:
    at_exit(_pump.close)


def _after_fork_in_child() -> None:
    global _pump
    inherited, _pump = _pump, _Pump()
    for outlet in inherited.outlets.values():
        outlet.after_fork_in_child()
