"""Points in the index: rows of metrics that were logged together, in parts of some thousands, each column a blob."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import attrs
import msgspec

from refunc.runs.column import RowNumbers, form_of
from refunc.runs.points import Points, all_rows, appended
from refunc.runs.stale import Stale

if TYPE_CHECKING:
    from refunc.runs.columns import RowGroup

#: Parts with fewer rows are extended: a run that is read while it is running gets a few rows at a time.
_SMALL: Final = 16_384

#: The kind of a row of `blob`: the rows' numbers, if they do not just follow `first`; steps, times, epochs; from 0 on
#: the values of a column.
_ROWS, _STEPS, _TIMES, _EPOCHS = -4, -3, -2, -1
#: The types of steps, times and epochs, in this order; see `column.form_of`.
_FORMS: Final = frozenset({"qdq", "ddq", "qdd", "ddd"})

TABLES: Final = """
CREATE TABLE IF NOT EXISTS part (
    id INTEGER PRIMARY KEY, run INTEGER, writer TEXT, names BLOB, count INTEGER, stepless INTEGER, forms TEXT,
    first INTEGER
);
CREATE INDEX IF NOT EXISTS part_of ON part (run, writer, names);
CREATE TABLE IF NOT EXISTS blob (part INTEGER, kind INTEGER, data BLOB);
CREATE INDEX IF NOT EXISTS blob_of ON blob (part, kind);
"""

_OF_GROUP: Final = "SELECT id, count, stepless, forms, first FROM part WHERE run = ? AND writer = ? AND names = ?"

_encode = msgspec.msgpack.Encoder().encode


@attrs.frozen
class Source:
    """One run's points, while the index is open. Metrics of one group share the buffers of their steps and times."""

    connection: sqlite3.Connection
    run: int
    _axes: dict[tuple[int, int], Any] = attrs.field(factory=dict, init=False)
    _parts: dict[tuple[str, int], list[Any]] = attrs.field(factory=dict, init=False)

    def points(self, writer: str, group: RowGroup, column: int, *, rows: bool) -> Points:
        """Return the points of one of the metrics in the first `stored` rows of *group*. Raises Stale."""
        left = group.stored
        found = []
        for part, count, stepless, forms, first in self._parts_of(writer, group):
            wanted = min(count, left)
            steps, times, epochs = (
                self._axis(part, kind, form, count)[:wanted]
                for kind, form in zip((_STEPS, _TIMES, _EPOCHS), _checked(forms), strict=True)
            )
            numbers = self._rows(part, first, count)[:wanted] if rows else range(0)
            values = self._blob(part, column, "d", count)[:wanted]
            found.append(Points(steps, values, times, epochs, numbers, bool(stepless)))
            left -= wanted
            if not left:
                return appended(found)
        raise Stale

    def parts(self, writer: str, group: RowGroup, column: int) -> Iterator[Points]:
        """Yield these points part by part, without the rows' numbers, and keep none. Raises Stale."""
        left = group.stored
        # Pages of a mapped file count as memory of the process, and here each is read once.
        self.connection.execute("PRAGMA mmap_size = 0")
        for part, count, stepless, forms, _ in self._parts_of(writer, group):
            if not left:
                break
            wanted = min(count, left)
            left -= wanted
            steps, times, epochs = (
                self._blob(part, kind, form, count)[:wanted]
                for kind, form in zip((_STEPS, _TIMES, _EPOCHS), _checked(forms), strict=True)
            )
            values = self._blob(part, column, "d", count)[:wanted]
            yield Points(steps, values, times, epochs, range(0), bool(stepless))
        if left:
            raise Stale

    def _parts_of(self, writer: str, group: RowGroup) -> list[Any]:
        # Queried once per group, which may have as many metrics as a line.
        key = (writer, id(group))
        if key not in self._parts:
            query = f"{_OF_GROUP} ORDER BY id"
            self._parts[key] = self.connection.execute(query, (self.run, writer, _encode(group.names))).fetchall()
        return self._parts[key]

    def _rows(self, part: int, first: Any, count: int) -> RowNumbers:
        return range(first, first + count) if isinstance(first, int) else self._axis(part, _ROWS, "q", count)

    def _axis(self, part: int, kind: int, form: str, count: int) -> Any:
        if (part, kind) not in self._axes:
            self._axes[part, kind] = self._blob(part, kind, form, count)
        return self._axes[part, kind]

    def _blob(self, part: int, kind: int, form: str, count: int) -> Any:
        row = self.connection.execute("SELECT data FROM blob WHERE part = ? AND kind = ?", (part, kind)).fetchone()
        if row is None and kind == _EPOCHS:
            return array(form)
        if row is None or len(row[0]) != 8 * count:
            raise Stale
        return memoryview(row[0]).cast(form)  # type: ignore[call-overload]


def _checked(forms: Any) -> str:
    """Return *forms*, of steps, times and epochs, if they are valid. Raises Stale."""
    if forms not in _FORMS:
        raise Stale
    return str(forms)


@attrs.frozen
class _Part:
    """The last part of a group, which was too small to be left as it was."""

    rows: RowNumbers
    stepless: bool
    blobs: dict[int, bytes]


def keep(connection: sqlite3.Connection, run: int, writer: str, group: RowGroup) -> None:
    """Append the rows of *group* in memory to those in the index."""
    names, rows, stepless = _encode(group.names), group.rows, group.stepless
    blobs: dict[int, Any] = {_STEPS: group.steps, _TIMES: group.times, **dict(enumerate(group.values))}
    if group.epochs:
        blobs[_EPOCHS] = group.epochs
    forms = f"{form_of(group.steps)}d{form_of(group.epochs)}"
    small = _taken_back(connection, (run, writer, names), forms, is_staged=_EPOCHS in blobs) if group.stored else None
    if small is not None:
        rows, stepless = all_rows([small.rows, rows]), stepless or small.stepless
        blobs = {kind: small.blobs[kind] + data.tobytes() for kind, data in blobs.items()}
    first = rows.start if isinstance(rows, range) else None
    query = "INSERT INTO part (run, writer, names, count, stepless, forms, first) VALUES (?, ?, ?, ?, ?, ?, ?)"
    part = connection.execute(query, (run, writer, names, len(rows), stepless, forms, first)).lastrowid
    if first is None:
        blobs[_ROWS] = rows
    connection.executemany(
        "INSERT INTO blob VALUES (?, ?, ?)", [(part, kind, memoryview(data)) for kind, data in blobs.items()]
    )


def _taken_back(
    connection: sqlite3.Connection, group: tuple[int, str, bytes], forms: str, *, is_staged: bool
) -> _Part | None:
    """
    Return the last part of a *group*, and delete it; None if it has enough rows, or columns of another kind.

    Args:
        group: The numbers and names that its parts have.
        is_staged: Whether the new rows have epochs.
    """
    last = connection.execute(f"{_OF_GROUP} ORDER BY id DESC LIMIT 1", group).fetchone()
    if last is None or last[1] >= _SMALL or last[3] != forms:
        return None
    part, count, stepless, _, first = last
    blobs = dict(connection.execute("SELECT kind, data FROM blob WHERE part = ?", (part,)).fetchall())
    if (_EPOCHS in blobs) != is_staged:
        return None
    connection.execute("DELETE FROM part WHERE id = ?", (part,))
    connection.execute("DELETE FROM blob WHERE part = ?", (part,))
    rows = array("q", blobs[_ROWS]) if first is None else range(first, first + count)
    return _Part(rows, bool(stepless), blobs)


def delete(connection: sqlite3.Connection, run: int) -> None:
    """Delete the points of *run*."""
    connection.execute("DELETE FROM blob WHERE part IN (SELECT id FROM part WHERE run = ?)", (run,))
    connection.execute("DELETE FROM part WHERE run = ?", (run,))
