"""The results of a reader of another tracker's files: runs with their records, and counts of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import attrs
from attrs.converters import optional

from refunc.journal import record as records
from refunc.values.texts import key_text, short_text, text_of
from refunc_commands.importing.files import SourceFiles
from refunc_commands.importing.problems import Problems

#: The year 9999 in seconds since 1970; `datetime` ends with that year.
LAST_MOMENT = 253_370_764_800.0
_LONGEST_NAME = 1_000
#: Levels of nested params that are counted; `jsonable` keeps fewer.
_MOST_LEVELS = 32


def is_moment(value: object) -> bool:
    """Whether *value* is a valid time of a run, in seconds since 1970."""
    return isinstance(value, (int, float)) and 0 <= value <= LAST_MOMENT


def _checked_moment(value: object) -> float:
    if not is_moment(value):
        raise ValueError(f"its start or end is not a valid time: {short_text(value)}")
    return float(value)  # type: ignore[arg-type]  # a number, checked by `is_moment`


def _name(value: object) -> str:
    return text_of(value, _LONGEST_NAME)


def _identity(value: object) -> str:
    name = text_of(value, _LONGEST_NAME + 1)
    if not 0 < len(name) <= _LONGEST_NAME:
        raise ValueError("its id is missing or too long")
    return name


@attrs.frozen(kw_only=True)
class SourceRun:
    """
    One run of another tracker.

    `(tracker, id)` identifies it permanently, so that a second import recognises it. If the id depends on the path that
    is imported, `part` is the end of it that does not, and identifies the run together with its start. `inside` has the
    `part` of each folder that belongs to the run and would be a run if it were imported alone. Times are in seconds
    since 1970. A run without a `status` has no end in the source, and gets none here: it reads as crashed. `parent` is
    the id of another run of the same tracker. `records` yields params, tags, metrics, lines and artifacts, where an
    artifact's `source` is the path of a file in `files`; unreadable parts are added to `problems`.

    Raises:
        ValueError: Its id or a time is not valid.
    """

    tracker: str
    id: str = attrs.field(converter=_identity)
    part: str | None = attrs.field(default=None, converter=optional(_name))
    inside: tuple[str, ...] = ()
    experiment: str = attrs.field(converter=_name)
    name: str | None = attrs.field(converter=optional(_name))
    start_time: float = attrs.field(converter=_checked_moment)
    end_time: float | None = attrs.field(default=None, converter=optional(_checked_moment))
    status: str | None = None
    error: str | None = None
    parent: str | None = attrs.field(default=None, converter=optional(_name))
    host: str | None = attrs.field(default=None, converter=optional(_name))
    python: str | None = attrs.field(default=None, converter=optional(_name))
    script: str | None = attrs.field(default=None, converter=optional(_name))
    path: Path
    files: SourceFiles
    records: Callable[[Problems], Iterable[records.Record]]


@attrs.define
class Counts:
    """The amount of data in one or more runs. A point is one value of one metric; a param one leaf of nested ones."""

    runs: int = 0
    params: int = 0
    tags: int = 0
    points: int = 0
    others: int = 0  # values logged as metrics that are not numbers
    lines: int = 0
    artifacts: int = 0

    def __add__(self, other: Counts) -> Counts:
        mine, theirs = attrs.astuple(self), attrs.astuple(other)
        return Counts(*(one + another for one, another in zip(mine, theirs, strict=True)))


def file_records(
    files: SourceFiles, folder: Path, moment: float, problems: Problems, *, leave: Callable[[Path], bool] | None = None
) -> Iterator[records.Artifact]:
    """
    Yield each file below *folder* as an artifact.

    Args:
        leave: Selects files that are not artifacts, which are left out.
    """
    for path in files.walk(folder, problems):
        if leave is None or not leave(path):
            yield records.Artifact(name=path.relative_to(folder).as_posix(), source=str(path), time=moment)


class Counter:
    """Counts the records of one run as they pass."""

    def __init__(self) -> None:
        self._params: set[int] = set()
        self._tags: set[str] = set()
        self._counts = Counts(runs=1)

    def add(self, record: records.Record) -> None:
        """Count *record*."""
        match record:
            case records.Metrics():
                self._counts.points += len(record.metrics)
                self._counts.others += len(record.other)
            case records.LogLine():
                self._counts.lines += 1
                self._counts.points += len(record.metrics)
                self._counts.others += len(record.other)
            case records.Params():
                self._params.update(_leaves(record.params))
            case records.Tags():
                self._tags.update(record.tags)
            case records.Artifact():
                self._counts.artifacts += 1
            case _:
                pass

    @property
    def counts(self) -> Counts:
        """The counts so far."""
        return attrs.evolve(self._counts, params=len(self._params), tags=len(self._tags))


def _leaves(values: dict[str, Any]) -> Iterator[int]:
    """Yield a hash of the path to each leaf: the paths as texts could take far more memory than the values."""
    waiting = [(0, 0, values)]
    while waiting:
        outer, level, inside = waiting.pop()
        for name, value in inside.items():
            key = hash((outer, type(name).__name__, key_text(name)))
            if isinstance(value, dict) and value and level < _MOST_LEVELS:
                waiting.append((key, level + 1, value))
            else:
                yield key
