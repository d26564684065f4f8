"""Where a logger's entries are read from: its run's journal, the store, or the lines that wait for a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from refunc.journal.encoded import line_row
from refunc.journal.line import QueuedRecord
from refunc.journal.record import record_of
from refunc.logging import current
from refunc.logging.active.loose_lines import loose_lines
from refunc.logging.active.run import ActiveRun
from refunc.runs.entry import LogEntry, entry_of
from refunc.runs.entry_filter import EntryFilter, RunTags, select
from refunc.runs.errors import RunFormatError
from refunc.runs.run import Run
from refunc.runs.store import Store, open_store
from refunc.values.masking import mask_record, masks_secrets


def entries_for(run: ActiveRun | None, query: EntryFilter, *, newest_first: bool) -> Iterator[LogEntry]:
    """
    Yield the entries that match *query*: of *run* and of the lines logged since its end, or of every run that it
    names.
    """
    for active in (*current.open_runs(), run):
        if active is not None:
            active.writer.flush()
    if run is not None and not run.is_tracked:  # all its entries are in memory
        kept = getattr(run.writer, "kept", None)
        entries = [_entry(item, each) for item, each in kept.items.copy()] if kept is not None else []
        yield from select(reversed(entries) if newest_first else entries, query)
        return
    if query.experiment_id is not None or query.run_id is not None:
        for found in _named_runs(run, query, newest_first=newest_first):
            yield from _entries(found, query, newest_first=newest_first)
        return
    waiting = [] if run is not None and run.accepts() else list(select(_loose_entries(), query))
    if newest_first:
        yield from reversed(waiting)
    if run is not None:
        with suppress(RunFormatError):  # never written: the store is not writable, or refunc is switched off
            yield from _entries(Run.open(run.folder), query, newest_first=newest_first)
    if not newest_first:
        yield from waiting


def _entries(run: Run, query: EntryFilter, *, newest_first: bool) -> Iterator[LogEntry]:
    tags = RunTags(run.content().tags()) if query.tags else None
    return select(run.entries(newest_first=newest_first), query, tags)


def _named_runs(run: ActiveRun | None, query: EntryFilter, *, newest_first: bool) -> list[Run]:
    """Return all runs that *query* names, in the default store and in those that this process has written to."""
    paths = {os.path.realpath(path) for path in (open_store().path, *current.stores)}
    if run is not None:
        paths.add(os.path.realpath(run.folder.parent))
    runs = [
        run
        for path in paths
        for run in Store(Path(path))
        if (query.experiment_id is None or query.experiment_id in (run.experiment_id, run.experiment_name))
        and (query.run_id is None or query.run_id == run.run_id)
    ]
    return sorted(runs, key=lambda run: run.start_time, reverse=newest_first)


def _loose_entries() -> Iterator[LogEntry]:
    """Yield the lines that wait for a run, oldest first."""
    return (_entry(item, None) for item in loose_lines.items.copy())


def _entry(item: Any, run: ActiveRun | None) -> LogEntry:
    """Return the entry of a queued record that is in memory only, of *run* or of no run."""
    if not isinstance(item, tuple):
        fields = msgspec.to_builtins(item)
    elif not isinstance(item, QueuedRecord):
        fields = msgspec.to_builtins(line_row(item, 0, "", masks=masks_secrets()))
    else:
        fields = {"kind": item.kind, "time": item.time, **item.fields}
        if masks_secrets():
            mask_record(fields)
    fields["logger"] = fields.get("logger") or ("" if run is None else run.birth["logger"])
    record = record_of({**fields, "seq": -1})
    assert record is not None  # it has a number and a time
    ids = (None, None) if run is None else (run.experiment_id, run.run_id)
    return entry_of(record, experiment_id=ids[0], run_id=ids[1])
