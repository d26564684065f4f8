"""
Writing a run of another tracker as a run of refunc, with the writer of trainings, and counting the result.

The run is written to a hidden folder of the store and renamed into place when it is complete: an import that is killed
leaves no partial run, and the next import starts it again. Its origin is recorded in its `run.json`, as `imported`, so
a run is recognised whatever the name of its folder.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from refunc import __version__
from refunc.journal import kinds
from refunc.journal import record as records
from refunc.journal.reader import Account, read_journal
from refunc.logging.active.run import ActiveRun
from refunc.outlets.replaced import IMPORT, passage
from refunc.runs.flat import flat
from refunc.runs.run import Run
from refunc.runs.store import Store
from refunc.values.jsonable import jsonable
from refunc.values.names import folder_name, unique_slug
from refunc_commands.importing.admission import Admission
from refunc_commands.importing.problems import Problems, SourceError
from refunc_commands.importing.source import Counter, Counts, SourceRun

#: A number in any usual spelling, of a length that is one.
_NUMBER = re.compile(r"[+-]?(?:\d{1,100}\.?\d{0,100}|\.\d{1,100})(?:[eE][+-]?\d{1,4})?", re.ASCII)
#: The most characters in the queue, which itself counts records; records of a source may be large.
_QUEUED = 4 << 20


@attrs.frozen(kw_only=True)
class Outcome:
    """The result of importing one source run."""

    run: SourceRun
    run_id: str
    folder: Path
    read: Counts
    wrote: Counts
    problems: list[str]
    left_out: int
    #: Params that are texts which read as numbers, with one of them.
    numeric: dict[str, str] = attrs.Factory(dict)

    @property
    def is_whole(self) -> bool:
        """Whether the counts written equal the counts read."""
        return self.read == self.wrote


@attrs.define
class Known:
    """The imported runs of a store: the id of each, by its tracker and its id there."""

    ids: dict[tuple[str, str], str] = attrs.Factory(dict)
    #: By tracker and start: the ids there.
    _starts: dict[tuple[str, float], list[str]] = attrs.Factory(dict)
    #: By tracker: the parts inside of runs.
    _inside: set[tuple[str, str]] = attrs.Factory(set)

    def add(self, run: Run) -> None:
        """Add *run*, if it was imported."""
        imported = run.birth.get("imported")
        if isinstance(imported, dict):
            tracker, found = str(imported.get("from")), str(imported.get("id"))
            self.ids[tracker, found] = run.run_id
            self._starts.setdefault((tracker, run.start_time), []).append(found)
            inside = imported.get("inside")
            self._inside.update((tracker, str(part)) for part in (inside if isinstance(inside, list) else ()))

    def has(self, run: SourceRun) -> bool:
        """Whether *run* was imported before, even as a part of another source."""
        if (run.tracker, run.id) in self.ids or (run.tracker, run.part) in self._inside:
            return True
        alike = self._starts.get((run.tracker, run.start_time), ()) if run.part is not None else ()
        return any(f"/{found}".endswith(f"/{run.part}") for found in alike)


def known_runs(store: Store) -> Known:
    """Return the imported runs in *store*, removed ones too."""
    listing, known = store.listing(), Known()
    for run in (*listing.runs, *listing.removed):
        known.add(run)
    return known


def transfer(run: SourceRun, store: Path, *, run_id: str, parent_id: str | None) -> Outcome:
    """
    Write *run* into *store*, which need not exist, and read it back.

    Raises:
        SourceError: It cannot be read, or is too large. Nothing is left in the store, as for any other error.
        OSError: It cannot be read or written.
    """
    store.mkdir(parents=True, exist_ok=True)
    draft = passage(store, IMPORT)
    name = folder_name(run.start_time, run.name or run.experiment, run_id)
    try:
        read, problems = _write(run, draft / name, run_id, parent_id)
        account = Account()
        wrote = Counter()
        numeric: dict[str, str] = {}
        for record in read_journal(draft / name, account):
            wrote.add(record)
            if isinstance(record, records.Params):
                numeric.update({name: text for name, text in flat(record.params) if reads_as_number(text)})
        if account != Account():
            problems.add(f"the written journal is not complete: {account}")
        os.rename(draft / name, store / name)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Outcome(
        run=run,
        run_id=run_id,
        folder=store / name,
        read=read,
        wrote=wrote.counts,
        problems=problems.lines(),
        left_out=problems.left_out,
        numeric=numeric,
    )


def reads_as_number(value: object) -> bool:
    """Whether *value* is a text that a person reads as a number, such as `1e-3` or `.5`."""
    return isinstance(value, str) and _NUMBER.fullmatch(value) is not None


def _write(run: SourceRun, folder: Path, run_id: str, parent_id: str | None) -> tuple[Counts, Problems]:
    problems, read = Problems(), Counter()
    active = ActiveRun(folder, _birth(run, run_id, parent_id), durability="async")
    with _let_go(active):
        active.start()
        admission, written = Admission(run, problems), 0
        for record in run.records(problems):
            read.add(record)
            for one in admission.admitted(record):
                _put(active, one, run, problems)
            if admission.weight - written > _QUEUED:
                written = admission.weight
                active.writer.flush()
        if run.status is not None:
            active.end(run.status, error=run.error, moment=run.end_time or run.start_time)
        if not active.writer.flush(sync=True) or active.writer.dropped:
            raise OSError(
                f"the journal could not be written completely: {active.writer.dropped:,} records were dropped"
            )
    return read.counts, problems


@contextlib.contextmanager
def _let_go(active: ActiveRun) -> Iterator[None]:
    try:
        yield
    finally:
        active.leave()


def _birth(run: SourceRun, run_id: str, parent_id: str | None) -> dict[str, Any]:
    return {
        "format": kinds.FORMAT,
        "run_id": run_id,
        "run_name": run.name,
        "experiment_id": unique_slug(run.experiment, "experiment"),
        "experiment_name": run.experiment,
        "parent_id": parent_id,
        "attempt": 1,
        "start_time": run.start_time,
        "logger": run.tracker,
        "host": run.host,
        "pid": None,
        "python": run.python,
        "refunc": __version__,
        "script": run.script,
        "imported": {
            "from": run.tracker,
            "id": run.id,
            "place": str(run.path),
            "time": time.time(),
            **({"inside": list(run.inside)} if run.inside else {}),
        },
    }


#: The records that sources have, beside artifacts.
_IMPORTED = (records.Metrics, records.Params, records.Tags, records.Define, records.LogLine)


def _put(active: ActiveRun, record: records.Record, run: SourceRun, problems: Problems) -> None:
    """Queue *record* for the run's journal; an artifact is stored first."""
    moment, logger = record.time, record.logger or active.birth["logger"]
    if isinstance(record, records.Artifact):
        members = _stored(active, record, run, problems)
    elif isinstance(record, _IMPORTED):
        members = records.members_of(record)
    else:
        raise TypeError(f"records of the type {type(record).__name__} cannot be imported.")
    active.put(records.KIND_NAMES[type(record)], {**members, "logger": logger}, moment)
    active.is_defined |= isinstance(record, records.Define)


def _stored(active: ActiveRun, record: records.Artifact, run: SourceRun, problems: Problems) -> dict[str, Any]:
    """Store the artifact's file and return its fields; a file in a bucket or an unreadable one becomes a reference."""
    fields: dict[str, Any] = {"source": record.source}
    if "://" not in record.source:
        path = Path(record.source)
        try:
            # Checked again where it is opened: no reader of a source can have a file outside of it copied.
            if (reason := run.files.refusal(path)) is not None:
                raise SourceError(reason)
            fields = active.store(path, copy=None)
        except (SourceError, OSError) as error:
            problems.leave_out(record.name, f"it was not copied: {getattr(error, 'strerror', None) or error}")
    fields["name"] = record.name
    if record.type is not None:
        fields["type"] = record.type
    if record.metadata:
        fields["metadata"] = jsonable(record.metadata)
    return fields
