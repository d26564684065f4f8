"""One run, read from its folder."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, overload

import attrs

from refunc.journal import record as records
from refunc.journal.folder import RUN_JSON
from refunc.journal.kinds import CRASHED, FORMAT, UNREADABLE
from refunc.journal.reader import Account, read_backwards, read_journal
from refunc.journal.record import Artifact
from refunc.runs.around import Where, entries_around, point_in
from refunc.runs.content import Content, Stale, signature_of
from refunc.runs.ending import Ending, Glance, end_status
from refunc.runs.entry import LogEntry, entry_of
from refunc.runs.liveness import status_of
from refunc.runs.reading import read_content
from refunc.runs.series import Series
from refunc.runs.summary import Summary

#: What to do about a file that the system does not let one read.
SEE_RIGHTS = "See its rights, and whether its disk is there."


@attrs.define(eq=False, repr=False)
class Run:
    """A run on disk, live or ended. Reading never changes it."""

    folder: Path
    birth: dict[str, Any]
    _content: Content | None = attrs.field(default=None, init=False)

    @classmethod
    def open(cls, folder: Path) -> Run:
        """
        Open the run in *folder*, which holds a `run.json`.

        Raises:
            RunFormatError: `run.json` cannot be read, or was written by a newer format.
        """
        return cls(folder, read_birth(folder))

    def __repr__(self) -> str:
        return f"Run({self.run_name!r}, {self.run_id!r}, experiment={self.experiment_name!r})"

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
        """`completed`, `failed`, `interrupted`, or whatever else its end says; `running`; `crashed`; `unreadable`."""
        try:
            return status_of(self.folder, end_status(self.folder))
        except OSError:  # nobody knows then whether it has an end
            return UNREADABLE

    @property
    def duration(self) -> float | None:
        """Seconds from start to end; for a crashed run to its last record; None for a running one."""
        return self.glance().duration

    def outcome(self, summary: Summary) -> tuple[str, float | None]:
        """Return status and duration, as `glance` does, of a run whose *summary* is known."""
        end = summary.end
        if end is None and summary.account.damaged and self.status == UNREADABLE:
            return UNREADABLE, None
        return self._outcome(end.status if end else None, end.duration if end else None, summary.last_time)

    def _outcome(self, ended: str | None, duration: float | None, last_time: float | None) -> tuple[str, float | None]:
        status = status_of(self.folder, ended)
        if ended is None and status == CRASHED and last_time is not None:
            duration = max(0.0, last_time - self.start_time)
        return status, duration

    def glance(self, ending: Ending | None = None) -> Glance:
        """
        Return status, duration and the newest metrics, from the end of the journal alone.

        Args:
            ending: What `Ending.of` returned for its folder, where that still holds.
        """
        try:
            ending = ending if ending is not None else Ending.of(self.folder)
        except OSError:
            return Glance(status=UNREADABLE, duration=None, metrics={})
        status, duration = self._outcome(ending.status, ending.duration, ending.last_time)
        metrics = ending.metrics
        if ending.is_defined:
            known = self.summary.metrics
            # All of it was read for that: of a metric that is logged now and then the end alone knows nothing.
            chosen = {name: known[name].shown if name in known else value for name, value in metrics.items()}
            chosen |= {name: metric.shown for name, metric in known.items() if name not in chosen}
            metrics = {name: value for name, value in chosen.items() if value is not None}
        return Glance(status=status, duration=duration, metrics=metrics)

    def records(self, account: Account | None = None) -> Iterator[records.Record]:
        """Yield every record, oldest first; *account* is filled with what is torn, damaged or missing."""
        return read_journal(self.folder, account)

    def entries(self, *, newest_first: bool = False) -> Iterator[LogEntry]:
        """Yield every record as a LogEntry, oldest first unless *newest_first*."""
        source = read_backwards(self.folder) if newest_first else read_journal(self.folder)
        for record in source:
            yield entry_of(record, experiment_id=self.experiment_id, run_id=self.run_id)

    # -- what it comes to --------------------------------------------------------------------------------------------

    @property
    def summary(self) -> Summary:
        """Params, tags, results, artifacts, and what each metric comes to; read anew where the journal has grown."""
        return self.content().summary

    @property
    def params(self) -> dict[str, Any]:
        """The hyperparameters, nested as they were given."""
        return self.summary.params

    @property
    def tags(self) -> dict[str, str]:
        """The tags."""
        return self.summary.tags

    @property
    def results(self) -> dict[str, Any]:
        """What was logged as a result."""
        return self.summary.results

    @property
    def artifacts(self) -> list[Artifact]:
        """The records of the artifacts."""
        return self.summary.artifacts

    @overload
    def metrics(self, name: str, *, max_points: int | None = None) -> Series: ...
    @overload
    def metrics(self, name: None = None, *, max_points: int | None = None) -> dict[str, Series]: ...
    def metrics(self, name: str | None = None, *, max_points: int | None = None) -> Series | dict[str, Series]:
        """
        Return the points of the metric *name*, or of every metric, by name. All of them, unless *max_points* says less.

        Args:
            max_points: The most that a series may have; see `Series.downsample`.

        Raises:
            UnknownMetricError: The run has no metric *name*.
            ValueError: *max_points* is less than five.
        """
        content = self.content()
        known = content.summary.metrics
        if name is not None and name not in known:
            raise UnknownMetricError(name, self.run_name, known)
        names = list(known) if name is None else [name]
        try:
            found = content.series(names)
        except Stale:
            self._content = read_content(self.folder, cached=False)
            found = self._content.series(names)
        if max_points is not None:
            found = {name: series.downsample(max_points) for name, series in found.items()}
        return found if name is None else found[name]

    def around(self, metric: str, where: Where = "nan", *, steps: int = 50) -> list[LogEntry]:
        """
        Return the log entries around one point of *metric*, oldest first: lines, metrics, progress, all of them.

        Args:
            where: The point: the first NaN, the first `"max"` or `"min"`, the first of a step, or the first whose value
                a function says yes to.
            steps: So many steps to either side. An entry without a step belongs to it by its time.

        Raises:
            UnknownMetricError: The run has no such metric.
            PointNotFoundError: It has no such point.
        """
        series = self.metrics(metric)
        return entries_around(self.entries(), series, point_in(series, where), steps)

    def facts(self, summary: Summary) -> dict[str, Any]:
        """Return which run it is, and what became of it, as tables and documents have it; its *summary* is known."""
        status, duration = self.outcome(summary)
        return {
            "run_id": self.run_id,
            "run_name": self.birth.get("run_name"),
            "experiment_id": self.experiment_id,
            "experiment_name": self.experiment_name,
            "parent_id": self.parent_id,
            "status": status,
            "start_time": self.start_time,
            "duration": duration,
        }

    def to_dict(self, *, metrics: bool = True) -> dict[str, Any]:
        """
        Return what the run comes to as plain values, nested; `refunc show --json` prints it.

        Args:
            metrics: Whether those are in it, which a run may have in any number.
        """
        summary = self.summary
        known = summary.metrics if metrics else {}
        return {
            **self.facts(summary),
            "folder": str(self.folder),
            **{key: self.birth.get(key) for key in ("host", "pid", "script", "python", "refunc")},
            "tags": summary.tags,
            "params": summary.params,
            "results": summary.results,
            "metrics": {name: known[name].to_dict() for name in sorted(known)},
            "artifacts": [_artifact(artifact) for artifact in summary.artifacts],
            "lines": summary.lines,
            "error": summary.end.error if summary.end else None,
            "journal": attrs.asdict(summary.account),
        }

    def content(self) -> Content:
        """Return what the journal comes to by now: kept until its files change."""
        signature = signature_of(self.folder)
        if self._content is None or self._content.signature != signature:
            self._content = read_content(self.folder, signature)
        return self._content


class UnknownMetricError(KeyError):
    """A run has no metric of that name. `candidates` are the names that come near."""

    def __init__(self, name: str, run_name: str, known: Iterable[str]) -> None:
        self.candidates = get_close_matches(name, list(known), n=3, cutoff=0.5)
        hint = f" Did you mean {', '.join(self.candidates)}?" if self.candidates else ""
        super().__init__(f"the run {run_name} has no metric {name!r}.{hint}")

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError shows its argument's repr


class RunFormatError(Exception):
    """A folder that is no run, or one that a newer refunc wrote. `hint` says what to do about it."""

    def __init__(self, folder: Path, problem: str, hint: str = "Restore its run.json, or remove the folder.") -> None:
        super().__init__(f"{folder}: {problem}")
        self.folder = folder
        self.hint = hint


def read_birth(folder: Path) -> dict[str, Any]:
    """Return the contents of `run.json` in *folder*. Raises RunFormatError."""
    path = folder / RUN_JSON
    try:
        if path.exists() and not path.is_file():  # opening a named pipe would wait for ever
            raise OSError("it is no file")
        with open(path, "rb") as file:
            birth = json.loads(file.read(1 << 20))
    except OSError as error:
        raise RunFormatError(folder, f"{RUN_JSON} cannot be read ({error.strerror or error}).", SEE_RIGHTS) from error
    except (ValueError, RecursionError) as error:
        raise RunFormatError(folder, f"{RUN_JSON} cannot be read ({error}).") from error
    if not isinstance(birth, dict) or not isinstance(birth.get("run_id"), str):
        raise RunFormatError(folder, f"{RUN_JSON} names no run.")
    version = birth.get("format")
    if type(version) is not int:
        raise RunFormatError(folder, f"{RUN_JSON} names no format.")
    if version > FORMAT:
        problem = f"format {version} is newer than this refunc reads ({FORMAT}). Upgrade refunc."
        raise RunFormatError(folder, problem, "Upgrade refunc; the run is as good as any.")
    if not _is_moment(birth.get("start_time", 0.0)):
        raise RunFormatError(folder, f"{RUN_JSON} has no start time that makes sense.")
    return birth


def _artifact(artifact: Artifact) -> dict[str, Any]:
    names = ("name", "type", "size", "stored", "source", "sha256", "files", "metadata")
    return {name: getattr(artifact, name) for name in names}


def _is_moment(value: object) -> bool:
    # Up to the year 9999, the last that dates can say.
    return type(value) in (int, float) and math.isfinite(value) and abs(value) < 253_402_300_799  # type: ignore[arg-type]
