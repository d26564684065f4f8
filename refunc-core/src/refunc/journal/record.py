"""
The records of a journal as they are read back: one frozen class a kind of line.

Attribute names are the names in the file. A class may gain optional attributes, never lose one; a line of a kind that
this version does not know reads as `Unknown`, so an older reader gets through a newer journal.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import attrs
import msgspec

from refunc.journal import kinds
from refunc.journal.roles import role_of
from refunc.values.jsonable import INT64_MAX

#: A count, which fits into 64 bits.
Count = Annotated[int, msgspec.Meta(ge=0, le=INT64_MAX)]


@attrs.frozen(kw_only=True)
class Record:
    """
    The attributes of every record. `(writer, seq)` identifies one; `time` is the wall clock at the call, in
    seconds.
    """

    seq: int = -1
    time: float = 0.0
    writer: str = ""
    logger: str = ""

    @property
    def rank(self) -> int | None:
        """The rank of the process that wrote it, or whose worker did; None if it was not launched."""
        return role_of(self.writer).rank


@attrs.frozen(kw_only=True)
class LogLine(Record):
    """A line of text with its level and the other arguments of the call."""

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
    stack: str | None = None  # of the call, if it asked for that

    @property
    def points(self) -> dict[str, int | float | None]:
        """The metrics that belong to the run's curves: a PROGRESS line only repeats metrics for people to read."""
        return {} if self.level == "PROGRESS" else self.metrics


@attrs.frozen(kw_only=True)
class Metrics(Record):
    """
    Numbers at a step. `other` holds values logged as metrics that are not numbers.

    `auto` says that no step was given and `step` counts the calls.
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
    """
    Tags of the run. The later value of a name wins.

    `taken` are tags that people took away later; they come with annotations, and no journal has them.
    """

    tags: dict[str, str]
    taken: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Define(Record):
    """
    How to read a metric, or every metric whose name matches the pattern `name`.

    If several match, each member is taken from the last one that has it. Readers ignore words that they do not know.
    """

    name: str
    goal: str | None = None  # min, max
    step_metric: str | None = None  # the x axis of its values, instead of the step
    summary: str | None = None  # the value shown in a table: min, max, last, mean, none


@attrs.frozen(kw_only=True)
class Artifact(Record):
    """
    A file or folder of the run.

    `stored` is its copy, relative to the run's folder, or None for a reference to `source`. A folder's `stored` is a
    JSON list of its files. `size` is in bytes. Of a folder's files, `references` were not copied but only listed, with
    `reference_bytes` in all; `left_out` is how many are not even listed. The largest of the former are named, with
    their sizes, and the first of the latter, with the reasons. `mac` proves to the user who wrote a reference that they
    did; see `provenance`.
    """

    name: str
    type: str | None = None
    source: str = ""
    stored: str | None = None
    size: Count = 0
    sha256: str | None = None
    files: Count = 1
    mtime: float | None = None
    references: Count = 0
    reference_bytes: Count = 0
    largest_references: dict[str, Count] = attrs.Factory(dict)
    left_out: Count = 0
    left_out_paths: dict[str, str] = attrs.Factory(dict)
    mac: str = ""
    metadata: dict[str, Any] = attrs.Factory(dict)


@attrs.frozen(kw_only=True)
class Attach(Record):
    """
    An integration belongs to the run from here on, and receives the whole run.

    `path` is its class as `module:name`, for people: code is found by `name`, among the plugins that are installed.
    `key` names its files under `delivery/`. `options` holds no secret; the names of those that have one are `withheld`.
    `mac` proves to the user who wrote it that they did; see `provenance`.
    """

    name: str
    key: str
    path: str
    options: dict[str, Any] = attrs.Factory(dict)
    withheld: tuple[str, ...] = ()
    target: str = ""
    mac: str = ""


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

    `defined` says that the opener has called `define_metric`, so that readers of the end alone know about it.
    """

    status: str
    duration: float = 0.0
    metrics: dict[str, Any] = attrs.Factory(dict)
    error: str | None = None
    dropped: Count = 0
    size: Count = 0
    defined: bool = False


@attrs.frozen(kw_only=True)
class Rewind(Record):
    """
    The attempt of this writer went on from *step*, in *epoch* if that is known: values that earlier attempts logged
    beyond it no longer count.
    """

    step: int | float
    epoch: int | float | None = None
    attempt: Count = 1


@attrs.frozen(kw_only=True)
class Gap(Record):
    """`count` records were dropped here, because the disk took none and memory was full."""

    dropped: Count


@attrs.frozen(kw_only=True)
class Unknown(Record):
    """A line of a kind, or with values, that this version of refunc does not know."""

    kind: str
    fields: dict[str, Any]


#: As a list, because a line's value may be of a type that a set cannot look up.
_NO_ENDS = list(kinds.NO_ENDS)


@attrs.frozen
class Kind:
    """How lines of a kind are read: their class, and whether each of them is kept for the summary of a run."""

    record: type[Record]
    is_noted: bool = False


#: Every kind of line that has a record: the readers and the index read this table. Lines of text and metrics
#: are gathered in their own ways.
KINDS: Final[dict[str, Kind]] = {
    kinds.LOG: Kind(LogLine),
    kinds.METRICS: Kind(Metrics),
    kinds.PARAMS: Kind(Params, is_noted=True),
    kinds.TAGS: Kind(Tags, is_noted=True),
    kinds.DEFINE: Kind(Define, is_noted=True),
    kinds.ARTIFACT: Kind(Artifact, is_noted=True),
    kinds.ATTACH: Kind(Attach),
    kinds.START: Kind(RunStart),
    kinds.END: Kind(RunEnd, is_noted=True),
    kinds.REWIND: Kind(Rewind, is_noted=True),
    kinds.GAP: Kind(Gap),
}
#: The names of the kinds by their classes.
KIND_NAMES: Final[dict[type[Record], str]] = {kind.record: name for name, kind in KINDS.items()}


def is_noted(record: Record) -> bool:
    """Whether *record* is of a kind that is kept for the summary of a run."""
    name = KIND_NAMES.get(type(record))
    return name is not None and KINDS[name].is_noted


def members_of(record: Record) -> dict[str, Any]:
    """Return the members that a line of *record* has beside those of every record, without those that say nothing."""
    own = attrs.fields(type(record))[len(attrs.fields(Record)) :]
    members = {field.name: (getattr(record, field.name), _default_of(field)) for field in own}
    return {name: value for name, (value, default) in members.items() if value != default}


def _default_of(field: Any) -> Any:
    """Return the default of *field*; a member without one always says something."""
    return field.default.factory() if isinstance(field.default, attrs.Factory) else field.default  # type: ignore[arg-type]


def record_of(fields: dict[str, Any]) -> Record | None:
    """
    Return the record for *fields*, a decoded line with its writer.

    It is Unknown if a field has the wrong type for its kind, or if an end has a status of runs that have not ended,
    such as `running`. It is None if it has no number or time.
    """
    kind = fields.get("kind")
    known = KINDS.get(kind) if isinstance(kind, str) else None
    if known is not None and not (known.record is RunEnd and fields.get("status") in _NO_ENDS):
        try:
            return msgspec.convert(fields, known.record)
        except msgspec.ValidationError:  # its checksum is right, so it is not damage: it was written like that
            pass
    try:
        common = msgspec.convert(fields, Record)
    except msgspec.ValidationError:
        return None
    return Unknown(seq=common.seq, time=common.time, writer=common.writer, kind=str(kind), fields=fields)
