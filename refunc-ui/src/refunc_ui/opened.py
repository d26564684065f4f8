"""The runs that were read lately, with their contents and the places of their lines."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import attrs

from refunc.runs.expression.asked import Path as Name
from refunc.runs.facts import facts_of
from refunc.runs.lines import RunLines
from refunc.runs.run import Run

#: The most runs that are kept with their contents, and the most lines of all runs whose places are kept in mind.
_MOST_OPENED: Final = 128
_MOST_LINES: Final = 800_000


@attrs.define(eq=False)
class _Opened:
    run: Run
    lock: threading.Lock = attrs.Factory(threading.Lock)
    #: Whether its contents are known.
    is_read: bool = False


class OpenedRuns:
    """Runs by their names in addresses. Its methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened: OrderedDict[str, _Opened] = OrderedDict()
        self._lines: OrderedDict[str, RunLines] = OrderedDict()

    @contextmanager
    def opened(self, name: str, run: Run) -> Iterator[Run]:
        """Yield *run* with what is known of its contents, for this thread alone."""
        with self._lock:
            found = self._opened.get(name)
            if found is None or found.run.folder != run.folder or found.run.birth != run.birth:
                found = self._opened[name] = _Opened(Run(run.folder, run.birth))
            self._opened.move_to_end(name)
            while len(self._opened) > _MOST_OPENED:
                self._opened.popitem(last=False)
        with found.lock:
            yield found.run

    def follow(self, name: str, run: Run) -> None:
        """Read *run* and keep it open."""
        with self.opened(name, run) as found:
            found.content()
            self._opened[name].is_read = True

    def close(self, name: str) -> None:
        """Forget what is known of a run."""
        with self._lock:
            self._opened.pop(name, None)

    def followed(self, name: str, run: Run, paths: frozenset[Name]) -> dict[Name, Any] | None:
        """Return the values of a running run that is open already, whose new records are quickly read."""
        with self._lock:
            found = self._opened.get(name)
        if found is None or found.run.folder != run.folder or not found.is_read:
            return None
        try:
            with found.lock:
                return facts_of(found.run, paths)
        except Exception:  # then it is read like the others, whose errors are told
            return None

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
