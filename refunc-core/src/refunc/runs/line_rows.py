"""The facts of each log line that pages of lines need: its time, step and level, and where it stands."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import accumulate
from typing import TypeAlias

from refunc.journal.intake import Intake
from refunc.journal.reader import METRICS_MARK
from refunc.journal.record import Gap, LogLine
from refunc.values.levels import WARNING, written_level

#: Time, step or NaN, level, offset and length in bytes, and the number of its segment.
Row: TypeAlias = tuple[float, ...]


def rows_of(block: list[bytes], offset: int, segment: int, intake: Intake) -> Iterator[Row]:
    """Yield the facts of each log line in a block that begins at *offset*."""
    for line in block:
        begin, offset = offset, offset + len(line) + 1
        if METRICS_MARK in line[:128]:
            continue
        record = intake.record(line)
        if isinstance(record, LogLine):
            step = math.nan if record.step is None else float(record.step)
            yield record.time, step, _level(record.level), begin, len(line), segment
        elif isinstance(record, Gap):
            yield record.time, math.nan, WARNING, begin, len(line), segment


def _level(name: str) -> int:
    return max(0, min(255, written_level(name)))


def by_time(writers: list[list[Row]]) -> list[Row]:
    """Return the rows of several writers by time; each writer's order is kept, also where a clock was set back."""
    keyed = [
        (key, row) for rows in writers for key, row in zip(accumulate((row[0] for row in rows), max), rows, strict=True)
    ]
    keyed.sort(key=lambda pair: pair[0])
    return [row for _, row in keyed]
