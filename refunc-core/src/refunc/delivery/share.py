"""
The records that are delivered of a run of several processes: those of rank 0, and warnings and artifacts of others.

Trackers get the curves, params and tags of rank 0. Of other ranks they get artifacts and lines from WARNING on; with
`REFUNC_RANK_METRICS=all`, their metrics as well, as `rank_3/loss`. Points that an attempt logged beyond the step that a
later one went back to are left out, if they are not delivered by then.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import attrs

from refunc.journal.codec import decode_line
from refunc.journal.kinds import REWIND
from refunc.journal.opening import NoDescriptorError
from refunc.journal.pieces import Segment, segments
from refunc.journal.ranks import rank_files
from refunc.journal.record import Artifact, Gap, LogLine, Metrics, Record
from refunc.journal.rewinds import ResumePoint, Rewinds
from refunc.journal.roles import role_of
from refunc.values import settings
from refunc.values.levels import WARNING, written_level

#: The bytes at the beginning of a writer in which the step is looked for that its attempt goes on from.
_BEGINNING: Final = 65_536
_MARK: Final = f'"kind":"{REWIND}"'.encode()
#: The word that asks for the metrics of all ranks.
ALL: Final = "all"


class Share:
    """Which records of a run go to its integrations. Reads the rank files again at each `look`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rewinds = Rewinds()
        #: The number of the last attempt; 0 if one process alone has written the run.
        self.attempt = 0

    @property
    def is_shared(self) -> bool:
        """Whether several processes took part."""
        return self.attempt > 0

    def look(self) -> int:
        """Look which attempt is the last, and return its number, 0 without any."""
        try:
            files = rank_files(self._folder)
        except (OSError, NoDescriptorError):
            return self.attempt
        last = files[-1].role.attempt if files else 0
        if last > max(1, self.attempt):
            self._rewinds = _rewinds(self._folder)
        self.attempt = last
        return last

    def admitted(self, records: list[Record]) -> list[Record]:
        """Return those of *records* that are delivered, renamed where they have to be told apart."""
        with_metrics = settings.RANK_METRICS.choice() == ALL
        found = []
        for record in records:
            role = role_of(record.writer)
            if isinstance(record, Metrics) and self._rewinds.hide(role.attempt, record.step, record.epoch):
                continue
            if (
                role.is_main
                or isinstance(record, (Artifact, Gap))
                or (isinstance(record, LogLine) and written_level(record.level) >= WARNING)
            ):
                found.append(record)
            elif isinstance(record, Metrics) and with_metrics:
                metrics = {f"rank_{role.rank}/{name}": value for name, value in record.metrics.items()}
                found.append(attrs.evolve(record, metrics=metrics))
        return found


def _rewinds(folder: Path) -> Rewinds:
    """Return the points that attempts of the run went back to."""
    return Rewinds(
        (attempt, point)
        for writer, pieces in segments(folder).items()
        if (attempt := role_of(writer).attempt) > 1
        for point in _rewinds_in(pieces[0])
    )


def _rewinds_in(segment: Segment) -> list[ResumePoint]:
    """Return the points of the `rewind` records at the beginning of *segment*."""
    try:
        with segment.opened() as file:
            lines = file.read(0, _BEGINNING).split(b"\n")[:-1]
    except OSError:
        return []
    found = [decode_line(line) for line in lines if _MARK in line]
    return [
        ResumePoint(fields["step"], fields.get("epoch") if _is_number(fields.get("epoch")) else None)
        for fields in found
        if fields is not None and _is_number(fields.get("step"))
    ]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and value == value
