"""
The delivery process: one for a training process, for all its runs, with a courier thread for each integration.

It gets integrations through a pipe, as lines of JSON, because options may contain secrets, which argv and the
environment would expose. The end of the pipe tells it that the training is gone; so does a changed parent process, as
a child of the training may keep the pipe open. It continues until everything is delivered, the runs' folders are gone,
or `REFUNC_DELIVERY_LINGER` seconds (default 600) have passed.
"""

from __future__ import annotations

import contextlib
import errno
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

from refunc.delivery.courier import Courier
from refunc.journal import provenance
from refunc.journal.folder import DELIVERY, refuse_link
from refunc.outlets.foreign import own_logger
from refunc.outlets.opening import no_links
from refunc.plugins.integration import Passport, build, load
from refunc.values import settings
from refunc.values.printable import printable
from refunc.values.secrets import without_secrets

LINGER = 600.0
_TICK = 0.05
#: Seconds for reading the last messages of a training that has ended.
_LAST_WORDS = 0.5
#: Seconds that couriers get to close their backends at the end.
_CLOSE = 10.0

own_log = own_logger("refunc.delivery")


def main(fd: str, parent: str) -> None:
    """Serve the training process *parent* at the other end of the pipe *fd*, then end this process."""
    _stand_back()
    control = _Control(int(fd), int(parent))
    couriers: dict[str, Courier] = {}
    gone_at: float | None = None
    store = Path(os.sep)
    while True:
        while control.messages:
            store = _take(control.messages.popleft(), couriers).parent
        _leave_deleted_folder(store)
        for courier in couriers.values():
            courier.report_if_stuck()
        if control.is_closed and not control.messages:
            gone_at = gone_at or time.monotonic()
            if all(courier.may_close for courier in couriers.values()) or time.monotonic() - gone_at > _linger():
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
    """Yield the CPU to the training on a busy machine, and be killed before it if memory runs out."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(5)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # proc(5): the first to be killed


def _leave_deleted_folder(store: Path) -> None:
    """Work on in *store* if the training's folder was deleted: clients ask for theirs, and raise if it is gone."""
    try:
        os.getcwd()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ESTALE):  # the second one on NFS; relative paths of others still work
            with contextlib.suppress(OSError):  # the store is gone too, and delivery ends
                os.chdir(store)


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
        """Whether no more messages will come."""
        if self._is_at_end or os.name == "nt":  # no fork here, and a parent's id never changes
            return self._is_at_end
        if os.getppid() == self._parent:
            return False
        # Its last messages may be in the pipe: the reading thread gets a moment for them.
        self._orphaned_at = self._orphaned_at or time.monotonic()
        return time.monotonic() - self._orphaned_at > _LAST_WORDS and not select.select([self._file], [], [], 0)[0]


def _take(message: dict[str, Any], couriers: dict[str, Courier]) -> Path:
    """Deliver a run to an integration, and return the run's folder."""
    folder = Path(message["folder"])
    provenance.adopt(message["key"])
    _log_to(folder)
    passport = Passport(**message["passport"])
    courier = couriers.get(passport.key)
    if courier is None:
        courier = couriers[passport.key] = Courier(passport, partial(_make, passport))
        courier.start()
    courier.deliver(folder)
    return folder


def _make(passport: Passport) -> Any:
    return build(load(passport.path, passport.file), passport.name, passport.options or {})


def _log_to(folder: Path) -> None:
    """Log everything here, plugins' own lines included, to `delivery/process.log` in the run's folder."""
    root = logging.getLogger()
    if any(isinstance(handler, logging.FileHandler) for handler in root.handlers):
        return
    try:
        (folder / DELIVERY).mkdir(parents=True, exist_ok=True)
        refuse_link(folder / DELIVERY)
        handler = _LogFile(folder / DELIVERY / "process.log", encoding="utf-8", errors="backslashreplace")
    except OSError:
        return
    handler.setFormatter(_SafeFormatter("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"))
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    own_log.setLevel(logging.DEBUG)


class _SafeFormatter(logging.Formatter):
    """
    Masks secrets in formatted lines, tracebacks included: plugins and their clients quote their arguments.

    They quote answers of servers as well, so control characters and line breaks in them are escaped.
    """

    def format(self, record: logging.LogRecord) -> str:
        return printable(without_secrets(super().format(record)))


class _LogFile(logging.FileHandler):
    def _open(self) -> TextIOWrapper:
        name, mode, encoding, errors = self.baseFilename, self.mode, self.encoding, self.errors
        return TextIOWrapper(open(name, mode + "b", opener=no_links), encoding, errors)


def _linger() -> float:
    seconds = settings.DELIVERY_LINGER.seconds()
    return seconds if seconds is not None else LINGER
