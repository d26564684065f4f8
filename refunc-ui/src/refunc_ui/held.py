"""
The runs of the store that the server knows: all by id, with the values that tables have asked for, and those that were
read lately with their contents.

A look at the store costs two calls to the system for each run that has ended, and more only for those that may have
changed. A run that has changed gets another object, without the values of the one before.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

import attrs

from refunc.journal.kinds import RUNNING, UNREADABLE
from refunc.runs.expression.asked import Path as Name
from refunc.runs.glances import glances
from refunc.runs.lines import RunLines
from refunc.runs.run import Run
from refunc.runs.search import Found, kept_values_of, values_of
from refunc.runs.store import Store
from refunc_ui.answers import AskedWronglyError
from refunc_ui.entries import Entries, Entry, entries_of, is_run, state_of
from refunc_ui.kept_curves import KeptCurves
from refunc_ui.opened import OpenedRuns

#: Seconds for which a look at the store holds, and how many times as long as it took.
_FRESH: Final = 0.5
_TIMES: Final = 5.0
#: Seconds after which all is read again, in case that a change was not seen.
_WHOLE: Final = 60.0
#: The state of a run that could not be read when it was listed, and can be now.
_MENDED: Final = "mended"
#: The most different values that are kept of each run.
_MOST_VALUES: Final = 200


class Held:
    """The runs of one store. Its methods may be called from any thread."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._looking = threading.Lock()
        self._entries: Entries | None = None
        self.curves = KeptCurves()
        self._runs = OpenedRuns()

    # -- the list ----------------------------------------------------------------------------------------------------

    def entries(self, *, again: bool = False) -> Entries:
        """
        Return the runs as they were a moment ago: half a second, or a few times as long as a look takes.

        Args:
            again: Look again in any case.

        Raises:
            OSError: The store cannot be read.
        """
        with self._looking:
            known, now = self._entries, time.monotonic()
            try:
                if known is None or now - known.read_at > _WHOLE:
                    known = self._entries = self._read(known)
                elif again or now - known.looked_at > max(_FRESH, _TIMES * known.took):
                    known = self._entries = self._look(known)
            except OSError:
                if known is not None:  # no answer shall be made of it for another moment
                    self._entries = attrs.evolve(known, looked_at=-math.inf)
                raise
            return known

    def _read(self, known: Entries | None) -> Entries:
        """Return all runs of the store; those that are unchanged with their values."""
        began = time.thread_time()
        if known is not None:
            self._names()  # a store that is gone has an empty listing
        listing = self.store.listing()
        before = {entry.run.folder: entry for entry in known.by_name.values()} if known is not None else {}

        def of(run: Run) -> Entry:
            entry = before.get(run.folder)
            if entry is None or entry.run.birth != run.birth:
                return Entry("", run)
            state = state_of(entry.run, is_over=entry.is_over is True)
            return entry if entry.state == state else Entry("", run)

        runs, removed = [of(run) for run in listing.runs], [of(run) for run in listing.removed]
        return entries_of(runs, removed, listing, began, time.monotonic())

    def _look(self, known: Entries) -> Entries:
        """Return the runs with those that have changed since, that are new or gone."""
        began = time.thread_time()
        names = self._names()
        expected = {entry.run.folder.name for entry in known.by_name.values()}
        expected |= {error.folder.name for error in known.unreadable}
        if expected - names or any(is_run(self.store, name) for name in names - expected):
            return self._read(known)
        for entry in known.by_name.values():
            if entry.state != state_of(entry.run, is_over=entry.is_over is True):  # None, if it was not asked for yet
                return self._replaced(known, began)
        return attrs.evolve(known, looked_at=time.monotonic(), took=time.thread_time() - began)

    def _names(self) -> set[str]:
        """Return the names in the store's folder. Raises OSError."""
        with os.scandir(self.store.path) as found:
            return {entry.name for entry in found}

    def _replaced(self, known: Entries, began: float) -> Entries:
        def now(entry: Entry) -> Entry:
            # Asked for before anything of the run is read, so that a change meanwhile shows in the next look.
            state = state_of(entry.run, is_over=entry.is_over is True)
            if entry.state == state:
                return entry
            if entry.state is None and not entry.values:
                entry.state = state
                return entry
            return Entry("", Run(entry.run.folder, entry.run.birth), state)

        every = [now(entry) for entry in (*known.removed, *known.runs)]
        every.sort(key=lambda entry: (entry.run.start_time, entry.run.folder.name))
        removed = [entry for entry in every if entry.run.is_removed]
        kept = [entry for entry in every if not entry.run.is_removed]
        return entries_of(kept, removed, known, began, known.read_at)

    def run(self, name: str) -> Run:
        """
        Return the run *name*, without what is known of its contents.

        Raises:
            AskedWronglyError: There is no such run.
        """
        return self.entry(name).run

    def entry(self, name: str) -> Entry:
        """Return the run *name* in the list. Raises as `run` does."""
        known = self._entries or self.entries()
        found = known.by_name.get(name) or self.entries().by_name.get(name)
        if found is None:
            raise AskedWronglyError(f"There is no run {name!r} in {self.store.path}.", 404)
        return found

    def id_of(self, run: Run) -> str:
        """Return the name of *run* in addresses: its id, or its folder's name where two folders have one id."""
        known = self._entries or self.entries()
        entry = known.by_name.get(run.run_id)
        return run.run_id if entry is not None and entry.run.folder == run.folder else run.folder.name

    def values(self, entries: Sequence[Entry], paths: frozenset[Name]) -> tuple[Found, list[Entry]]:
        """
        Return the values at *paths* of runs, as far as they are known, and the runs that have to be read first.

        Those have no values; `Ahead` reads them.
        """
        running = [entry for entry in entries if not entry.is_over]
        now = {entry.run.folder: self._runs.followed(entry.name, entry.run, paths) for entry in running}
        lacking = [entry for entry in entries if not paths <= entry.values.keys() and now.get(entry.run.folder) is None]
        by_folder = {entry.run.folder: entry for entry in lacking}
        found = _kept_values(lacking, paths) if lacking and paths else Found([], [])
        for run, values in found.runs:
            entry = by_folder[run.folder]
            if len(entry.values) > _MOST_VALUES:
                entry.values = {}
            if entry.is_over:  # else they change from one moment to the next
                entry.values |= values
        now.update({run.folder: values for run, values in found.runs})
        rows: list[tuple[Run, dict[Name, Any]]] = []
        for entry in entries:
            known = now.get(entry.run.folder)
            if known is None and paths <= entry.values.keys():
                known = entry.values
            if known is not None:
                rows.append((entry.run, known))
        return Found(rows, found.unreadable), [by_folder[run.folder] for run in found.unread]

    def notice_ends(self, entries: Sequence[Entry]) -> None:
        """Find out which of *entries* have ended, so that further looks at these are cheap."""
        # The states first: what changes after them is seen.
        unknown = {
            entry.run.folder: (entry, state_of(entry.run, is_over=True), state_of(entry.run, is_over=False))
            for entry in entries
            if entry.is_over is None
        }
        known = self._entries
        removed = {entry.run.folder for entry in known.removed} if known is not None else set()
        for run, glance in glances([entry.run for entry, _, _ in unknown.values()]):
            entry, over, running = unknown[run.folder]
            if entry.state not in (None, running) or run.is_removed != (run.folder in removed):
                continue  # it has changed since it was listed, which the next look sees
            if not entry.is_readable and glance.status != UNREADABLE:
                self._take_for_changed(entry)
                continue
            entry.state = running if glance.status == RUNNING else over
            entry.is_over = glance.status != RUNNING
            entry.is_readable = glance.status != UNREADABLE

    def notice_mended(self, entries: Sequence[Entry]) -> None:
        """
        Find out which of *entries*, which could not be read, can be read now: the next look takes them for changed.

        Their files do not show it, as the rights to read a file are no part of it.
        """
        by_folder = {entry.run.folder: entry for entry in entries}
        for run, glance in glances([entry.run for entry in entries]):
            if glance.status != UNREADABLE:
                self._take_for_changed(by_folder[run.folder])

    def _take_for_changed(self, entry: Entry) -> None:
        entry.state = _MENDED
        self._runs.close(entry.name)

    def note_unreadable(self, run: Run) -> None:
        """Note that a table shows *run* as one that cannot be read: if it can be later, that is a change."""
        self.entry(self.id_of(run)).is_readable = False

    # -- single runs -------------------------------------------------------------------------------------------------

    @contextmanager
    def opened(self, name: str) -> Iterator[Run]:
        """
        Yield the run *name* with what is known of its contents, for this thread alone.

        Raises:
            AskedWronglyError: There is no such run.
        """
        with self._runs.opened(name, self.run(name)) as run:
            yield run

    def follow(self, name: str) -> None:
        """Read the run *name* and keep it open."""
        self._runs.follow(name, self.run(name))

    def lines(self, run: Run) -> AbstractContextManager[RunLines]:
        """Return the lines of *run*, which the caller holds opened, as they are now."""
        return self._runs.lines(run)


def _kept_values(entries: Sequence[Entry], paths: frozenset[Name]) -> Found:
    """Return values from the index; of runs that cannot be read, which it does not keep, as far as they can be."""
    kept = kept_values_of([entry.run for entry in entries if entry.is_readable], paths)
    closed = [entry.run for entry in entries if not entry.is_readable]
    if not closed:
        return kept
    now = values_of(closed, paths)
    return Found([*kept.runs, *now.runs], [*kept.unreadable, *now.unreadable], kept.unread)
