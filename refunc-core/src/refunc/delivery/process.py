"""
The delivery process: one for a training process, for all its runs, with a courier thread for each integration.

It gets integrations through a pipe, as lines of JSON, because options may hold secrets, which argv and the environment
would show to others. The pipe's end tells it that the training is gone, however that ended; so does another parent, for
a child of the training may hold the pipe open without knowing. It goes on until all is
delivered, the runs' folders are gone, or `REFUNC_DELIVERY_LINGER` seconds (default 600) have passed.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import threading
import time
from collections import deque
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from refunc.delivery.courier import Courier, load
from refunc.journal.file import no_links
from refunc.journal.folder import DELIVERY, refuse_link
from refunc.plugins.integration import Passport, build

LINGER = 600.0
_TICK = 0.05
#: Seconds in which what a training wrote into the pipe before it ended is read.
_LAST_WORDS = 0.5
#: Seconds that couriers get to close their backends at the end.
_CLOSE = 10.0

report = logging.getLogger("refunc.delivery")


def main(fd: str, parent: str) -> None:
    """Serve the training process *parent* at the other end of the pipe *fd*, then end this process."""
    _stand_back()
    control = _Control(int(fd), int(parent))
    couriers: dict[str, Courier] = {}
    gone_at: float | None = None
    while True:
        while control.messages:
            _take(control.messages.popleft(), couriers)
        for courier in couriers.values():
            courier.report_if_stuck()
        if control.is_closed and not control.messages:
            gone_at = gone_at or time.monotonic()
            if all(courier.is_done for courier in couriers.values()) or time.monotonic() - gone_at > _linger():
                break
        time.sleep(_TICK)
    deadline = time.monotonic() + _CLOSE
    for courier in couriers.values():
        courier.stop(0)
    for courier in couriers.values():
        courier.stop(max(0.0, deadline - time.monotonic()))
    logging.shutdown()
    # A backend's own threads, or a hook that never returns, must not hold the process.
    os._exit(0)


def _stand_back() -> None:
    """Leave the training the first turn on a busy machine, and the last place where memory runs out."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(5)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # proc(5): the first to be killed


class _Control:
    """The reading end of the pipe, on a thread of its own: `refunc-control`, a daemon."""

    def __init__(self, fd: int, parent: int) -> None:
        self.messages: deque[dict[str, Any]] = deque()
        self._is_at_end = False
        self._parent = parent
        self._orphaned_at: float | None = None
        self._file = os.fdopen(fd, "rb")
        threading.Thread(target=self._read, name="refunc-control", daemon=True).start()

    def _read(self) -> None:
        try:
            for line in self._file:
                self.messages.append(json.loads(line))
        except (OSError, ValueError):
            pass
        self._is_at_end = True

    @property
    def is_closed(self) -> bool:
        """Whether nothing more will come."""
        if self._is_at_end or os.name == "nt":  # where there is no fork, and a parent's id stays
            return self._is_at_end
        if os.getppid() == self._parent:
            return False
        # Its last words are in the pipe: the thread that reads gets a moment for them.
        self._orphaned_at = self._orphaned_at or time.monotonic()
        return time.monotonic() - self._orphaned_at > _LAST_WORDS and not select.select([self._file], [], [], 0)[0]


def _take(message: dict[str, Any], couriers: dict[str, Courier]) -> None:
    folder = Path(message["folder"])
    _log_to(folder)
    passport = Passport(**message["passport"])
    courier = couriers.get(passport.key)
    if courier is None:
        courier = couriers[passport.key] = Courier(passport, partial(_make, passport))
        courier.start()
    courier.deliver(folder)


def _make(passport: Passport) -> Any:
    return build(load(passport.path), passport.name, passport.options or {})


def _log_to(folder: Path) -> None:
    """Keep what happens here, plugins' own lines included, in the run's folder: `delivery/process.log`."""
    root = logging.getLogger()
    if any(isinstance(handler, logging.FileHandler) for handler in root.handlers):
        return
    try:
        (folder / DELIVERY).mkdir(parents=True, exist_ok=True)
        refuse_link(folder / DELIVERY)
        handler = _LogFile(folder / DELIVERY / "process.log", encoding="utf-8", errors="backslashreplace")
    except OSError:
        return
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"))
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    report.setLevel(logging.DEBUG)


class _LogFile(logging.FileHandler):
    def _open(self) -> TextIOWrapper:
        name, mode, encoding, errors = self.baseFilename, self.mode, self.encoding, self.errors
        return TextIOWrapper(open(name, mode + "b", opener=no_links), encoding, errors)


def _linger() -> float:
    try:
        return float(os.environ.get("REFUNC_DELIVERY_LINGER", "") or LINGER)
    except ValueError:
        return LINGER
