"""What the ends of a run's journal say: its status, how long it took, its newest metrics. The rest is not read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

import attrs

from refunc.journal.reader import read_writer_backwards, segments
from refunc.journal.record import Define, LogLine, Metrics, Record, RunEnd

#: How many records from its writer's end a run's end record is looked for: other threads may log a little behind it.
_TAIL = 256
#: Bytes of a journal in which definitions of metrics are looked for.
_BEGINNING = 65_536


@attrs.frozen(kw_only=True)
class Glance:
    """
    What the end of a run's journal says, at a price that does not grow with the run.

    `metrics` are the last values met there, final ones and results first, then the newest first: perhaps not all. Where
    `define_metric` named another value, it is that one; see `Ending.is_defined`.
    """

    status: str
    duration: float | None
    metrics: dict[str, Any]


@attrs.frozen(kw_only=True)
class Ending:
    """
    What a glance is made of, as it stands in the journal.

    `is_defined` says that `define_metric` was called: wherever in a run that its opener has ended; by child processes,
    and in other runs, in the first 64 KB of a writer or among its last records.
    """

    status: str | None
    duration: float | None
    last_time: float | None
    metrics: dict[str, Any]
    is_defined: bool

    @classmethod
    def of(cls, folder: Path) -> Ending:
        """
        Return the ending of the run in *folder*; it holds until a file of the run changes.

        Raises:
            OSError: It has no end in what can be read, and a part cannot be read.
        """
        failures: list[OSError] = []
        newest = sorted(chain.from_iterable(_tails(folder, failures)), key=lambda record: record.time, reverse=True)
        end = next((record for record in newest if isinstance(record, RunEnd)), None)
        if end is None and failures:
            raise failures[0]
        return cls(
            status=end.status if end is not None else None,
            duration=end.duration if end is not None else None,
            last_time=newest[0].time if newest else None,
            metrics=_newest_metrics(newest, end),
            is_defined=(end is not None and end.defined)
            or any(isinstance(record, Define) for record in newest)
            or _begins_defined(folder),
        )


def end_status(folder: Path) -> str | None:
    """
    Return the status that the end record of the run in *folder* gives; None where there is none yet.

    Raises:
        OSError: There is none in what can be read, and a part cannot be read.
    """
    failures: list[OSError] = []
    for record in chain.from_iterable(_tails(folder, failures)):
        if isinstance(record, RunEnd):
            return record.status
    if failures:
        raise failures[0]
    return None


def _tails(folder: Path, failures: list[OSError]) -> list[Iterator[Record]]:
    """Return each writer's last records, newest first: a child may have written much behind the opener's end."""
    # The last writer first: of records of one time, a reader that goes forward meets its record last.
    writers = reversed(segments(folder).items())
    return [islice(read_writer_backwards(writer, paths, failures=failures), _TAIL) for writer, paths in writers]


def _begins_defined(folder: Path) -> bool:
    for paths in segments(folder).values():
        try:
            with open(paths[0], "rb") as file:
                if b'"kind":"define"' in file.read(_BEGINNING):
                    return True
        except OSError:  # not to be read: then neither is what it says
            continue
    return False


def _newest_metrics(newest_first: list[Record], end: RunEnd | None) -> dict[str, Any]:
    found: dict[str, Any] = dict(end.metrics) if end is not None else {}
    first = dict.fromkeys(found)
    for record in newest_first:
        if isinstance(record, LogLine) and record.level == "RESULT":
            values: Mapping[str, Any] = record.metrics
            first |= dict.fromkeys(values)
        elif isinstance(record, (LogLine, Metrics)):
            values = record.points if isinstance(record, LogLine) else record.metrics
        else:
            continue
        for name, value in values.items():
            found.setdefault(name, value)
    return {name: found[name] for name in {**first, **found}}
