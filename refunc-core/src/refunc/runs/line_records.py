"""The records of a run besides its metrics, which the index helps to find: most bytes of a journal are metrics."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from refunc.journal.pieces import Segment, segments
from refunc.journal.reader import METRICS_MARK, read_backwards, read_journal
from refunc.journal.record import Record
from refunc.journal.stretches import Stretches
from refunc.runs.index.contents import kept_stretches
from refunc.runs.index.file import index_of
from refunc.runs.signature import signature_of


def records_without_metrics(folder: Path, *, newest_first: bool = False) -> Iterator[Record]:
    """
    Yield the records of the run in *folder* that are not lines of metrics, oldest first unless *newest_first*.

    If the index has the run, this costs as much as there are such records, else as much as the journal has bytes.

    Raises:
        OSError: The segments cannot be listed; see `pieces.segments`.
    """
    read = read_backwards if newest_first else read_journal
    return read(folder, pass_over=METRICS_MARK, stretches=stretches_of(folder))


def stretches_of(folder: Path) -> dict[str, Stretches]:
    """
    Return the stretches of metrics in the run's segments, by the segment's name, as far as the index has them.

    Those of a segment hold if it is the file that was indexed, unchanged except for appended lines.
    """
    index = index_of(folder)
    known = kept_stretches(index, folder) if index is not None else None
    if known is None:
        return {}
    signature, found = known
    before = {name: tuple(rest) for name, *rest in signature}
    now = {name: tuple(rest) for name, *rest in signature_of(folder)}
    there = [segment for pieces in segments(folder).values() for segment in pieces]
    return {
        segment.name: found[segment.name] for segment in there if segment.name in found and _holds(segment, before, now)
    }


def _holds(segment: Segment, before: dict[str, tuple[int, ...]], now: dict[str, tuple[int, ...]]) -> bool:
    name = os.path.basename(segment.path)
    known, file = before.get(name), now.get(name)
    if known is None or file is None:
        return False
    is_longer = file[0] > known[0] and file[2] == known[2] and not segment.is_folded
    return file == known or is_longer
