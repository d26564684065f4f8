"""Where a logger's entries are read from: its run's journal, the store, or the lines that wait for a run."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from refunc.journal.kinds import LOG
from refunc.journal.record import record_of
from refunc.journal.rows import LINE_ITEM, line_row
from refunc.logging.current import loose_lines, open_runs
from refunc.logging.run import ActiveRun
from refunc.runs.entry import LogEntry, entry_of
from refunc.runs.query import Query
from refunc.runs.run import Run, RunFormatError
from refunc.runs.store import Store, open_store


def entries_for(run: ActiveRun | None, query: Query, *, newest_first: bool) -> Iterator[LogEntry]:
    """Yield the entries among which *query* chooses: those of *run*, or of every run that it names in the store."""
    for active in open_runs():
        active.writer.flush()
    if query.experiment_id is not None or query.run_id is not None:
        yield from _entries_in_stores(run, query, newest_first=newest_first)
    elif run is None:
        yield from _loose_entries(newest_first=newest_first)
    else:
        try:
            yield from Run.open(run.folder).entries(newest_first=newest_first)
        except RunFormatError:  # never written: the store is not writable, or refunc is switched off
            return


def _entries_in_stores(run: ActiveRun | None, query: Query, *, newest_first: bool) -> Iterator[LogEntry]:
    """Yield the entries of all runs that *query* names, in the default store and in the one that *run* is in."""
    stores = {open_store(), *(Store(active.folder.parent) for active in (*open_runs(), run) if active is not None)}
    runs = [
        run
        for store in stores
        for run in store
        if (query.experiment_id is None or query.experiment_id in (run.experiment_id, run.experiment_name))
        and (query.run_id is None or query.run_id == run.run_id)
    ]
    for found in sorted(runs, key=lambda run: run.start_time, reverse=newest_first):
        yield from found.entries(newest_first=newest_first)


def _loose_entries(*, newest_first: bool) -> Iterator[LogEntry]:
    lines = list(loose_lines)
    for item in reversed(lines) if newest_first else lines:
        if len(item) == LINE_ITEM:
            kind, moment, fields = LOG, item[1], msgspec.to_builtins(line_row(item, 0, "", masks=False))
        else:
            kind, moment, fields = item
        record = record_of({**fields, "seq": -1, "kind": kind, "time": moment})
        if record is not None:
            yield entry_of(record, experiment_id=None, run_id=None)
