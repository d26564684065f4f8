"""
The threads of a process that writes: `refunc-writer` drains outlets into files, `refunc-fsync` forces the files to
disk.

The first record of an outlet starts them. Both are daemons, and have one owner, this module.
They end with the last run, in `rest`, and start again with the next record.
At exit the exiting thread drains all outlets: no thread is started there (see `lifetime`), and none is waited for for
long. Work that comes after that is in `behind_files`, so that nothing slow delays a file. A forked child does not have
the threads; its first record starts its own.
"""

from __future__ import annotations

import atexit
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from refunc.outlets.foreign import own_logger
from refunc.processes import lifetime, own_process
from refunc.processes.forks import at_fork
from refunc.processes.parent import at_child_end, has_parent
from refunc.processes.starters import is_ray_worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from refunc.outlets.outlet import Outlet

#: Seconds between two rounds of the writer thread: an unwritten record is older than that only by a drain's time.
POLL = 0.05
#: Seconds between two rounds of the fsync thread: the records that a power cut may cost.
SYNC_INTERVAL = 1.0
#: Seconds that closing waits for each thread, and that the end of the last run does.
JOIN, REST_JOIN = 1.0, 0.2

WRITER, FSYNC = "refunc-writer", "refunc-fsync"

#: Further work at exit, when all files are written, from other modules that have threads of their own.
behind_files: list[Callable[[], None]] = []

own_log = own_logger("refunc.journal")


class PumpThread(threading.Thread):
    """A thread of the pump. Lightning's test suite stops daemons that a test has left, if they have a `stop`."""

    def stop(self) -> None:
        """End the threads, as at the end of the last run: the next record starts them again."""
        rest()
        if self is not threading.current_thread():
            self.join(JOIN)


class _Pump:
    """
    The threads and the outlets that they serve. One instance per process, replaced in a forked child.

    Its locks are made on first use, as its threads are. If gevent replaces those of `threading` after this module was
    imported, it replaces both. A thread of one kind that waits for a lock of the other kind would stop the process for
    ever.
    """

    def __init__(self, *, is_forked: bool = False) -> None:
        # Iterated as a list: up to Python 3.11, `tuple(…)` may collect garbage in its midst, and a finalizer may log.
        self.outlets: dict[int, Outlet] = {}
        self.closed = False
        self.is_forked = is_forked
        self.locks: dict[str, Any] = {}
        self.threads: dict[str, threading.Thread] = {}
        self.starting = False

    @property
    def lock(self) -> threading.RLock:
        """Held while threads are started; re-entrant, because a signal handler may log its first record then."""
        lock: threading.RLock = self.locks.get("start") or self.locks.setdefault("start", threading.RLock())
        return lock

    @property
    def stop(self) -> threading.Lock:
        """Free when the threads are to end."""
        if "stop" not in self.locks:
            lock = threading.Lock()
            lock.acquire()
            self.locks.setdefault("stop", lock)
        stop: threading.Lock = self.locks["stop"]
        return stop

    def serve(self, outlet: Outlet) -> bool:
        if self.closed:
            return False
        self.outlets[id(outlet)] = outlet  # without a thread, it is still fsynced at exit; and before `rest` looks
        return self.start()

    def start(self) -> bool:
        """Start the threads that do not run; False if that is impossible, or if a caller is already doing so."""
        return self.is_running or self.begin(self._start_both)

    def begin(self, start: Callable[[], bool]) -> bool:
        """
        Call *start* to start threads, one such call at a time; False if that is impossible, or if a caller is
        already doing so.
        """
        with self.lock:
            if self.starting:
                return False
            try:
                self.starting = True
                _install_process_hooks()
                return start()
            finally:
                self.starting = False

    def _start_both(self) -> bool:
        for name, loop in ((FSYNC, self._fsync_loop), (WRITER, self._drain_loop)):
            if not self._is_running(name):  # or another thread started it while this one waited
                thread = PumpThread(target=loop, args=(self.stop,), name=name, daemon=True)
                self.threads[name] = thread
                if not lifetime.start(thread):
                    return False
        return True

    @property
    def is_running(self) -> bool:
        return self._is_running(FSYNC) and self._is_running(WRITER)

    def _is_running(self, name: str) -> bool:
        return name in self.threads and self.threads[name].is_alive()

    def _drain_loop(self, stop: threading.Lock) -> None:
        while not stop.acquire(timeout=POLL):
            _contained(self._drain_due, "refunc", "a round of its writer thread")
        stop.release()

    def _drain_due(self) -> None:
        now = time.monotonic()
        in_child = is_in_child()
        for outlet in [*self.outlets.values()]:
            _contained(partial(_work, outlet, now, in_child), outlet, "its round")

    def _fsync_loop(self, stop: threading.Lock) -> None:
        is_last = False
        while not is_last:
            is_last = stop.acquire(timeout=SYNC_INTERVAL)
            if is_last:
                stop.release()  # the writer thread ends without waiting for the disk
            for outlet in [*self.outlets.values()]:
                _contained(outlet.fsync, outlet, "syncing it")

    def rest(self) -> None:
        """End the threads until the next record, unless something waits for the disk."""
        outlets = [*self.outlets.values()]
        if not all(not outlet.is_closing and outlet.flush() and outlet.is_idle for outlet in outlets):
            return
        with self.lock:
            if self.closed or self.starting or not self.threads:
                return
            # In this order: an outlet that is given to the threads meanwhile finds none, or is found here.
            threads, self.threads = self.threads, {}
            stop = self.locks.pop("stop")
        try:
            # Without the lock: an outlet that another thread is draining may wait for it, to have others served.
            for outlet in [*self.outlets.values()]:
                outlet.rest()
        finally:
            stop.release()
        for thread in threads.values():
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join(REST_JOIN)

    def close(self) -> None:
        """Drain and fsync everything; later records are written in their calls."""
        self.closed = True
        for outlet in [*self.outlets.values()]:
            outlet.high_water = 0
        for outlet in [*self.outlets.values()]:
            _contained(outlet.flush, outlet, "draining it at exit")
            _contained(outlet.fsync, outlet, "syncing it at exit")
        for outlet in [*self.outlets.values()]:
            _contained(outlet.finish, outlet, "finishing it at exit")
        if self.threads and self.stop.locked():
            self.stop.release()
        for thread in [*self.threads.values()]:
            if thread.is_alive():
                thread.join(JOIN)


_pump = _Pump()
_hooks_installed = False


def serve(outlet: Outlet) -> bool:
    """Have the threads serve *outlet*; False if there can be none (any more)."""
    return _pump.serve(outlet)


def start(call: Callable[[], bool]) -> bool:
    """
    Let *call* start threads of another module, which ends them in `behind_files`; False if there can be none.

    One call at a time. It checks itself whether they already run, and starts them with `lifetime.start`.
    """
    return not _pump.closed and _pump.begin(call)


def is_closed() -> bool:
    """Whether the process is exiting, so that every record is written in its call."""
    return _pump.closed


def is_running() -> bool:
    """Whether the threads run."""
    return _pump.is_running


def rest() -> None:
    """End the threads, since no run is open any more; the next record of any outlet starts them again."""
    _contained(_pump.rest, "refunc", "the end of its threads")


def is_in_child() -> bool:
    """Whether this process is another one's child, which may end it as soon as its work is done, before any round."""
    return _pump.is_forked or has_parent() or is_ray_worker()


def dismiss(outlet: Outlet) -> None:
    """Stop serving *outlet*."""
    _pump.outlets.pop(id(outlet), None)


def _work(outlet: Outlet, now: float, in_child: bool) -> None:
    """Do the writer thread's work for *outlet* in one round."""
    if in_child:
        outlet.keep_pace()
    if now >= outlet.drain_due and not outlet.is_idle:
        outlet.drain_due = now + outlet.interval - POLL / 2
        outlet.drain()
    if outlet.is_closing and outlet.is_idle:
        outlet.close()


def _contained(call: Callable[[], object], whose: object, doing: str) -> None:
    """Run *call* so that its errors do not end a thread that serves other outlets too, or an exit."""
    try:
        call()
    except Exception:  # the call handles expected errors: this is a bug of ours, and is reported as one
        own_log.exception("%s: %s failed unexpectedly; please report this.", whose, doing)


def at_exit(call: Callable[[], None]) -> None:
    """Run *call*, which can be resumed after an interrupt, to its end: Ctrl-C at exit does not lose records."""
    for _ in range(5):
        try:
            _contained(call, "refunc", "its work at exit")
            return
        except KeyboardInterrupt:
            continue


def _install_process_hooks() -> None:
    global _hooks_installed
    if sys.is_finalizing():  # the hooks have run
        return
    own_process.end_if_mistaken_for_python()  # before it has written a file
    at_child_end(_close, priority=-1_000)  # after the user's own finalizers
    if _hooks_installed:
        return
    _hooks_installed = True
    atexit.register(_close)
    at_fork(before=_before_fork, after_in_child=_after_fork_in_child)


def _close() -> None:
    at_exit(_pump.close)
    for call in tuple(behind_files):
        at_exit(call)


def _before_fork() -> None:
    """Write waiting records, if the disk takes them: a faster child would take the names of log files."""
    for _ in range(2):  # records of one outlet may go to another one
        for outlet in [*_pump.outlets.values()]:
            if not outlet.is_idle:
                _contained(outlet.drain, outlet, "draining it before a fork")


def _after_fork_in_child() -> None:
    global _pump
    inherited, _pump = _pump, _Pump(is_forked=True)
    for outlet in inherited.outlets.values():
        outlet.after_fork_in_child()
