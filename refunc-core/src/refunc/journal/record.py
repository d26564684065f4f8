"""
The records of a journal as they are read back: one frozen class a kind of line.

Attribute names are the names in the file. A class may gain optional attributes, never lose one; a line of a kind that
this version does not know reads as `Unknown`, so an older reader gets through a newer journal.
"""

from __future__ import annotations

from typing import Any

import attrs
import msgspec

from refunc.journal import kinds


@attrs.frozen(kw_only=True)
class Record:
    """What every record has. `(writer, seq)` identifies one; `time` is the wall clock at the call, in seconds."""

    seq: int = -1
    time: float = 0.0
    writer: str = ""
    logger: str = ""


@attrs.frozen(kw_only=True)
class LogLine(Record):
    """A line of text with its level, and what the call passed beside it."""

    level: str
    message: str
    step: int | float | None = None
    epoch: int | float | None = None
    metrics: dict[str, int | float | None] = attrs.Factory(dict)
    other: dict[str, Any] = attrs.Factory(dict)
    tags: dict[str, str] = attrs.Factory(dict)
    artifacts: list[str] = attrs.Factory(list)
    extra: dict[str, Any] = attrs.Factory(dict)
    at: str | None = None  # file and line of the call
    exception: str | None = None

    @property
    def points(self) -> dict[str, int | float | None]:
        """The metrics that belong to the run's curves: a PROGRESS line repeats what was logged, for people to read."""
        return {} if self.level == "PROGRESS" else self.metrics


@attrs.frozen(kw_only=True)
class Metrics(Record):
    """
    Numbers at a step. `other` holds values logged as metrics that are no numbers.

    `auto` says that nobody gave a step and it counts the calls.
    """

    metrics: dict[str, int | float | None]
    other: dict[str, Any] = attrs.Factory(dict)
    step: int | float | None = None
    epoch: int | float | None = None
    auto: bool = False


@attrs.frozen(kw_only=True)
class Params(Record):
    """Hyperparameters, nested as they were given. The later value of a name wins."""

    params: dict[str, Any]


@attrs.frozen(kw_only=True)
class Tags(Record):
    """Tags of the run. The later value of a name wins."""

    tags: dict[str, str]


@attrs.frozen(kw_only=True)
class Define(Record):
    """
    How a metric, or every one whose name the pattern `name` matches, is to be read.

    Of several that match, a later one wins in what it says. A word that a reader does not know says nothing to it.
    """

    name: str
    goal: str | None = None  # min, max
    step_metric: str | None = None  # what its values are drawn against, instead of the step
    summary: str | None = None  # what stands for it in a table: min, max, last, mean, none


@attrs.frozen(kw_only=True)
class Artifact(Record):
    """
    A file or folder of the run.

    `stored` is its copy, relative to the run's folder, and None for a reference to `source`. A folder's `stored` is a
    JSON list of its files. `size` is in bytes.
    """

    name: str
    type: str | None = None
    source: str = ""
    stored: str | None = None
    size: int = 0
    sha256: str | None = None
    files: int = 1
    mtime: float | None = None
    metadata: dict[str, Any] = attrs.Factory(dict)


@attrs.frozen(kw_only=True)
class Attach(Record):
    """
    An integration belongs to the run from here on, and receives all of it.

    `path` is its class as `module:name`, `key` names its files under `delivery/`. `options` holds no secret; the names
    of those that have one are `withheld`.
    """

    name: str
    key: str
    path: str
    options: dict[str, Any] = attrs.Factory(dict)
    withheld: tuple[str, ...] = ()
    target: str = ""


@attrs.frozen(kw_only=True)
class RunStart(Record):
    """The first record of a run."""

    run_id: str
    run_name: str | None = None
    experiment_id: str = ""
    experiment_name: str = ""
    parent_id: str | None = None
    attempt: int = 1
    implicit: bool = False


@attrs.frozen(kw_only=True)
class RunEnd(Record):
    """
    The last record that the opener wrote. `duration` is in seconds, `error` a traceback.

    `defined` says that the opener has called `define_metric`, so that nobody who looks at the end alone misses it.
    """

    status: str
    duration: float = 0.0
    metrics: dict[str, Any] = attrs.Factory(dict)
    error: str | None = None
    dropped: int = 0
    size: int = 0
    defined: bool = False


@attrs.frozen(kw_only=True)
class Gap(Record):
    """So many records were dropped here, because the disk took none and memory was full."""

    dropped: int


@attrs.frozen(kw_only=True)
class Unknown(Record):
    """A line of a kind, or with values, that this version of refunc does not know."""

    kind: str
    fields: dict[str, Any]


_CLASSES: dict[str, type[Record]] = {
    kinds.LOG: LogLine,
    kinds.METRICS: Metrics,
    kinds.PARAMS: Params,
    kinds.TAGS: Tags,
    kinds.DEFINE: Define,
    kinds.ARTIFACT: Artifact,
    kinds.ATTACH: Attach,
    kinds.START: RunStart,
    kinds.END: RunEnd,
    kinds.GAP: Gap,
}


def record_of(fields: dict[str, Any]) -> Record | None:
    """
    Return the record that *fields*, a decoded line with its writer, stands for.

    It is Unknown where a field has another type than its kind says, and None where it has no number or time.
    """
    kind = fields.get("kind")
    known = _CLASSES.get(kind) if isinstance(kind, str) else None
    if known is not None:
        try:
            return msgspec.convert(fields, known)
        except msgspec.ValidationError:  # its checksum held, so it is no damage: somebody wrote it like that
            pass
    try:
        common = msgspec.convert(fields, Record)
    except msgspec.ValidationError:
        return None
    return Unknown(seq=common.seq, time=common.time, writer=common.writer, kind=str(kind), fields=fields)
