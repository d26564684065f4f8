"""Reading the facts for a glance at a run from the end of its journal; the rest is not read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import attrs

from refunc.journal.alive import is_alive
from refunc.journal.ends import end_of_all
from refunc.journal.folder import SEGMENT_BYTES
from refunc.journal.pieces import Segment, segments
from refunc.journal.ranks import rank_files
from refunc.journal.reader import read_writer_backwards
from refunc.journal.record import Define, LogLine, Metrics, Record, RunEnd
from refunc.journal.roles import role_of
from refunc.runs.glance import Ending

#: How many records from a segment's end are read: other threads may log a few records after a run's end.
_TAIL = 256
#: A text in every line of an end record, and in hardly any other line.
_END = b'"kind":"end"'
#: The most metrics that are kept from the tails.
_MOST_METRICS = 10_000
#: The bytes of a journal in which definitions of metrics are searched.
_BEGINNING = 65_536


def ending_of(folder: Path) -> Ending:
    """
    Return the ending of the run in *folder*.

    Raises:
        OSError: The readable part has no end, and a part cannot be read.
    """
    is_gone = _is_gone(folder)
    newest, backwards = _Newest(), _Backwards(folder)
    for record in backwards.tails():
        newest.take(record)
    end = backwards.end(newest.ends, is_gone=is_gone)
    return Ending(
        status=end.status if end is not None else None,
        duration=end.duration if end is not None else None,
        last_time=newest.last_time,
        metrics=newest.metrics(end),
        # The whole journal alone tells which points a later attempt has superseded, and which a definition chooses.
        is_defined=(end is not None and end.defined)
        or newest.is_defined
        or newest.attempts > 1
        or _begins_defined(folder),
        is_final=end is not None or is_gone,
    )


def end_status(folder: Path) -> str | None:
    """
    Return the status in the end record of the run in *folder*; None if there is no end yet.

    Raises:
        OSError: The readable part has no end, and a part cannot be read.
    """
    is_shared = bool(rank_files(folder))
    backwards = _Backwards(folder)
    found: list[RunEnd] = []
    for record in backwards.tails():
        if isinstance(record, RunEnd):
            found.append(record)
            if not is_shared:
                break
    end = backwards.end(found, is_gone=not found and _is_gone(folder))
    return end.status if end is not None else None


def _is_gone(folder: Path) -> bool:
    """Whether the process that opened the run is gone, so that a run without an end is crashed."""
    return is_alive(folder) is False


@attrs.define
class _Backwards:
    """Reads the segments of the run in *folder* from their ends."""

    folder: Path
    #: The errors of the segments that could not be read; the others are read all the same.
    _failures: list[OSError] = attrs.field(factory=list, init=False)

    def tails(self) -> Iterator[Record]:
        """Yield each writer's last records, newest first: a child may have written much after the opener's end."""
        for writer, segment in _last_segments(self.folder):
            yield from islice(self._read(writer, segment), _TAIL)

    def end(self, found: list[RunEnd], *, is_gone: bool) -> RunEnd | None:
        """
        Return the end of the run, by the ends that were *found* in the tails, or that are further back.

        Raises:
            OSError: There is none, and a segment could not be read.
        """
        files = rank_files(self.folder)
        if files:
            end = end_of_all(files, found) or (end_of_all(files, self._further_back()) if is_gone else None)
        else:
            end = max(found or (self._further_back() if is_gone else ()), key=lambda end: end.time, default=None)
        if end is None and self._failures:
            raise self._failures[0]
        return end

    def _further_back(self) -> list[RunEnd]:
        """
        Return the end records of a run whose threads logged more records after it than the tails contain.

        One pass over the last two segments of each writer and those that were closed early, each of a bounded size: the
        threads may have filled the segment in which the run ended.
        """
        return [end for writer, last in _last_segments(self.folder, 2) for end in islice(self._ends(writer, last), 1)]

    def _ends(self, writer: str, segment: Segment) -> Iterator[RunEnd]:
        for record in self._read(writer, segment, only=_END):
            if isinstance(record, RunEnd):
                yield record

    def _read(self, writer: str, segment: Segment, *, only: bytes | None = None) -> Iterator[Record]:
        return read_writer_backwards(writer, [segment], failures=self._failures, only=only)


def _last_segments(folder: Path, count: int = 1) -> list[tuple[str, Segment]]:
    """Return the last *count* segments of each writer and those that were closed early, newest first."""
    # The last writer first: among records of one time, a forward reader finds its record last.
    return [
        (writer, segment)
        for writer, pieces in reversed(segments(folder).items())
        for segment in reversed(pieces)
        if segment in pieces[-count:] or _was_left(segment)
    ]


def _was_left(segment: Segment) -> bool:
    """Whether a segment was closed before it was full, as at the run's end: threads may log into the next one."""
    try:
        return segment.size() < SEGMENT_BYTES
    except OSError:  # reading it raises the reason
        return True


def _begins_defined(folder: Path) -> bool:
    for pieces in segments(folder).values():
        try:
            with pieces[0].opened() as file:
                if b'"kind":"define"' in file.read(0, _BEGINNING):
                    return True
        except OSError:  # unreadable, so it has no definitions either
            continue
    return False


@attrs.define
class _Newest:
    """
    Collects the newest values of records in any order; of equal times, the earlier record's.

    Of several ranks, those of rank 0 count, or of the lowest rank that has the metric.
    The records are not kept: the tails of one run may have a hundred thousand.
    """

    ends: list[RunEnd] = attrs.Factory(list)
    last_time: float | None = None
    is_defined: bool = False
    #: The number of the last attempt.
    attempts: int = 1
    #: By name: the rank of the value, its age and its number; and the value.
    _seen: dict[str, tuple[tuple[int, float, int], Any]] = attrs.Factory(dict)
    #: By writer.
    _ranks: dict[str, int] = attrs.Factory(dict)
    _results: dict[str, tuple[int, float, int]] = attrs.Factory(dict)
    _count: int = 0

    def take(self, record: Record) -> None:
        if self.last_time is None or record.time > self.last_time:
            self.last_time = record.time
        if record.writer not in self._ranks:
            role = role_of(record.writer)
            self._ranks[record.writer] = role.rank or 0
            self.attempts = max(self.attempts, role.attempt)
        if isinstance(record, Metrics):
            self._see(record, record.metrics)
        elif isinstance(record, LogLine) and record.level == "RESULT":
            self._see(record, record.metrics, is_result=True)
        elif isinstance(record, LogLine):
            self._see(record, record.points)
        elif isinstance(record, RunEnd):
            self.ends.append(record)
        self.is_defined |= isinstance(record, Define)

    def _see(self, record: Record, values: Mapping[str, Any], *, is_result: bool = False) -> None:
        rank, age = self._ranks[record.writer], -record.time
        for name, value in values.items():
            self._count += 1
            order = (rank, age, self._count)
            known = self._seen.get(name)
            if known is None or order < known[0]:
                self._seen[name] = order, value
            if is_result and (name not in self._results or order < self._results[name]):
                self._results[name] = order
        if len(self._seen) > 2 * _MOST_METRICS:
            kept = sorted(self._seen, key=lambda name: (name not in self._results, self._seen[name][0]))
            self._seen = {name: self._seen[name] for name in kept[:_MOST_METRICS]}
            self._results = {name: order for name, order in self._results.items() if name in self._seen}

    def metrics(self, end: RunEnd | None) -> dict[str, Any]:
        """Return the final values of *end*, then results, then the others, each newest first."""
        names = [*sorted(self._results, key=self._results.__getitem__)]
        names += sorted(self._seen.keys() - self._results.keys(), key=lambda name: self._seen[name][0])
        found = {name: self._seen[name][1] for name in names[:_MOST_METRICS]}
        return (
            {**end.metrics, **{name: value for name, value in found.items() if name not in end.metrics}}
            if end
            else found
        )
