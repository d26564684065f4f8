"""
What changes in the store, seen by one thread for all clients.

The thread looks only while a client listens. It looks at the runs that clients have chosen each quarter of a second,
and at the list of all runs, and takes at most a fifth of a core. What it sees is a state, not a queue: each fact has
the number of its last change, so a client that was away, or is slow, gets each fact once, as it is now.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

import attrs

from refunc.annotations.file import data_of
from refunc.journal.alive import is_alive
from refunc.journal.kinds import CRASHED, RUNNING
from refunc.runs.signature import signature_of
from refunc_ui.changes import Change, Listener, Watched
from refunc_ui.entries import Entries, Entry
from refunc_ui.held import Held

#: Seconds between two looks, at least, and how many times as long as what a look costs the pause after it is.
_INTERVAL: Final = 0.25
_PAUSE: Final = 4.0
#: How many times as long as a look at the list of all runs the pause after it is.
_TIMES: Final = 10.0
#: Seconds after which runs that could not be read are looked at again, at least, and how many times as long as that
#: takes; and the most that are looked at together.
_AGAIN: Final = 2.0
_AGAIN_TIMES: Final = 50.0
_MOST_AGAIN: Final = 100
#: Seconds after which the row of a running run is told to be another again.
_GROWN: Final = 5.0
#: The most runs that are remembered for clients that come back, with the most counts of points of all; the most counts
#: of one run; and the most changes of the table.
_MOST_WATCHED: Final = 1_000
_MOST_COUNTS: Final = 100_000
_MOST_METRICS: Final = 2_000
_MOST_CHANGES: Final = 2_000


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
        self._known: dict[str, Entry] | None = None
        #: Whether the last look found no store.
        self._is_lost = False
        self._told: dict[str, float] = {}
        #: When the list is looked at next.
        self._next = 0.0
        #: When runs that could not be read are looked at next, and the number of the first of them.
        self._next_again = 0.0
        self._first_again = 0
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

    def place_at(self, number: int) -> str:
        """Return the place of the change *number*, as clients know it."""
        return f"{self.name}-{number}"

    def begin_at(self, entries: Entries) -> None:
        """Take a list that a client is given as the first look: what differs from it later is told."""
        with self._lock:
            if self._known is None:
                self._known = {entry.name: entry for entry in entries.runs}

    @property
    def has_looked(self) -> bool:
        """Whether there was a look at the list of all runs, with which further ones are compared."""
        return self._known is not None

    def add(self, listener: Listener) -> None:
        """Look for *listener* from now on."""
        with self._lock:
            self._listeners.append(listener)
            for name in listener.runs:  # it may want other metrics than those before it
                if (known := self._watched.get(name)) is not None:
                    known.is_due = True
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
            began = time.thread_time()  # not a clock's: on a busy machine, a look takes long and costs little
            with self._lock:
                listeners = list(self._listeners)
            if listeners and not self._is_over:
                try:
                    self._look(listeners)
                except Exception:  # a run is hostile, which its request says; the next look may work
                    pass
            time.sleep(max(_INTERVAL, _PAUSE * (time.thread_time() - began)))

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

    def _look_at_list(self) -> None:
        """Look at the list of all runs: which are new, gone, or other."""
        now = time.monotonic()
        if now < self._next:
            return
        try:
            known = self._held.entries(again=True)
        except OSError:  # the tables say so
            self._next = now + _INTERVAL
            if not self._is_lost:
                self._is_lost = True
                self.tell([], gone=1)
            return
        if self._is_lost:
            self._is_lost = False
            self.tell([], new=1)
        self._held.notice_ends(known.runs)
        self._next = now + max(_INTERVAL, _TIMES * known.took)
        there = {entry.name: entry for entry in known.runs}
        before, self._known = self._known, there
        if before is None:
            with self._lock:
                listeners = list(self._listeners)
            for listener in listeners:
                listener.wake()
            return
        new, gone = there.keys() - before.keys(), before.keys() - there.keys()
        other = [name for name, entry in there.items() if name in before and before[name] is not entry]
        other += self._crashed(there.values())
        self._look_for_mended(there.values(), now)
        # A running run changes all the time: its row is told from time to time, and the end at once.
        told = [name for name in other if there[name].is_over or self._is_due(name, now)]
        if new or gone or told:
            self.tell([*new, *told], new=len(new), gone=len(gone))

    def _is_due(self, name: str, now: float) -> bool:
        if now - self._told.get(name, 0.0) < _GROWN:
            return False
        self._told[name] = now
        return True

    def _crashed(self, entries: Iterable[Entry]) -> list[str]:
        """Return the running runs whose processes are gone, which no file says."""
        found = [entry for entry in entries if entry.is_over is False and is_alive(entry.run.folder) is False]
        for entry in found:
            entry.is_over, entry.state, entry.values = None, None, {}
        return [entry.name for entry in found]

    def _look_for_mended(self, entries: Iterable[Entry], now: float) -> None:
        """Look again at some of the runs that could not be read; the next look at the list tells those that can be."""
        if now < self._next_again:
            return
        began = time.thread_time()
        closed = [entry for entry in entries if not entry.is_readable]
        first = self._first_again if self._first_again < len(closed) else 0
        self._held.notice_mended(closed[first : first + _MOST_AGAIN])
        self._first_again = first + _MOST_AGAIN
        self._next_again = now + max(_AGAIN, _AGAIN_TIMES * (time.thread_time() - began))

    def tell(self, changed: Sequence[str], *, new: int = 0, gone: int = 0) -> None:
        """Tell all clients that the rows of some runs are others."""
        with self._lock:
            self._number += 1
            self._changes.append(Change(self._number, tuple(changed), new, gone))
            listeners = list(self._listeners)
        for listener in listeners:
            listener.wake()

    def _look_at(self, name: str) -> None:
        """Look at a run that a client has chosen."""
        run = self._held.run(name)
        known = self._watched.get(name)
        signature = signature_of(run.folder), data_of(run.folder)
        if known is not None and known.signature == signature and not known.is_due:
            if known.status == RUNNING and run.status == CRASHED:  # its process is gone, and no file says so
                self._keep(name, attrs.evolve(known, status=CRASHED), is_other=True)
            return
        self._held.follow(name)
        with self._lock:
            wanted = [listener.is_wanted for listener in self._listeners if name in listener.runs]
        with self._held.opened(name) as opened:
            summary = opened.content().summary
            counts = ((metric, each.count) for metric, each in summary.metrics.items())
            asked = ((metric, count) for metric, count in counts if any(is_wanted(metric) for is_wanted in wanted))
            points = dict(islice(asked, _MOST_METRICS))
            status = opened.outcome(summary)[0]
        found = Watched(signature, points, lines=summary.lines, status=status)
        is_other = known is not None and (known.status != status or self._annotations(known) != signature[1])
        self._keep(name, found, is_other=is_other)

    def _forget(self) -> None:
        """Forget the runs that were looked at longest ago and that no client has chosen, if there are too many."""
        chosen = {name for listener in self._listeners for name in listener.runs}
        counts = sum(len(each.points) for each in self._watched.values())
        for name in list(self._watched):
            if len(self._watched) <= _MOST_WATCHED and counts <= _MOST_COUNTS:
                return
            if name not in chosen:
                counts -= len(self._watched.pop(name).points)

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
            self._forget()
            if is_other:
                self._changes.append(Change(number, (name,), 0, 0))
            listeners = [listener for listener in self._listeners if is_other or name in listener.runs]
        for listener in listeners:
            listener.wake()


def _copied(watched: Watched) -> Watched:
    return attrs.evolve(watched, points=dict(watched.points), changed=dict(watched.changed))
