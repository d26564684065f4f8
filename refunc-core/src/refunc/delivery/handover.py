"""
The training's side of delivery: integrations handed to the delivery process, the process looked after, exit waited for.

`attach` starts the process, some milliseconds once a training, and gives it the integration. All else is done by the
thread `refunc-delivery`, a daemon: it starts the process again when that died. After a death each integration gets a
process of its own, so that the one that kills its process stops nobody else; and one whose process dies again and again
without getting on is started at ever longer intervals.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from refunc.delivery import patience
from refunc.delivery.courier import Courier
from refunc.delivery.pipe import Attachment, Process
from refunc.delivery.trouble import Trouble
from refunc.plugins.integration import Health, Passport, health_of

#: Seconds between two looks at whether a process died or is to be started; what is attached is handed over at once.
_TICK = 0.25
#: Seconds before a process that died without getting on is started again: the first time, and at most.
FIRST_RESTART, LAST_RESTART = 0.5, 60.0
#: Seconds between two looks at how delivery is.
LOOK = 5.0

report = logging.getLogger("refunc.delivery")


class _Handover:
    """The state of this process's side; replaced in a forked child, which delivers nothing."""

    def __init__(self) -> None:
        self.given: list[Attachment] = []
        self.queue: deque[tuple[Attachment, Any]] = deque()
        self.processes: list[Process] = []
        self.couriers: dict[str, Courier] = {}
        #: By key: where the cursors stood at the last death, and at how many deaths before.
        self.deaths: dict[str, tuple[Any, int]] = {}
        #: By key: when a process is started again, and for what.
        self.restarts: dict[str, tuple[float, list[Attachment]]] = {}
        self.trouble = Trouble()
        self.thread: threading.Thread | None = None
        self.lock = threading.RLock()  # re-entrant: a signal handler may log a run's first record
        self.is_at_work = False
        self.is_closed = False

    def attach(self, attachment: Attachment, integration: Any) -> None:
        self.given.append(attachment)
        self.queue.append((attachment, integration))
        with self.lock:
            if self.thread is None and not self.is_closed:
                thread = threading.Thread(target=self._run, name="refunc-delivery", daemon=True)
                try:
                    thread.start()
                    self.thread = thread
                except RuntimeError:  # at interpreter shutdown: `refunc sync` delivers
                    pass
        # Here and now, once a run: a script may end before the thread's first turn, and from Python 3.12 on neither
        # threads nor processes can be started at exit.
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
        """Say what trouble there is; a courier in this process speaks for itself."""
        self.trouble.look([each for each in tuple(self.given) if each.passport.key not in self.couriers])

    def work_if_alone(self) -> None:
        """Do in the calling thread what the thread `refunc-delivery` does, where there is none."""
        if self.thread is None or not self.thread.is_alive():
            self._try_to_work()

    def _try_to_work(self) -> None:
        try:
            self.work()
        except RuntimeError:  # at interpreter shutdown, see `attach`: `refunc sync` delivers
            pass
        except Exception as error:  # no memory for a process, no such program: the training goes on
            report.warning("delivery cannot be started now (%r); it is tried again.", error)

    def work(self) -> None:
        with self.lock:
            if self.is_at_work:  # this is a signal handler in it, which goes on behind it with what that attached
                return
            try:
                self.is_at_work = True
                self._work()
            finally:
                self.is_at_work = False

    def _work(self) -> None:
        while self.queue:
            self._place(*self.queue[0])
            self.queue.popleft()
        for process in [process for process in self.processes if not process.is_alive()]:
            self._bury(process)
        for key, (due, attachments) in tuple(self.restarts.items()):
            if time.monotonic() >= due or self.is_closed:
                del self.restarts[key]
                self.processes.append(Process(attachments))

    def _place(self, attachment: Attachment, integration: Any) -> None:
        key = attachment.passport.key
        if attachment.passport.options is None or os.environ.get("REFUNC_DELIVERY", "").strip().lower() == "thread":
            if key not in self.couriers:
                self.couriers[key] = Courier(attachment.passport, lambda: integration, is_guest=True)
                self.couriers[key].start()
            self.couriers[key].deliver(attachment.folder)
            return
        if key in self.restarts:
            self.restarts[key][1].append(attachment)
            return
        own = [process for process in self.processes if any(a.passport.key == key for a in process.attachments)]
        # After a death there is no process for all of them: a new integration begins with one of its own.
        process = own[0] if own else next((p for p in self.processes if not self.deaths), None)
        if process is None:
            process = Process()
            self.processes.append(process)
        process.give(attachment)

    def _bury(self, dead: Process) -> None:
        """Plan a process of its own for each integration of one that died."""
        self.processes.remove(dead)
        dead.let_go()
        by_key: dict[str, list[Attachment]] = {}
        for attachment in dead.attachments:
            by_key.setdefault(attachment.passport.key, []).append(attachment)
        for key, attachments in by_key.items():
            # Not what is delivered: where nothing may come twice, the cursor goes on and a death delivers nothing.
            reached = [attachment.cursor().positions for attachment in attachments]
            before, count = self.deaths.get(key, (None, 0))
            count = count + 1 if reached == before else 0
            self.deaths[key] = (reached, count)
            delay = min(LAST_RESTART, FIRST_RESTART * 2**count) if count else 0.0
            self.restarts[key] = (time.monotonic() + delay, attachments)
            if count == 1:
                report.warning(
                    "%s: its delivery process dies (%s) and delivers nothing. The training is not touched. "
                    "It is started again now and then, and what is logged stays in the run for `refunc sync`.",
                    attachments[0].passport.name,
                    dead.manner(),
                )

    def close(self) -> None:
        """Let delivery processes go on alone. Couriers in this process get a moment to close."""
        self.is_closed = True
        with contextlib.suppress(Exception):  # what cannot be started now is left to `refunc sync`
            self.work()
        with self.lock:
            for process in self.processes:
                process.let_go()
        for courier in self.couriers.values():
            courier.stop(1.0)


_handover = _Handover()


def attach(folder: Path, integration: Any, passport: Passport) -> None:
    """Have the run in *folder* delivered to *integration* from now on; returns at once."""
    attachment = Attachment(folder, passport)
    with contextlib.suppress(TypeError):  # one without weak references has no `health` of ours either
        health_of[integration] = lambda: health_of_key(passport.key, passport.name)
    _handover.attach(attachment, integration)


def is_courier() -> bool:
    """Whether the calling thread delivers, in this process."""
    thread = threading.current_thread()
    return any(courier.thread is thread for courier in tuple(_handover.couriers.values()))


def health_of_key(key: str, name: str) -> Health:
    """Return how far delivery to the integration *key* is, over all runs of this process."""
    each = [a.cursor().health() for a in tuple(_handover.given) if a.passport.key == key]
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
    )


def wait_at_exit(tell: Callable[[str], None]) -> None:
    """
    Wait until what was logged is delivered, a bounded time, then let the delivery process go on alone.

    Ten seconds while acknowledgements come, two without one, two in a notebook; or what `REFUNC_EXIT_WAIT` says.
    Ctrl-C skips it.

    Args:
        tell: Shows a line: what is waited for, and what remains.
    """
    if not _handover.given or _handover.is_closed:
        return
    try:
        with contextlib.suppress(KeyboardInterrupt):
            patience.wait_for(_handover.given, tell, _handover.work_if_alone)
        if any(attachment.cursor().dead for attachment in _handover.given):
            _handover.look()
        patience.say_what_remains(_handover.given, tell)
    finally:
        _handover.close()


def _after_fork_in_child() -> None:
    global _handover
    inherited, _handover = _handover, _Handover()
    for process in inherited.processes:  # else the pipe would not end with the parent
        process.let_go()
    inherited.processes.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
