"""
The two threads of a process that writes: `refunc-writer` drains every outlet, `refunc-sync` forces files to disk.

Both start with the first record, are daemons, and have one owner, this module. At exit the remaining queues are
drained in the exiting thread: no thread is started there (Python 3.12 refuses it), none is waited for for long.
A forked child has neither thread; its first record starts its own.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
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

    def serve(self, outlet: Outlet) -> bool:
        if self.closed or not self.start():
            return False
        self.outlets[id(outlet)] = outlet
        return True

    def start(self) -> bool:
        """Start the threads that do not run; False where that is impossible or under way further up this stack."""
        if self._are_running():
            return True
        with self.lock:
            if self.starting:
                return False
            if self._are_running():  # by another thread, while this one waited
                return True
            try:
                self.starting = True
                _install_process_hooks()
                self._start_thread("refunc-writer", self._write_loop)
                self._start_thread("refunc-sync", self._sync_loop)
            except RuntimeError:  # at interpreter shutdown, and in subinterpreters that refuse daemon threads
                return False
            finally:
                self.starting = False
        return True

    def _are_running(self) -> bool:
        return len(self.threads) == 2 and all(thread.is_alive() for thread in self.threads.values())

    def _start_thread(self, name: str, target: Callable[[], None]) -> None:
        thread = self.threads.get(name)
        if thread is None or not thread.is_alive():
            self.threads[name] = thread = threading.Thread(target=target, name=name, daemon=True)
            thread.start()

    def _write_loop(self) -> None:
        while not self.stop.acquire(timeout=POLL):
            now = time.monotonic()
            for outlet in tuple(self.outlets.values()):
                if now >= outlet.drain_due:
                    outlet.drain_due = now + outlet.interval - POLL / 2
                    _contained(outlet.drain)
        self.stop.release()

    def _sync_loop(self) -> None:
        while not self.stop.acquire(timeout=SYNC_INTERVAL):
            for outlet in tuple(self.outlets.values()):
                _contained(outlet.sync)
        self.stop.release()

    def close(self) -> None:
        """Drain and sync everything in the calling thread; later records are written in their calls."""
        self.closed = True
        for outlet in tuple(self.outlets.values()):
            outlet.high_water = 0
            _contained(outlet.flush)
            _contained(outlet.sync)
        if self.threads and self.stop.locked():
            self.stop.release()
            for thread in self.threads.values():
                if thread.is_alive():
                    thread.join(JOIN)


_pump = _Pump()
_hooks_installed = False


def serve(outlet: Outlet) -> bool:
    """Have the writer and sync threads look after *outlet*; False where there can be no threads (any more)."""
    return _pump.serve(outlet)


def is_closed() -> bool:
    """Whether the process is exiting, so that every record is written in its call."""
    return _pump.closed


def dismiss(outlet: Outlet) -> None:
    """Stop looking after *outlet*."""
    _pump.outlets.pop(id(outlet), None)


def _contained(call: Callable[[], object]) -> None:
    """Run *call* so that nothing it raises ends a thread that serves other outlets too, or an exit."""
    try:
        call()
    except Exception:
        logging.getLogger("refunc.journal").exception(
            "refunc: a background write failed unexpectedly; please report this."
        )


def at_exit(call: Callable[[], None]) -> None:
    """Run *call*, which can be taken up again where it was interrupted, to its end: Ctrl-C at exit loses nothing."""
    for _ in range(5):
        try:
            _contained(call)
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
