"""Reading runs that are new to the index, behind the tables that lack them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final

from refunc.runs.search import values_of
from refunc_ui.entries import Entry
from refunc_ui.held import Held

#: Runs that are read before the tables are told.
_BATCH: Final = 20
#: Runs that are looked up in the index at a time.
_LOOKED_UP: Final = 1_000
#: Seconds of rest at the start, which belong to the first requests.
_REST: Final = 1.0


class Ahead:
    """A thread that reads runs, those that were asked for last first, and tells which are known now."""

    def __init__(self, held: Held, tell: Callable[[Sequence[str]], None]) -> None:
        self._held = held
        self._tell = tell
        self._wanted: dict[str, Entry] = {}
        #: Those that could not be read. A run that changes gets another entry, and is tried again.
        self._failed: dict[str, Entry] = {}
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._is_over = False
        self._thread = threading.Thread(target=self._read_on, name="refunc-ui-ahead", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let the thread end; a run that is being read is not waited for."""
        self._is_over = True
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(0.5)

    def read(self, entries: Sequence[Entry]) -> None:
        """Have *entries* read, the last one first."""
        with self._lock:
            for entry in entries:
                if self._failed.get(entry.name) is not entry:
                    self._wanted.pop(entry.name, None)
                    self._wanted[entry.name] = entry
        self._woken.set()

    def _read_on(self) -> None:
        self._woken.wait(_REST)
        try:
            self._find_unread()
        except Exception:  # the next table says so
            pass
        while not self._is_over:
            self._woken.wait()
            with self._lock:
                batch = [self._wanted.popitem()[1] for _ in range(min(_BATCH, len(self._wanted)))]
                if not batch:
                    self._woken.clear()
                    continue
            if not self._is_over:
                self._read(batch)

    def _find_unread(self) -> None:
        """Have all runs read that the index does not know, the newest first."""
        entries = self._held.entries().runs
        self._held.notice_ends(entries)
        over = [entry for entry in entries if entry.is_over]
        for begin in range(0, len(over), _LOOKED_UP):
            if self._is_over:
                return
            self.read(self._held.values(over[begin : begin + _LOOKED_UP], frozenset([("tags",)]))[1])

    def _read(self, batch: Sequence[Entry]) -> None:
        over = [entry for entry in batch if entry.is_over]
        try:
            done = {run.folder for run, _ in values_of([entry.run for entry in over], frozenset([("status",)])).runs}
        except Exception:  # none of them could be read, which the tables say
            done = set()
        for entry in batch:
            if not entry.is_over:  # what is kept of a running run is old at once
                try:
                    self._held.follow(entry.name)
                    done.add(entry.run.folder)
                except Exception:  # it is among those that failed, and the tables say why
                    continue
        self._failed |= {entry.name: entry for entry in batch if entry.run.folder not in done}
        self._tell([entry.name for entry in batch])
