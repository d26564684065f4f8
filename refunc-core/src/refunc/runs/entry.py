"""What users get when they read a run back: log entries and the context of an experiment."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from refunc.journal import record as records
from refunc.journal.values import jsonable, spell_nonfinite


@attrs.frozen
class LogEntry:
    """
    One record as read back, whatever its kind; `timestamp` in seconds since 1970.

    Records that are not log lines have a level and a message of their own: METRIC `metrics`, and EXPERIMENT `params`,
    `tags`, `artifact`, `run started` and `run ended`, with the values under `extra`.
    """

    timestamp: float
    level: str
    message: str
    logger_name: str
    experiment_id: str | None = None
    run_id: str | None = None
    step: int | None = None
    epoch: int | None = None
    metrics: dict[str, Any] = attrs.Factory(dict)
    tags: dict[str, str] = attrs.Factory(dict)
    artifacts: list[str] = attrs.Factory(list)
    extra: dict[str, Any] = attrs.Factory(dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the entry as a dict of plain values, every field in it, which shares nothing with the entry."""
        return {field.name: _plain(getattr(self, field.name)) for field in attrs.fields(LogEntry)}

    def to_json(self) -> str:
        """Return the entry as one line of strict JSON; NaN and ±inf become `"NaN"`, `"Infinity"`, `"-Infinity"`."""
        return json.dumps(spell_nonfinite(self.to_dict()), allow_nan=False)


@attrs.frozen
class ExperimentContext:
    """
    A run at one moment: a snapshot, asked for by `get_experiment_context()`.

    `metrics` holds the last value of each; `step` and `epoch` are those of the logger that was asked; `metadata` holds
    `folder`, the run's folder, and `parent_id`. Times are in seconds since 1970.
    """

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
    step: int | None = attrs.field(default=None, kw_only=True)
    epoch: int | None = attrs.field(default=None, kw_only=True)

    @property
    def folder(self) -> Path | None:
        """The run's folder, where there is one."""
        path = self.metadata.get("folder")
        return Path(path) if path else None


def entry_of(record: records.Record, *, experiment_id: str | None, run_id: str | None) -> LogEntry:
    """Return *record*, which belongs to the given run, as a log entry."""
    level, message, parts = _parts(record)
    return LogEntry(
        timestamp=record.time,
        level=level,
        message=message,
        logger_name=record.logger,
        experiment_id=experiment_id,
        run_id=run_id,
        **parts,
    )


def _parts(record: records.Record) -> tuple[str, str, dict[str, Any]]:
    """Return level, message and the remaining fields of the entry that stands for *record*."""
    match record:
        case records.LogLine():
            extra = dict(record.extra)
            if record.exception:
                extra["exception"] = record.exception
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
            return "EXPERIMENT", "run started", {"extra": _known({"run_name": record.run_name})}
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
    """Return a copy of *value* in types that JSON has. What a journal gave is kept to the last character."""
    kind = type(value)
    if value is None or kind in (str, int, float, bool):
        return value
    if depth and kind is list:
        return [_plain(item, depth - 1) for item in value]
    if depth and kind is dict and all(type(key) is str for key in value):
        return {key: _plain(item, depth - 1) for key, item in value.items()}
    return jsonable(value)  # put there by the program that made the entry; bounded, and safe in a cycle


def _known(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value is not None}


def column_names(entry: LogEntry) -> Iterator[str]:
    """Yield the names of the columns that a table needs for *entry*: metrics, tags and extra one column a key."""
    for part in ("metrics", "tags", "extra"):
        for key in getattr(entry, part):
            yield f"{part}.{key}"
