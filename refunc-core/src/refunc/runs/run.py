"""One run, read from its folder."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any

import attrs

from refunc.journal import record as records
from refunc.journal.folder import RUN_JSON
from refunc.journal.kinds import CRASHED, FORMAT
from refunc.journal.reader import Account, read_backwards, read_journal, read_writer_backwards, segments
from refunc.runs.entry import LogEntry, entry_of
from refunc.runs.liveness import status_of

#: How many records from its writer's end a run's end record is looked for: other threads may log a little behind it.
_TAIL = 256


@attrs.frozen(kw_only=True)
class Summary:
    """
    What a run's journal comes to.

    `metrics` holds the last value of each and `counts` how many there were; `results` what was logged as a result.
    """

    params: dict[str, Any] = attrs.Factory(dict)
    metrics: dict[str, Any] = attrs.Factory(dict)
    counts: dict[str, int] = attrs.Factory(dict)
    results: dict[str, Any] = attrs.Factory(dict)
    tags: dict[str, str] = attrs.Factory(dict)
    artifacts: list[records.Artifact] = attrs.Factory(list)
    points: int = 0
    lines: int = 0
    last_time: float | None = None
    end: records.RunEnd | None = None
    account: Account = attrs.Factory(Account)


@attrs.frozen(kw_only=True)
class Glance:
    """
    What the end of a run's journal says, at a price that does not grow with the run.

    `metrics` are the last values met there, final ones and results first, then the newest first: perhaps not all.
    """

    status: str
    duration: float | None
    metrics: dict[str, Any]


@attrs.define(eq=False)
class Run:
    """A run on disk, live or ended. Reading never changes it."""

    folder: Path
    birth: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> Run:
        """
        Open the run in *folder*, which holds a `run.json`.

        Raises:
            RunFormatError: `run.json` cannot be read, or was written by a newer format.
        """
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
    def parent_id(self) -> str | None:
        """The id of the run in whose context this one was opened."""
        parent = self.birth.get("parent_id")
        return str(parent) if parent is not None else None

    @property
    def start_time(self) -> float:
        """When the run began, in seconds since 1970."""
        return float(self.birth.get("start_time", 0.0))

    @property
    def status(self) -> str:
        """`completed`, `failed`, `interrupted`, whatever else its end says; `running`; or `crashed`."""
        end = _find_end(self.folder)
        return status_of(self.folder, end.status if end else None)

    @property
    def duration(self) -> float | None:
        """Seconds from start to end; for a crashed run to its last record; None for a running one."""
        return self.glance().duration

    def glance(self) -> Glance:
        """Return status, duration and the newest metrics, from the end of the journal alone."""
        newest = sorted(chain.from_iterable(_tails(self.folder)), key=lambda record: record.time, reverse=True)
        end = next((record for record in newest if isinstance(record, records.RunEnd)), None)
        status = status_of(self.folder, end.status if end else None)
        duration: float | None = None
        if end is not None:
            duration = end.duration
        elif newest and status == CRASHED:
            duration = max(0.0, newest[0].time - self.start_time)
        return Glance(status=status, duration=duration, metrics=_newest_metrics(newest, end))

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

    def __init__(self, folder: Path, problem: str) -> None:
        super().__init__(f"{folder}: {problem}")
        self.folder = folder


def read_birth(folder: Path) -> dict[str, Any]:
    """Return the contents of `run.json` in *folder*. Raises RunFormatError."""
    path = folder / RUN_JSON
    try:
        if path.exists() and not path.is_file():  # opening a named pipe would wait for ever
            raise OSError("it is no file")
        with open(path, "rb") as file:
            birth = json.loads(file.read(1 << 20))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise RunFormatError(folder, f"{RUN_JSON} cannot be read ({reason}).") from error
    if not isinstance(birth, dict) or not isinstance(birth.get("run_id"), str):
        raise RunFormatError(folder, f"{RUN_JSON} names no run.")
    version = birth.get("format")
    if type(version) is not int:
        raise RunFormatError(folder, f"{RUN_JSON} names no format.")
    if version > FORMAT:
        raise RunFormatError(folder, f"format {version} is newer than this refunc reads ({FORMAT}). Upgrade refunc.")
    if not _is_moment(birth.get("start_time", 0.0)):
        raise RunFormatError(folder, f"{RUN_JSON} has no start time that makes sense.")
    return birth


def summarise(folder: Path) -> Summary:
    """Read the journal in *folder* once and return what it comes to."""
    account = Account()
    params: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
    counts: Counter[str] = Counter()
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
                counts.update(record.metrics.keys())
                points += 1
            case records.LogLine():
                lines += 1
                metrics.update(record.points)
                counts.update(record.points.keys())
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
        counts=dict(counts),
        results=results,
        tags=tags,
        artifacts=artifacts,
        points=points,
        lines=lines,
        last_time=last_time,
        end=end,
        account=account,
    )


def _tails(folder: Path) -> list[Iterator[records.Record]]:
    """Return each writer's last records, newest first: a child may have written much behind the opener's end."""
    # The last writer first: of records of one time, a reader that goes forward meets its record last.
    writers = reversed(segments(folder).items())
    return [islice(read_writer_backwards(writer, paths), _TAIL) for writer, paths in writers]


def _find_end(folder: Path) -> records.RunEnd | None:
    for tail in _tails(folder):
        for record in tail:
            if isinstance(record, records.RunEnd):
                return record
    return None


def _newest_metrics(newest_first: list[records.Record], end: records.RunEnd | None) -> dict[str, Any]:
    final: dict[str, Any] = dict(end.metrics) if end is not None else {}
    others: dict[str, Any] = {}
    for record in newest_first:
        if isinstance(record, records.LogLine) and record.level == "RESULT":
            for name, value in record.metrics.items():
                final.setdefault(name, value)
        elif isinstance(record, (records.LogLine, records.Metrics)):
            points = record.points if isinstance(record, records.LogLine) else record.metrics
            for name, value in points.items():
                others.setdefault(name, value)
    return {**final, **{name: value for name, value in others.items() if name not in final}}


def _is_moment(value: object) -> bool:
    # Up to the year 9999, the last that dates can say.
    return type(value) in (int, float) and math.isfinite(value) and abs(value) < 253_402_300_799  # type: ignore[arg-type]
