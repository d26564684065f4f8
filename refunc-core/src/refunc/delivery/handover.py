"""
The training's side of delivery: handing integrations to the delivery process, supervising it, and waiting at exit.

`attach` starts the process, which takes some milliseconds once per training, and gives it the integration. The daemon
thread `refunc-delivery` does the rest: it restarts the process if it died. After that, each integration gets a process
of its own, so that one that kills its process does not stop the others. A process that dies repeatedly without
progress is restarted at increasing intervals.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from refunc.delivery import begun, patience
from refunc.delivery.courier import Courier
from refunc.delivery.pipe import Attachment, Process
from refunc.delivery.restarts import FIRST_RESTART, LAST_RESTART, Restarts
from refunc.delivery.trouble import Trouble
from refunc.delivery.waiting import health_at
from refunc.outlets.backoff import Backoff
from refunc.outlets.foreign import own_logger
from refunc.plugins.integration import Health, Passport, health_of
from refunc.processes import lifetime, own_process
from refunc.processes.forks import in_child
from refunc.values import settings

#: Seconds between two checks for processes that died or are due to start; new attachments are handed over at once.
_TICK = 0.25
#: Seconds for Python to start in a process; and the number of failed starts in a row after which threads deliver.
BEGIN, MOST_NOT_BEGUN = 60.0, 3
#: Seconds between two checks of the state of delivery.
LOOK = 5.0

own_log = own_logger("refunc.delivery")


class _Handover:
    """The state of this process's side; replaced in a forked child, which does not deliver."""

    def __init__(self) -> None:
        self.given: list[Attachment] = []
        self.queue: deque[Attachment] = deque()
        self.processes: list[Process] = []
        self.couriers: dict[str, Courier] = {}
        self.restarts = Restarts()
        self.trouble = Trouble()
        #: By key, for couriers.
        self.integrations: dict[str, Any] = {}
        #: When to try again after a process could not be started.
        self.start_at = 0.0
        self.start_backoff = Backoff(FIRST_RESTART, LAST_RESTART)
        self.not_begun = 0
        self.has_no_process = False
        self.said: set[str] = set()
        self.thread: threading.Thread | None = None
        self.lock = threading.RLock()  # re-entrant: a signal handler may log a run's first record
        self.is_at_work = False
        self.is_closed = False

    def attach(self, attachment: Attachment, integration: Any) -> None:
        self.given.append(attachment)
        self.integrations.setdefault(attachment.passport.key, integration)
        self.queue.append(attachment)
        with self.lock:
            if self.thread is None and not self.is_closed:
                thread = threading.Thread(target=self._run, name="refunc-delivery", daemon=True)
                if lifetime.start(thread):
                    self.thread = thread
        # Done in the calling thread, once per run: a script may end before the thread's first turn, and from Python
        # 3.12 on neither threads nor processes can be started at exit.
        self._try_to_work()

    def _run(self) -> None:
        look_at = time.monotonic() + LOOK
        while not self.is_closed:
            self._try_to_work()
            if time.monotonic() >= look_at:
                self.look()
                look_at = time.monotonic() + LOOK
            time.sleep(_TICK)

    def look(self) -> None:
        """Warn of problems of delivery; couriers in this process log their own."""
        self.trouble.look([each for each in tuple(self.given) if each.passport.key not in self.couriers])

    def work_if_alone(self) -> None:
        """Do the work of the thread `refunc-delivery` in the calling thread, if that thread does not run."""
        if self.thread is None or not self.thread.is_alive():
            self._try_to_work()

    def _try_to_work(self) -> None:
        try:
            self.work()
        except RuntimeError:  # at interpreter shutdown, see `attach`: `refunc sync` delivers
            pass
        except Exception as error:  # the training continues
            self._say_once("delivery cannot be started now (%r). It will be tried again.", error)

    def _say_once(self, text: str, error: object) -> None:
        if text not in self.said:
            self.said.add(text)
            own_log.warning(text, error)

    def work(self) -> None:
        with self.lock:
            if self.is_at_work:  # called by a signal handler within it, which handles new attachments afterwards
                return
            try:
                self.is_at_work = True
                self._work()
            finally:
                self.is_at_work = False

    def _work(self) -> None:
        for _ in range(len(self.queue)):
            if self._hand_over(self.queue[0]):
                self.queue.popleft()
            else:
                self.queue.rotate(-1)
        for process in tuple(self.processes):
            if not process.is_alive():
                self._bury(process)
            elif not process.has_begun and time.monotonic() - process.started_at > BEGIN:
                process.kill()
                self._bury(process, is_foreign=True)
        self.restarts.start_due(self._start, at_once=self.is_closed)

    def _hand_over(self, attachment: Attachment) -> bool:
        """Give *attachment* to the process or courier of its integration; False if it has to be tried again."""
        key = attachment.passport.key
        if attachment.passport.options is None or self._is_threaded():
            if key not in self.couriers:
                integration = self.integrations[key]
                self.couriers[key] = Courier(attachment.passport, lambda: integration, is_guest=True)
                self.couriers[key].start()
            self.couriers[key].deliver(attachment.folder)
            return True
        if self.restarts.join(attachment):
            return True
        own = [process for process in self.processes if any(a.passport.key == key for a in process.attachments)]
        # After a death, integrations do not share a process: a new one starts with its own.
        process = own[0] if own else next((p for p in self.processes if not self.restarts.has_deaths), None)
        if process is None:
            return self._start([attachment])
        process.give(attachment)
        return True

    def _is_threaded(self) -> bool:
        return settings.DELIVERY.choice() == "thread" or self.has_no_process or own_process.python() is None

    def _start(self, attachments: list[Attachment]) -> bool:
        """Start a process; if that fails, warn once, and try again at increasing intervals."""
        if time.monotonic() < self.start_at and not self.is_closed:
            return False
        try:
            self.processes.append(Process(attachments))
        except OSError as error:  # a limit on processes or descriptors, no memory, no such program
            self.start_at = time.monotonic() + self.start_backoff.failed()
            self._say_once(
                "delivery cannot be started now (%r). It will be tried again. Records stay in the run; "
                "`refunc sync` can deliver them.",
                error,
            )
            return False
        self.start_at = 0.0
        self.start_backoff.reset()
        return True

    def _bury(self, dead: Process, *, is_foreign: bool = False) -> None:
        """
        Plan a process of its own for each integration of one that died.

        Args:
            is_foreign: Python did not start in it within the allowed time.
        """
        self.processes.remove(dead)
        self.not_begun = 0 if dead.has_begun else self.not_begun + 1
        is_foreign |= self.not_begun > 0 and dead.ended_itself()
        dead.let_go()
        if is_foreign or self.not_begun >= MOST_NOT_BEGUN:
            self._deliver_here(dead)
            return
        self.restarts.plan(dead)

    def _deliver_here(self, dead: Process) -> None:
        """Deliver by threads from now on, because the started program is not Python, or Python does not start in it."""
        self.has_no_process = True
        self._say_once(
            "a delivery process cannot be started: %s. Threads of this process deliver instead. "
            "Set REFUNC_DELIVERY=thread to use threads from the start.",
            f"{sys.executable} ended with {dead.manner()} before Python had started in it",
        )
        self.queue.extend(dead.attachments)
        self.queue.extend(self.restarts.take_all())

    def goes_on(self, attachment: Attachment) -> bool:
        """Whether, as far as known, a process that outlives this one delivers to *attachment*."""
        return any(attachment in process.attachments for process in tuple(self.processes))

    def close(self) -> None:
        """Let delivery processes continue on their own. Couriers in this process get a moment to close."""
        self.is_closed = True
        with contextlib.suppress(Exception):  # processes that cannot be started now are left to `refunc sync`
            self.work()
        with self.lock:
            for process in self.processes:
                process.let_go()
        for courier in self.couriers.values():
            courier.stop(1.0)


_handover = _Handover()


def attach(folder: Path, integration: Any, passport: Passport) -> None:
    """Deliver the run in *folder* to *integration* from now on; returns at once."""
    attachment = Attachment(folder, passport)
    with contextlib.suppress(TypeError):  # without weak references, it does not have refunc's `health` either
        health_of[integration] = lambda: health_of_key(passport.key, passport.name)
    begun.begin(is_courier, wait_at_exit)
    _handover.attach(attachment, integration)


def is_courier() -> bool:
    """Whether the calling thread is a courier of this process."""
    thread = threading.current_thread()
    return any(courier.thread is thread for courier in [*_handover.couriers.values()])


def health_of_key(key: str, name: str) -> Health:
    """Return the progress of delivery to the integration *key*, over all runs of this process."""
    each = [health_at(a.cursor()) for a in tuple(_handover.given) if a.passport.key == key]
    if not each:
        return Health(name)
    worst = next((health.state for health in reversed(each) if health.state not in ("ok", "stopped")), each[-1].state)
    return Health(
        name,
        worst,
        sum(health.delivered for health in each),
        sum(health.waiting for health in each),
        sum(health.dead for health in each),
        next((health.last_error for health in reversed(each) if health.last_error), None),
        sum(health.aside for health in each),
    )


def wait_at_exit(tell: Callable[[str], None]) -> None:
    """
    Wait a bounded time until all records are delivered, then let the delivery process continue alone.

    Ten seconds while acknowledgements come, two without one, two in a notebook; `REFUNC_EXIT_WAIT` sets another time.
    Ctrl-C skips the wait.

    Args:
        tell: Shows a line: the integrations waited for, and the remaining records.
    """
    if not _handover.given or _handover.is_closed:
        return
    try:
        with contextlib.suppress(KeyboardInterrupt):
            patience.wait_for(_handover.given, tell, _handover.work_if_alone)
        if any(attachment.cursor().dead for attachment in _handover.given):
            _handover.look()
        patience.say_what_remains(_handover.given, tell, _handover.goes_on)
    finally:
        _handover.close()


@in_child
def _after_fork_in_child() -> None:
    global _handover
    inherited, _handover = _handover, _Handover()
    for process in inherited.processes:  # otherwise the pipe would not end with the parent
        process.let_go()
    inherited.processes.clear()
