"""
Bounds on the parts of a run in memory: metrics, and records other than points and lines.

A journal of some megabytes can name a hundred thousand metrics, which each take a hundred times the memory of their
names. Data beyond these bounds is left out, counted and reported; it stays in the journal, for `refunc logs` and
exports of entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from refunc.values.definitions import MAX_PATTERNS

#: The most metrics of a run, and the most characters of all their names.
MAX_METRICS: Final = 50_000
_MAX_LETTERS: Final = 4_000_000
#: The most columns of points in groups of several metrics, of all writers; and the most columns in groups of one.
_MAX_COLUMNS: Final = 150_000
_MAX_ALONE: Final = 50_000
#: The most values in a run's params, tags, results, definitions and artifacts, and the most bytes of their lines.
MAX_NOTED: Final = 200_000
_MAX_NOTED_BYTES: Final = 16 << 20


@attrs.frozen
class LeftOut:
    """The counts of data beyond the bounds: definitions, values of metrics, other records."""

    definitions: int = 0
    values: int = 0
    records: int = 0

    def __add__(self, other: LeftOut) -> LeftOut:
        """Return the sum of both."""
        return LeftOut(*(getattr(self, field.name) + getattr(other, field.name) for field in attrs.fields(LeftOut)))

    def told(self) -> Iterator[str]:
        """Yield a line of text for each kind."""
        if self.definitions:
            yield f"{self.definitions:,} definitions are left out: at most {MAX_PATTERNS:,} patterns of a run are used"
        if self.values:
            yield f"{self.values:,} values of further metrics are left out: {MAX_METRICS:,} metrics of a run are read"
        if self.records:
            yield f"{self.records:,} params, tags, results, definitions and artifacts are left out: there are too many"


@attrs.define
class Room:
    """The room that all writers of one run have used so far."""

    _names: set[str] = attrs.Factory(set)
    _letters: int = 0
    _columns: int = 0
    _alone: int = 0
    _noted: int = 0
    _noted_bytes: int = 0

    def admit(self, names: Iterable[str]) -> list[str]:
        """Return those of *names* that are admitted as metrics of the run; there is no room for the others."""
        admitted = []
        for name in names:
            if name not in self._names:
                if len(self._names) >= MAX_METRICS or self._letters + len(name) > _MAX_LETTERS:
                    continue
                self._names.add(name)
                self._letters += len(name)
            admitted.append(name)
        return admitted

    def admit_columns(self, count: int) -> bool:
        """Whether there is room for *count* metrics of one writer that are logged together, or for one alone."""
        if count == 1:
            self._alone += (is_admitted := self._alone < _MAX_ALONE)
        else:
            self._columns += count * (is_admitted := self._columns + count <= _MAX_COLUMNS)
        return is_admitted

    def give_back_columns(self, count: int) -> None:
        """Take back that *count* metrics were admitted by `admit_columns`: they will be asked for again."""
        if count == 1:
            self._alone -= 1
        else:
            self._columns -= count

    def admit_note(self, line: bytes) -> bool:
        """Whether there is room for one more record, that of *line*."""
        values = line.count(b",") + line.count(b"[") + line.count(b"{")
        if self._noted + values > MAX_NOTED or self._noted_bytes + len(line) > _MAX_NOTED_BYTES:
            self.close()
            return False
        self._noted += values
        self._noted_bytes += len(line)
        return True

    def close(self) -> None:
        """Admit no further records, so that later records are left out, not larger ones."""
        self._noted = MAX_NOTED
