"""
What changes in the store, seen by one thread for all clients.

The thread looks only while a client listens. It looks at the runs that clients have chosen each quarter of a second,
and at a part of the others, and takes at most a fifth of a core. What it sees is a state, not a queue: each fact has
the number of its last change, so a client that was away, or is slow, gets each fact once, as it is now.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

import attrs

from refunc.annotations.file import data_of
from refunc.journal.kinds import CRASHED, RUNNING
from refunc.runs.gathered import signature_of
from refunc.runs.run import Run
from refunc_ui.held import Held

#: Seconds between two looks, at least, and how much longer than a look itself the pause after it is.
_INTERVAL: Final = 0.25
_PAUSE: Final = 4.0
#: Seconds between two looks at the list of all runs where its folder has not changed.
_LISTING: Final = 5.0
#: Seconds that a look at the runs that no client has chosen takes, and after which a growing run counts as changed.
_SWEEP: Final = 0.01
_GROWN: Final = 5.0
#: The most runs whose counts are remembered for clients that come back, and the most changes of the table.
_MOST_WATCHED: Final = 1_000
_MOST_CHANGES: Final = 2_000


@attrs.define
class Watched:
    """What is known of a run that a client has chosen; each fact with the number of its last change."""

    signature: object = None
    points: dict[str, int] = attrs.Factory(dict)
    changed: dict[str, int] = attrs.Factory(dict)
    lines: int = 0
    lines_changed: int = 0
    status: str = ""
    status_changed: int = 0
    #: The number of the last change of all.
    last: int = 0


@attrs.frozen
class Change:
    """A change of the table: runs that are other, new or gone."""

    number: int
    changed: tuple[str, ...]
    new: int
    gone: int


@attrs.define(eq=False)
class Listener:
    """A client that wants to know of changes in some runs; `wake` is called from the watching thread."""

    runs: tuple[str, ...]
    wake: Callable[[], None]


class Watch:
    """The thread, and what it has seen. Methods may be called from any thread."""

    def __init__(self, held: Held) -> None:
        self._held = held
        #: Numbers of one server mean nothing to the next one.
        self.name = secrets.token_hex(4)
        self._number = 0
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []
        self._watched: dict[str, Watched] = {}
        self._changes: deque[Change] = deque(maxlen=_MOST_CHANGES)
        self._others: dict[str, tuple[object, str, float]] = {}
        self._sweeping: deque[str] = deque()
        self._known: set[str] | None = None
        self._listed = (0.0, 0)
        self._is_needed = threading.Event()
        self._is_over = False
        self._thread = threading.Thread(target=self._look_on, name="refunc-ui-watch", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let the thread end, and wait for it a moment."""
        self._is_over = True
        self._is_needed.set()
        if self._thread.is_alive():
            self._thread.join(1.0)

    @property
    def number(self) -> int:
        """The number of the last change."""
        return self._number

    def add(self, listener: Listener) -> None:
        """Look for *listener* from now on."""
        with self._lock:
            self._listeners.append(listener)
        self._is_needed.set()

    def remove(self, listener: Listener) -> None:
        """Look no longer for *listener*."""
        with self._lock:
            self._listeners = [each for each in self._listeners if each is not listener]
            if not self._listeners:
                self._is_needed.clear()

    def since(self, number: int, runs: Iterable[str]) -> tuple[int, list[Change], dict[str, Watched]]:
        """Return the number of the last change, the changes of the table after *number*, and those of *runs*."""
        with self._lock:
            changes = [change for change in self._changes if change.number > number]
            found = {run: each for run in runs if (each := self._watched.get(run)) is not None and each.last > number}
            return self._number, changes, {run: _copied(each) for run, each in found.items()}

    # -- looking ---------------------------------------------------------------------------------------------------

    def _look_on(self) -> None:
        while not self._is_over:
            self._is_needed.wait()
            began = time.monotonic()
            with self._lock:
                listeners = list(self._listeners)
            before = self._number
            if listeners and not self._is_over:
                try:
                    self._look(listeners)
                except Exception:  # the store is gone for a moment, or a run is hostile; the next look may work
                    pass
            if self._number != before:
                for listener in listeners:
                    listener.wake()
            time.sleep(max(_INTERVAL, _PAUSE * (time.monotonic() - began)))

    def _look(self, listeners: list[Listener]) -> None:
        self._look_at_list()
        chosen = dict.fromkeys(name for listener in listeners for name in listener.runs)
        for name in chosen:
            if self._is_over:
                return
            try:
                self._look_at(name)
            except Exception:  # a damaged run; its request says so
                continue
        self._sweep(chosen)

    def _look_at_list(self) -> None:
        now = time.monotonic()
        try:
            changed = os.stat(self._held.store.path).st_mtime_ns
        except OSError:
            changed = 0
        if self._known is not None and changed == self._listed[1] and now - self._listed[0] < _LISTING:
            return
        # A folder is made before its run.json: it is looked at again a little later.
        self._listed = (now if changed == self._listed[1] else now - _LISTING + 2 * _INTERVAL, changed)
        there = set(self._held.ids())
        if self._known is None:
            self._known = there
            self._sweeping = deque(there)
            return
        new, gone = there - self._known, self._known - there
        self._known = there
        if new or gone:
            self._add(Change(0, tuple(sorted(new))[:_MOST_CHANGES], len(new), len(gone)))
            self._sweeping.extend(new)

    def _add(self, change: Change) -> None:
        with self._lock:
            self._number += 1
            self._changes.append(attrs.evolve(change, number=self._number))

    def _look_at(self, name: str) -> None:
        """Look at a run that a client has chosen."""
        run = self._held.run(name)
        known = self._watched.get(name)
        signature = signature_of(run.folder), data_of(run.folder)
        if known is not None and known.signature == signature:
            if known.status == RUNNING and run.status == CRASHED:  # its process is gone, and no file says so
                self._keep(name, attrs.evolve(known, status=CRASHED), is_other=True)
            return
        with self._held.opened(name) as opened:
            summary = opened.content().summary
            points = {metric: each.count for metric, each in summary.metrics.items()}
            status = opened.outcome(summary)[0]
        found = Watched(signature, points, lines=summary.lines, status=status)
        is_other = known is not None and (known.status != status or self._annotations(known) != signature[1])
        self._keep(name, found, is_other=is_other)

    @staticmethod
    def _annotations(known: Watched) -> object:
        return known.signature[1] if isinstance(known.signature, tuple) else None

    def _keep(self, name: str, found: Watched, *, is_other: bool) -> None:
        """Keep what was found of a run, with the number of this change at each fact that is another."""
        with self._lock:
            before = self._watched.pop(name, Watched())
            self._number += 1
            number = self._number
            found.changed = {
                metric: before.changed[metric] if before.points.get(metric) == count else number
                for metric, count in found.points.items()
            }
            found.lines_changed = before.lines_changed if before.lines == found.lines else number
            found.status_changed = before.status_changed if before.status == found.status else number
            found.last = max((*found.changed.values(), found.lines_changed, found.status_changed), default=number)
            self._watched[name] = found
            while len(self._watched) > _MOST_WATCHED:
                del self._watched[next(iter(self._watched))]
            if is_other:
                self._changes.append(Change(number, (name,), 0, 0))

    def _sweep(self, chosen: Iterable[str]) -> None:
        """Look at some of the runs that no client has chosen: whether their rows in the table are others."""
        until = time.monotonic() + _SWEEP
        changed: list[str] = []
        skipped = set(chosen)
        for _ in range(len(self._sweeping)):
            if time.monotonic() > until:
                break
            name = self._sweeping.popleft()
            if self._known is None or name not in self._known:
                self._others.pop(name, None)
                continue
            self._sweeping.append(name)
            if name not in skipped and self._is_other(name):
                changed.append(name)
        if changed:
            self._held.expire()
            self._add(Change(0, tuple(changed), 0, 0))

    def _is_other(self, name: str) -> bool:
        try:
            run = self._held.run(name)
            known = self._others.get(name)
            is_running = known is None or known[1] == RUNNING
            state = _state(run, is_running=is_running)
            now = time.monotonic()
            if known is not None and known[0] == state and not (is_running and run.status != RUNNING):
                return False
            if known is not None and is_running and now - known[2] < _GROWN and run.status == RUNNING:
                return False
            status = run.status if is_running or known is None or known[0] != state else known[1]
            self._others[name] = _state(run, is_running=status == RUNNING), status, now
        except Exception:
            return False
        return known is not None


def _state(run: Run, *, is_running: bool) -> object:
    """Return what shows whether a run has changed; of one that has ended, only what a later change of it changes."""
    if is_running:
        return signature_of(run.folder), data_of(run.folder)
    found = []
    for place in (run.folder, run.folder / "journal"):
        try:
            found.append(os.stat(place).st_mtime_ns)
        except OSError:
            found.append(0)
    return tuple(found)


def _copied(watched: Watched) -> Watched:
    return attrs.evolve(watched, points=dict(watched.points), changed=dict(watched.changed))
