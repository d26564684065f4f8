"""Log entries and the context of an experiment, as users read them back."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Final

import attrs

from refunc.journal import record as records
from refunc.journal.codec import restore_nonfinite, with_nonfinite_apart
from refunc.journal.roles import Role, role_of
from refunc.runs.dataclass import PresentFields, as_dataclass
from refunc.values.jsonable import jsonable

#: The members that an entry of an ordinary run does not have, with the values that stand for that.
_OF_SEVERAL: Final = {"rank": None, "attempt": 1}
#: Writers whose roles are kept: more than are read in turns.
_MOST_WRITERS: Final = 4_096


@as_dataclass
@attrs.frozen(init=False)
class LogEntry:
    """
    One record of any kind, as read back; `timestamp` is in seconds since 1970.

    Records that are not log lines have a level and a message of their own: METRIC `metrics`, and EXPERIMENT `params`,
    `tags`, `artifact`, `run started` and `run ended`, with the values under `extra`. `rank` is that of the process that
    wrote the record, None without a launch, and `attempt` is 1 unless the run was continued; `to_dict` and `to_json`
    leave out these two if they have those values. An entry is immutable. The functions of `dataclasses` accept it.
    """

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    timestamp: float
    level: str
    message: str
    logger_name: str
    experiment_id: str | None = None
    run_id: str | None = None
    step: int | float | None = None
    epoch: int | float | None = None
    metrics: dict[str, Any] = attrs.Factory(dict)
    tags: dict[str, str] = attrs.Factory(dict)
    artifacts: list[str] = attrs.Factory(list)
    extra: dict[str, Any] = attrs.Factory(dict)
    rank: int | None = attrs.field(default=None, kw_only=True)
    attempt: int = attrs.field(default=1, kw_only=True)

    def __init__(
        self,
        timestamp: float,
        level: str,
        message: str,
        logger_name: str,
        experiment_id: str | None = None,
        run_id: str | None = None,
        step: int | None = None,
        epoch: int | None = None,
        metrics: dict[str, Any] | None = None,
        tags: dict[str, str] | None = None,
        artifacts: list[str] | None = None,
        extra: dict[str, Any] | None = None,
        *,
        rank: int | None = None,
        attempt: int = 1,
        nonfinite: Mapping[str, str] | None = None,
    ) -> None:
        """
        Make an entry; mappings and lists that are not given are empty.

        Args:
            nonfinite: The JSON pointers of NaN and the infinities from `to_json`, for `LogEntry(**json.loads(text))`.
        """
        parts: dict[str, Any] = {
            "metrics": {} if metrics is None else metrics,
            "tags": {} if tags is None else tags,
            "artifacts": [] if artifacts is None else artifacts,
            "extra": {} if extra is None else extra,
        }
        if nonfinite:
            parts = {name: _plain(part) for name, part in parts.items()}
            restore_nonfinite(parts, nonfinite)
        given = (timestamp, level, message, logger_name, experiment_id, run_id, step, epoch)
        parts |= {"rank": rank, "attempt": attempt}
        self.__attrs_init__(*given, **parts)  # pyright: ignore[reportAttributeAccessIssue]  # attrs makes it

    @classmethod
    def from_json(cls, text: str | bytes) -> LogEntry:
        """
        Return the entry from the *text* of `to_json`.

        Raises:
            ValueError: It is not JSON.
            TypeError: It is not an entry.
        """
        return cls(**json.loads(text))

    def to_dict(self) -> dict[str, Any]:
        """Return the entry's fields as a dict of plain values, which shares nothing with the entry; see the class."""
        names = (field.name for field in attrs.fields(LogEntry))
        return {name: _plain(getattr(self, name)) for name in names if _is_present(self, name)}

    def to_json(self) -> str:
        """
        Return the entry as one line of strict JSON, which `from_json` reads.

        NaN and the infinities become null, and a member `nonfinite` has their JSON pointers, as in the run's journal:
        `{"metrics": {"loss": null}, "nonfinite": {"/metrics/loss": "NaN"}}`.
        """
        return json.dumps(with_nonfinite_apart(self.to_dict()), allow_nan=False)


def _is_present(entry: LogEntry, name: str) -> bool:
    return name not in _OF_SEVERAL or getattr(entry, name) != _OF_SEVERAL[name]


LogEntry.__dataclass_fields__ = PresentFields(  # type: ignore[assignment]  # it is one, for a class and an instance
    LogEntry.__dataclass_fields__, _is_present
)


@as_dataclass
@attrs.frozen
class ExperimentContext:
    """
    A snapshot of a run, returned by `get_experiment_context()`.

    `metrics` has the last value of each; `step` and `epoch` are those of the logger that made it; `metadata` has
    `folder`, the run's folder or None for a run in memory only, and `parent_id`. Times are in seconds since 1970. The
    functions of `dataclasses` accept it.
    """

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    experiment_id: str
    experiment_name: str
    run_id: str
    run_name: str | None = None
    start_time: float = attrs.Factory(time.time)
    end_time: float | None = None
    status: str = "running"
    parameters: dict[str, Any] = attrs.Factory(dict)
    metrics: dict[str, Any] = attrs.Factory(dict)
    tags: dict[str, str] = attrs.Factory(dict)
    artifacts: list[str] = attrs.Factory(list)
    metadata: dict[str, Any] = attrs.Factory(dict)
    step: int | float | None = attrs.field(default=None, kw_only=True)
    epoch: int | float | None = attrs.field(default=None, kw_only=True)

    @property
    def id(self) -> str:
        """The run's id; the same as `run_id`."""
        return self.run_id

    @property
    def name(self) -> str:
        """The run's name for people: its own, or its experiment's with its id."""
        return self.run_name or f"{self.experiment_name}/{self.run_id}"

    @property
    def params(self) -> dict[str, Any]:
        """The hyperparameters; the same as `parameters`."""
        return self.parameters

    @property
    def folder(self) -> Path | None:
        """The run's folder, or None."""
        path = self.metadata.get("folder")
        return Path(path) if path else None


def entry_of(record: records.Record, *, experiment_id: str | None, run_id: str | None) -> LogEntry:
    """Return *record*, which belongs to the given run, as a log entry."""
    level, message, parts = _parts(record)
    role = _role(record.writer)
    return LogEntry(
        timestamp=record.time,
        level=level,
        message=message,
        logger_name=record.logger,
        experiment_id=experiment_id,
        run_id=run_id,
        rank=role.rank,
        attempt=role.attempt,
        **parts,
    )


@lru_cache(maxsize=_MOST_WRITERS)
def _role(writer: str) -> Role:
    return role_of(writer)


def _parts(record: records.Record) -> tuple[str, str, dict[str, Any]]:
    """Return level, message and the remaining fields of the entry for *record*."""
    match record:
        case records.LogLine():
            extra = dict(record.extra)
            if record.exception:
                extra["exception"] = record.exception
            if record.stack:
                extra["stack"] = record.stack
            return (
                record.level,
                record.message,
                {
                    "step": record.step,
                    "epoch": record.epoch,
                    "metrics": {**record.metrics, **record.other},
                    "tags": record.tags,
                    "artifacts": record.artifacts,
                    "extra": extra,
                },
            )
        case records.Metrics():
            metrics = {**record.metrics, **record.other}
            return "METRIC", "metrics", {"step": record.step, "epoch": record.epoch, "metrics": metrics}
        case records.Params():
            return "EXPERIMENT", "params", {"extra": record.params}
        case records.Tags():
            return "EXPERIMENT", "tags", {"tags": record.tags}
        case records.Define():
            words = {"goal": record.goal, "step_metric": record.step_metric, "summary": record.summary}
            return "EXPERIMENT", f"metric {record.name} defined", {"extra": _known(words)}
        case records.Artifact():
            facts = {"type": record.type, "size": record.size, "sha256": record.sha256, **record.metadata}
            return "EXPERIMENT", "artifact", {"artifacts": [record.name], "extra": _known(facts)}
        case records.RunStart():
            message = "run started" if record.attempt <= 1 else f"run continued: attempt {record.attempt}"
            return "EXPERIMENT", message, {"extra": _known({"run_name": record.run_name})}
        case records.Rewind():
            return "EXPERIMENT", f"went back to step {record.step}", {"step": record.step}
        case records.RunEnd():
            facts = {"status": record.status, "duration": record.duration, "exception": record.error}
            return "EXPERIMENT", f"run ended: {record.status}", {"metrics": record.metrics, "extra": _known(facts)}
        case records.Gap():
            return "WARNING", f"{record.dropped} records were dropped here", {"extra": {"dropped": record.dropped}}
        case records.Unknown():
            return "DEBUG", record.kind, {"extra": record.fields}
        case _:
            return "DEBUG", type(record).__name__.lower(), {}


def _plain(value: Any, depth: int = 64) -> Any:
    """Return a copy of *value* in types of JSON. Values from a journal are kept unchanged."""
    kind = type(value)
    if value is None or kind in (str, int, float, bool):
        return value
    if depth and kind is list:
        return [_plain(item, depth - 1) for item in value]
    if depth and kind is dict and all(type(key) is str for key in value):
        return {key: _plain(item, depth - 1) for key, item in value.items()}
    return jsonable(value)  # a value of the program that made the entry; bounded, and safe in a cycle


def _known(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value is not None}


def column_names(entry: LogEntry) -> Iterator[str]:
    """
    Yield the names of the columns that a table needs for *entry*, beside those that all have.

    One per key of metrics, tags and extra, and `rank` and `attempt` if it has them.
    """
    yield from (name for name in _OF_SEVERAL if _is_present(entry, name))
    for part in ("metrics", "tags", "extra"):
        for key in getattr(entry, part):
            yield f"{part}.{key}"
