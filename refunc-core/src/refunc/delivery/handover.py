"""
The training's side of delivery: integrations handed to the delivery process, the process looked after, exit waited for.

`attach` starts the process, some milliseconds once a training, and gives it the integration. All else is done by the
thread `refunc-delivery`, a daemon: it starts the process again when that died. After a death each integration gets a
process of its own, so that the one that kills its process stops nobody else; and one whose process dies again and again
without getting on is started at ever longer intervals.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import attrs

from refunc.delivery.courier import Courier
from refunc.delivery.cursor import Cursor
from refunc.journal.child import command
from refunc.plugins.integration import Health, Passport, health_of

#: Seconds between two looks at whether a process died or is to be started; what is attached is handed over at once.
_TICK = 0.25
#: Seconds before a process that died without getting on is started again: the first time, and at most.
FIRST_RESTART, LAST_RESTART = 0.5, 60.0
#: Seconds that exit waits for acknowledgements; less where none has come yet, and in a notebook.
EXIT_WAIT, UNANSWERED_WAIT, NOTEBOOK_WAIT = 10.0, 2.0, 2.0
#: Seconds after which a waiting exit says what it waits for.
SAY_AFTER = 1.0
#: Seconds between two looks at how delivery is.
LOOK = 5.0
#: What the training is told of the states of a cursor.
TROUBLE = {
    "retrying": "does not take records at present. They wait in the run, the training goes on.",
    "paused": "refuses the credentials. Records wait in the run, the training goes on.",
    "broken": "cannot be opened; it is tried again. Records wait in the run, the training goes on.",
    "stuck": "a call does not return. Records wait in the run, the training goes on.",
    "quarantined": "is left alone until `refunc sync`. Records wait in the run, the training goes on.",
    "refused": "does not take some records at all; they are kept in the run's folder `delivery`.",
}

report = logging.getLogger("refunc.delivery")


@attrs.frozen
class Attachment:
    """An integration of a run of this process."""

    folder: Path
    passport: Passport

    def cursor(self) -> Cursor:
        """How far its delivery is, as the one who delivers last saved it."""
        return Cursor.load(self.folder, self.passport.key, self.passport.name)

    def message(self) -> bytes:
        """The line that tells a delivery process of it."""
        fields = {"folder": str(self.folder), "passport": attrs.asdict(self.passport)}
        return json.dumps(fields).encode("ascii") + b"\n"


class _Process:
    """A delivery process and what it was given."""

    def __init__(self, attachments: Iterable[Attachment] = ()) -> None:
        self.attachments: list[Attachment] = []
        reading, self.pipe = os.pipe()
        try:
            self.popen = subprocess.Popen(
                command("refunc.delivery.process:main", str(reading), str(os.getpid())),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(reading,),
                start_new_session=True,  # Ctrl-C at the terminal is for the training
            )
        except BaseException:
            os.close(self.pipe)
            raise
        finally:
            os.close(reading)
        for attachment in attachments:
            self.give(attachment)

    def give(self, attachment: Attachment) -> None:
        self.attachments.append(attachment)
        with contextlib.suppress(BrokenPipeError):  # it died: `is_alive` will tell
            rest = memoryview(attachment.message())
            while rest:
                rest = rest[os.write(self.pipe, rest) :]

    def is_alive(self) -> bool:
        return self.popen.poll() is None

    def let_go(self) -> None:
        """Close the pipe, which says that this process has nothing more to give, and leave the other one to itself."""
        with contextlib.suppress(OSError):
            os.close(self.pipe)
        # It goes on alone. Without this, Python would warn that it was forgotten.
        self.popen.returncode = self.popen.returncode if self.popen.returncode is not None else 0


class _Handover:
    """The state of this process's side; replaced in a forked child, which delivers nothing."""

    def __init__(self) -> None:
        self.given: list[Attachment] = []
        self.queue: deque[tuple[Attachment, Any]] = deque()
        self.processes: list[_Process] = []
        self.couriers: dict[str, Courier] = {}
        #: By key: where the cursors stood at the last death, and at how many deaths before.
        self.deaths: dict[str, tuple[Any, int]] = {}
        #: By key: when a process is started again, and for what.
        self.restarts: dict[str, tuple[float, list[Attachment]]] = {}
        #: By key: what trouble there was at the last look, and what was told.
        self.seen: dict[str, set[str]] = {}
        self.told: dict[str, set[str]] = {}
        self.thread: threading.Thread | None = None
        self.lock = threading.RLock()  # re-entrant: a signal handler may log a run's first record
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
        """Say of each integration, once for each kind of trouble, what the process without a terminal cannot say."""
        latest = {attachment.passport.key: attachment for attachment in tuple(self.given)}
        for key in latest.keys() - self.couriers.keys():  # a courier in this process speaks for itself
            attachment = latest[key]
            cursor = attachment.cursor()
            kinds = {cursor.state} | ({"refused"} if cursor.dead else set())
            # An outage of seconds is nobody's business: it has to be there at two looks.
            lasting = kinds - {"retrying"} | (kinds & self.seen.get(key, set()))
            self.seen[key] = kinds
            for kind in sorted(lasting & TROUBLE.keys() - self.told.setdefault(key, set())):
                self.told[key].add(kind)
                report.warning("%s: %s (%s)", attachment.passport.name, TROUBLE[kind], cursor.last_error)

    def _try_to_work(self) -> None:
        try:
            self.work()
        except RuntimeError:  # at interpreter shutdown, see `attach`: `refunc sync` delivers
            pass
        except Exception as error:  # no memory for a process, no such program: the training goes on
            report.warning("delivery cannot be started now (%r); it is tried again.", error)

    def work(self) -> None:
        with self.lock:
            while self.queue:
                attachment, integration = self.queue[0]
                self._place(attachment, integration)
                self.queue.popleft()
            for process in [process for process in self.processes if not process.is_alive()]:
                self._bury(process)
            for key, (due, attachments) in tuple(self.restarts.items()):
                if time.monotonic() >= due or self.is_closed:
                    del self.restarts[key]
                    self.processes.append(_Process(attachments))

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
            process = _Process()
            self.processes.append(process)
        process.give(attachment)

    def _bury(self, dead: _Process) -> None:
        """Plan a process of its own for each integration of one that died."""
        self.processes.remove(dead)
        with contextlib.suppress(OSError):
            os.close(dead.pipe)
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
                    _manner(dead.popen.returncode),
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
            _wait(tell)
        if any(attachment.cursor().dead for attachment in _handover.given):
            _handover.look()
        remaining = [text for a in _handover.given if (text := _remaining_text(a))]
        if remaining:
            tell(
                f"still to be delivered: {'; '.join(remaining)}. "
                "Delivery goes on in the background; `refunc sync` finishes it otherwise."
            )
    finally:
        _handover.close()


def _wait(tell: Callable[[str], None]) -> None:
    budget = _exit_wait()
    started = time.monotonic()
    is_set = "REFUNC_EXIT_WAIT" in os.environ
    moved_at, last_taken = started, -1
    has_said = False
    while True:
        pending = _pending()
        elapsed = time.monotonic() - started
        taken = sum(a.cursor().delivered for a in _handover.given)
        if taken != last_taken:
            last_taken, moved_at = taken, time.monotonic()
        is_quiet = not is_set and time.monotonic() - moved_at >= UNANSWERED_WAIT
        if not pending or elapsed >= budget or is_quiet:
            return
        if elapsed >= SAY_AFTER and not has_said:
            has_said = True
            names = ", ".join(sorted({a.passport.name for a in pending}))
            tell(
                f"waiting for {names} to take what was logged, up to {budget:.0f} s; Ctrl-C leaves it to `refunc sync`."
            )
        if _handover.thread is None or not _handover.thread.is_alive():
            _handover._try_to_work()
        time.sleep(0.02)


def _pending() -> list[Attachment]:
    """Return what is worth waiting for: not what was left alone for good."""
    cursors = [(a, a.cursor()) for a in _handover.given if a.folder.is_dir()]
    return [a for a, cursor in cursors if cursor.state != "quarantined" and not cursor.is_done]


def _remaining_text(attachment: Attachment) -> str:
    health = attachment.cursor().health()
    why = f" ({health.last_error})" if health.last_error else ""
    records = "record" if health.waiting == 1 else "records"
    name = attachment.passport.target or attachment.passport.name
    return f"{name} {health.waiting:,} {records}{why}" if health.waiting else ""


def _manner(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _exit_wait() -> float:
    try:
        return max(0.0, float(os.environ["REFUNC_EXIT_WAIT"]))
    except (KeyError, ValueError):
        return NOTEBOOK_WAIT if "ipykernel" in sys.modules else EXIT_WAIT


def _after_fork_in_child() -> None:
    global _handover
    inherited, _handover = _handover, _Handover()
    for process in inherited.processes:  # else the pipe would not end with the parent
        with contextlib.suppress(OSError):
            os.close(process.pipe)
        process.popen.returncode = 0
    inherited.processes.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
