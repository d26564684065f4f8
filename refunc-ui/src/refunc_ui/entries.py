"""The list of runs: one entry a run, and what shows that a run has changed."""

from __future__ import annotations

import os
import time
from collections import Counter
from typing import Any

import attrs

from refunc.annotations.file import data_of
from refunc.runs.errors import RunFormatError
from refunc.runs.expression.asked import Path as Name
from refunc.runs.run import Run
from refunc.runs.signature import signature_of
from refunc.runs.store import Listing, Store


@attrs.define(eq=False)
class Entry:
    """
    A run of the list.

    `is_over` says whether it has ended, None if that is not known; `is_readable`, whether its journal could be read.
    """

    name: str
    run: Run
    state: object = None
    is_over: bool | None = None
    is_readable: bool = True
    values: dict[Name, Any] = attrs.Factory(dict)


@attrs.frozen
class Entries:
    """The runs of the store, oldest first; see `Listing`."""

    runs: list[Entry]
    removed: list[Entry]
    unreadable: list[RunFormatError]
    by_name: dict[str, Entry]
    looked_at: float
    took: float
    read_at: float


def entries_of(
    runs: list[Entry], removed: list[Entry], others: Listing | Entries, began: float, read_at: float
) -> Entries:
    every = [*removed, *runs]
    counts = Counter(entry.run.run_id for entry in every)
    for entry in every:
        entry.name = entry.run.run_id if counts[entry.run.run_id] == 1 else entry.run.folder.name
    by_name = {entry.name: entry for entry in every}
    return Entries(runs, removed, others.unreadable, by_name, time.monotonic(), time.thread_time() - began, read_at)


def is_run(store: Store, name: str) -> bool:
    return os.path.isfile(os.path.join(store.path, name, "run.json"))


def state_of(run: Run, *, is_over: bool) -> object:
    """Return what shows whether a run has changed; of one that has ended, only what a later change of it changes."""
    if not is_over:
        return signature_of(run.folder), data_of(run.folder)
    place = os.fspath(run.folder)
    found = []
    for path in (place, f"{place}/journal"):
        try:
            found.append(os.stat(path).st_mtime_ns)
        except OSError:
            found.append(0)
    return tuple(found)
