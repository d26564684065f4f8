"""One run, read from its folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs

from refunc.journal import record as records
from refunc.journal.folder import RUN_JSON
from refunc.journal.reader import Account, read_backwards, read_journal
from refunc.runs.entry import LogEntry, entry_of
from refunc.runs.liveness import status_of


@attrs.frozen(kw_only=True)
class Summary:
    """What a run's journal comes to. `metrics` holds the last value of each, `results` what was logged as a result."""

    params: dict[str, Any] = attrs.Factory(dict)
    metrics: dict[str, Any] = attrs.Factory(dict)
    results: dict[str, Any] = attrs.Factory(dict)
    tags: dict[str, str] = attrs.Factory(dict)
    artifacts: list[records.Artifact] = attrs.Factory(list)
    points: int = 0
    lines: int = 0
    last_time: float | None = None
    end: records.RunEnd | None = None
    account: Account = attrs.Factory(Account)


@attrs.define(eq=False)
class Run:
    """
    A run on disk, live or ended. Reading never changes it.

    Raises:
        RunFormatError: `run.json` cannot be read, or was written by a newer format.
    """

    folder: Path
    birth: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Open the run in *folder*, which holds a `run.json`."""
        return cls(folder, read_birth(folder))

    @property
    def run_id(self) -> str:
        """The random id that names the run everywhere."""
        return str(self.birth["run_id"])

    @property
    def run_name(self) -> str:
        """The name that the user gave, or the id."""
        return str(self.birth.get("run_name") or self.run_id)

    @property
    def experiment_name(self) -> str:
        """The experiment's name."""
        return str(self.birth.get("experiment_name", ""))

    @property
    def experiment_id(self) -> str:
        """The experiment's id, the same for all runs of that name."""
        return str(self.birth.get("experiment_id", ""))

    @property
    def start_time(self) -> float:
        """When the run began, in seconds since 1970."""
        return float(self.birth.get("start_time", 0.0))

    @property
    def status(self) -> str:
        """`completed`, `failed`, `interrupted`, whatever else its end says; `running`; or `crashed`."""
        end = self._end
        return status_of(self.folder, end.status if end else None)

    @property
    def duration(self) -> float | None:
        """Seconds from start to end; for a crashed run to its last record; None for a running one."""
        if self._end is not None:
            return self._end.duration
        last = next(iter(read_backwards(self.folder)), None)
        return last.time - self.start_time if last is not None and self.status == "crashed" else None

    @property
    def _end(self) -> records.RunEnd | None:
        """The end record, found from the back: children may have written a little behind it."""
        for count, record in enumerate(read_backwards(self.folder)):
            if isinstance(record, records.RunEnd):
                return record
            if count >= 10_000:
                break
        return None

    def records(self, account: Account | None = None) -> Iterator[records.Record]:
        """Yield every record, oldest first; *account* is filled with what is torn, damaged or missing."""
        return read_journal(self.folder, account)

    def entries(self, *, newest_first: bool = False) -> Iterator[LogEntry]:
        """Yield every record as a LogEntry, oldest first unless *newest_first*."""
        source = read_backwards(self.folder) if newest_first else read_journal(self.folder)
        for record in source:
            yield entry_of(record, experiment_id=self.experiment_id, run_id=self.run_id)

    @cached_property
    def summary(self) -> Summary:
        """Params, last metrics, results, tags and artifacts: one pass over the journal, kept."""
        return summarise(self.folder)


class RunFormatError(Exception):
    """A folder that is no run, or one that a newer refunc wrote."""


def read_birth(folder: Path) -> dict[str, Any]:
    """Return the contents of `run.json` in *folder*. Raises RunFormatError."""
    try:
        with open(folder / RUN_JSON, "rb") as file:
            birth = json.loads(file.read(1 << 20))
    except (OSError, ValueError, RecursionError) as error:
        raise RunFormatError(f"{folder}: {RUN_JSON} cannot be read ({error}).") from error
    if not isinstance(birth, dict) or not isinstance(birth.get("run_id"), str):
        raise RunFormatError(f"{folder}: {RUN_JSON} names no run.")
    if not isinstance(birth.get("format"), int) or birth["format"] > 1:
        raise RunFormatError(f"{folder}: format {birth.get('format')!r} is newer than this refunc reads (1). Upgrade.")
    return birth


def summarise(folder: Path) -> Summary:
    """Read the journal in *folder* once and return what it comes to."""
    account = Account()
    params: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
    results: dict[str, Any] = {}
    tags: dict[str, str] = {}
    artifacts: list[records.Artifact] = []
    points = lines = 0
    last_time = end = None
    for record in read_journal(folder, account):
        last_time = record.time
        match record:
            case records.Metrics():
                metrics.update(record.metrics)
                points += 1
            case records.LogLine():
                lines += 1
                metrics.update(record.metrics)
                if record.level == "RESULT":
                    results.update({**record.metrics, **record.other})
            case records.Params():
                params.update(record.params)
            case records.Tags():
                tags.update(record.tags)
            case records.Artifact():
                artifacts.append(record)
            case records.RunEnd():
                end = record
                metrics.update(record.metrics)
            case _:
                pass
    return Summary(
        params=params,
        metrics=metrics,
        results=results,
        tags=tags,
        artifacts=artifacts,
        points=points,
        lines=lines,
        last_time=last_time,
        end=end,
        account=account,
    )
