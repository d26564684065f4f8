"""The runs of the store that the server knows: all by id, and those that were read lately with their contents."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import attrs

from refunc.runs.lines import RunLines
from refunc.runs.run import Run
from refunc.runs.store import Listing, Store
from refunc_ui.answers import AskedWronglyError

#: Seconds for which a list of the store's runs is taken as the newest.
_FRESH: Final = 0.5
#: The most runs that are kept with their contents.
_MOST_OPENED: Final = 128
#: The most lines of all runs whose places are kept in mind.
_MOST_LINES: Final = 800_000


@attrs.define
class _Opened:
    run: Run
    lock: threading.Lock = attrs.Factory(threading.Lock)


class Held:
    """The runs of one store. Its methods may be called from any thread."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._lock = threading.Lock()
        self._listing: tuple[float, Listing] | None = None
        self._ids: dict[str, Run] = {}
        self._names: dict[str, str] = {}
        self._lines: OrderedDict[str, RunLines] = OrderedDict()
        self._opened: OrderedDict[str, _Opened] = OrderedDict()

    def listing(self) -> Listing:
        """
        Return the runs of the store, oldest first, as they were at most half a second ago.

        Raises:
            OSError: The store cannot be read.
        """
        with self._lock:
            known = self._listing
            if known is None or time.monotonic() - known[0] > _FRESH:
                listing = self.store.listing()
                runs = [*listing.removed, *listing.runs]
                counts = Counter(run.run_id for run in runs)
                ids = [run.run_id if counts[run.run_id] == 1 else run.folder.name for run in runs]
                self._ids = dict(zip(ids, runs, strict=True))
                self._names = {run.folder.name: name for name, run in self._ids.items()}
                known = self._listing = time.monotonic(), listing
            return known[1]

    def expire(self) -> None:
        """Have the next `listing` read the store again."""
        with self._lock:
            if self._listing is not None:
                self._listing = (-_FRESH, self._listing[1])

    def ids(self) -> list[str]:
        """Return the names in addresses of all runs that are not removed, as of a new look at the store."""
        self.expire()
        return [self.id_of(run) for run in self.listing().runs]

    def run(self, name: str) -> Run:
        """
        Return the run *name*, without what is known of its contents.

        Raises:
            AskedWronglyError: There is no such run.
        """
        if name not in self._ids:
            self.listing()
        run = self._ids.get(name)
        if run is None:
            raise AskedWronglyError(f"There is no run {name!r} in {self.store.path}.", 404)
        return run

    def id_of(self, run: Run) -> str:
        """Return the name of *run* in addresses: its id, or its folder's name where two folders have one id."""
        return self._names.get(run.folder.name, run.run_id)

    @contextmanager
    def lines(self, run: Run) -> Iterator[RunLines]:
        """Yield the lines of *run*, which the caller holds opened, as they are now."""
        with self._lock:
            known = self._lines.pop(run.folder.name, None)
            if known is None or known.folder != run.folder:
                known = RunLines(run.folder, experiment_id=run.experiment_id, run_id=run.run_id)
            self._lines[run.folder.name] = known
            while len(self._lines) > 1 and sum(map(len, self._lines.values())) > _MOST_LINES:
                self._lines.popitem(last=False)
        known.read_on()
        yield known

    @contextmanager
    def opened(self, name: str) -> Iterator[Run]:
        """
        Yield the run *name* with what is known of its contents, for this thread alone.

        Raises:
            AskedWronglyError: There is no such run.
        """
        opened = self._take(name)
        with opened.lock:
            yield opened.run

    def _take(self, name: str) -> _Opened:
        run = self.run(name)
        with self._lock:
            found = self._opened.get(name)
            if found is None or found.run.folder != run.folder:
                found = self._opened[name] = _Opened(Run(run.folder, run.birth))
            self._opened.move_to_end(name)
            while len(self._opened) > _MOST_OPENED:
                self._opened.popitem(last=False)
            return found
