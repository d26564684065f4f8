"""
The records of a run of several processes that are delivered: rank 0's, and of other ranks what people need to see.

Trackers get the curves, params and tags of rank 0. Of other ranks they get artifacts and lines from WARNING on; with
`REFUNC_RANK_METRICS=all`, their metrics as well, as `rank_3/loss`. Points that an attempt logged beyond the step that a
later one went back to are left out, if they are not delivered by then.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import attrs

from refunc.journal.codec import decode_line
from refunc.journal.kinds import REWIND
from refunc.journal.opening import NoDescriptorError
from refunc.journal.pieces import Segment, segments
from refunc.journal.ranks import rank_files
from refunc.journal.record import Artifact, Gap, LogLine, Metrics, Record
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
        self._limits: dict[int, float] = {}
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
            self._limits = _limits(self._folder)
        self.attempt = last
        return last

    def admitted(self, records: list[Record]) -> list[Record]:
        """Return those of *records* that are delivered, renamed where they have to be told apart."""
        with_metrics = settings.RANK_METRICS.choice() == ALL
        found = []
        for record in records:
            role = role_of(record.writer)
            if isinstance(record, Metrics) and _is_superseded(record, self._limits.get(role.attempt, math.inf)):
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


def _is_superseded(record: Metrics, limit: float) -> bool:
    return record.step is not None and record.step > limit


def _limits(folder: Path) -> dict[int, float]:
    """Return by attempt the last step that later attempts have left in place."""
    went_back: dict[int, float] = {}
    for writer, pieces in segments(folder).items():
        attempt = role_of(writer).attempt
        if attempt > 1:
            for step in _rewinds_in(pieces[0]):
                went_back[attempt] = min(step, went_back.get(attempt, math.inf))
    last = max(went_back, default=0)
    return {attempt: min(step for later, step in went_back.items() if later > attempt) for attempt in range(1, last)}


def _rewinds_in(segment: Segment) -> list[float]:
    """Return the steps of the `rewind` records at the beginning of *segment*."""
    try:
        with segment.opened() as file:
            lines = file.read(0, _BEGINNING).split(b"\n")[:-1]
    except OSError:
        return []
    found = [decode_line(line) for line in lines if _MARK in line]
    steps = [fields.get("step") for fields in found if fields is not None]
    return [float(step) for step in steps if isinstance(step, (int, float)) and step == step]
