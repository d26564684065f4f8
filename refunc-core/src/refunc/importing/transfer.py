"""
Writing a run of another tracker as one of ours, with the writer of trainings, and counting what came of it.

The run is made in a hidden folder of the store and renamed into place when it is whole: an import that is killed leaves
no half run behind, and the next one begins that run anew. Where it came from stands in its `run.json`, as `imported`;
so a run is recognised however its folder is named.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from refunc import __version__
from refunc.importing.source import Counter, Counts, Problems, SourceRun
from refunc.journal import kinds
from refunc.journal import record as records
from refunc.journal.names import folder_name, new_id, unique_slug
from refunc.journal.reader import Account, read_journal
from refunc.journal.values import jsonable
from refunc.logging.run import ActiveRun
from refunc.runs.store import Store

#: How the hidden folder of an import begins that is under way, or was killed.
DRAFT = ".import-"


@attrs.frozen(kw_only=True)
class Outcome:
    """What became of one source run."""

    run: SourceRun
    run_id: str
    folder: Path
    read: Counts
    wrote: Counts
    problems: list[str]

    @property
    def is_whole(self) -> bool:
        """Whether as much was written as was read."""
        return self.read == self.wrote


def known_runs(store: Store) -> dict[tuple[str, str], str]:
    """Return the id of each imported run in *store*, by tracker and id there."""
    found = {}
    for run in store:
        imported = run.birth.get("imported")
        if isinstance(imported, dict):
            found[str(imported.get("from")), str(imported.get("id"))] = run.run_id
    return found


def transfer(run: SourceRun, store: Path, *, run_id: str, parent_id: str | None) -> Outcome:
    """
    Write *run* into *store*, which need not exist, and read it back.

    Raises:
        OSError: It cannot be read or written. Nothing is left.
    """
    store.mkdir(parents=True, exist_ok=True)
    draft = store / f"{DRAFT}{new_id()}"
    name = folder_name(run.start_time, run.name or run.experiment, run_id)
    try:
        read, problems = _write(run, draft / name, run_id, parent_id)
        account = Account()
        wrote = Counter()
        for record in read_journal(draft / name, account):
            wrote.add(record)
        if account != Account():
            problems.add(f"the journal that was written is not whole: {account}")
        os.rename(draft / name, store / name)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Outcome(
        run=run, run_id=run_id, folder=store / name, read=read, wrote=wrote.counts, problems=problems.lines()
    )


def _write(run: SourceRun, folder: Path, run_id: str, parent_id: str | None) -> tuple[Counts, Problems]:
    problems, read = Problems(), Counter()
    active = ActiveRun(folder, _birth(run, run_id, parent_id), durability="async")
    with _let_go(active):
        active.start()
        for record in run.records(problems):
            read.add(record)
            _put(active, record, problems)
        if run.status is not None:
            active.end(run.status, error=run.error, moment=run.end_time or run.start_time)
        if not active.writer.flush(sync=True) or active.writer.dropped:
            raise OSError(f"the journal could not be written whole: {active.writer.dropped:,} records were dropped")
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
        "imported": {"from": run.tracker, "id": run.id, "place": str(run.place), "time": time.time()},
    }


def _put(active: ActiveRun, record: records.Record, problems: Problems) -> None:
    """Queue *record* of a source as one of the run; an artifact is stored first."""
    moment, logger = record.time, record.logger or active.birth["logger"]
    match record:
        case records.Metrics():
            place = {"step": record.step, "epoch": record.epoch, "other": record.other}
            fields = {key: value for key, value in place.items() if value is not None and value != {}}
            active.put(kinds.METRICS, {**fields, "metrics": record.metrics, "logger": logger}, moment)
        case records.Params():
            active.put(kinds.PARAMS, {"params": jsonable(record.params), "logger": logger}, moment)
        case records.Tags():
            active.put(kinds.TAGS, {"tags": record.tags, "logger": logger}, moment)
        case records.Define():
            words = {"goal": record.goal, "step_metric": record.step_metric, "summary": record.summary}
            known = {key: value for key, value in words.items() if value is not None}
            active.put(kinds.DEFINE, {"name": record.name, **known, "logger": logger}, moment)
            active.is_defined = True
        case records.LogLine():
            line: dict[str, Any] = {"level": record.level, "message": record.message, "logger": logger}
            values = {"step": record.step, "metrics": record.metrics, "other": record.other, "extra": record.extra}
            line.update((key, value) for key, value in values.items() if value is not None and value != {})
            active.put(kinds.LOG, line, moment)
        case records.Artifact():
            active.put(kinds.ARTIFACT, {**_stored(active, record, problems), "logger": logger}, moment)
        case _:
            raise TypeError(f"no source has records of the type {type(record).__name__}.")


def _stored(active: ActiveRun, record: records.Artifact, problems: Problems) -> dict[str, Any]:
    """Store the artifact's file and return its fields; one that is elsewhere, or cannot be read, is a reference."""
    fields: dict[str, Any] = {"source": record.source}
    if "://" not in record.source:
        try:
            fields = active.store(Path(record.source), copy=None)
        except OSError as error:
            problems.add(f"an artifact was not copied: {error.strerror or error}")
    fields["name"] = record.name
    if record.type is not None:
        fields["type"] = record.type
    if record.metadata:
        fields["metadata"] = jsonable(record.metadata)
    return fields
