"""Points in the index: rows of metrics that were logged together, in parts of some thousands, each column a blob."""

from __future__ import annotations

import sqlite3
from array import array
from typing import Any, Final

import attrs
import msgspec

from refunc.runs.columns import Group, Points, appended
from refunc.runs.content import Stale

#: Rows of a part below which the next rows join it: a run that is looked at while it runs gets a few at a time.
_SMALL: Final = 16_384

#: What a row of `blob` is: the rows' numbers, steps, times, epochs; from 0 on the values of a column.
_ROWS, _STEPS, _TIMES, _EPOCHS = -4, -3, -2, -1

TABLES: Final = """
CREATE TABLE IF NOT EXISTS part (
    id INTEGER PRIMARY KEY, run INTEGER, writer TEXT, names BLOB, count INTEGER, stepless INTEGER
);
CREATE INDEX IF NOT EXISTS part_of ON part (run, writer, names);
CREATE TABLE IF NOT EXISTS blob (part INTEGER, kind INTEGER, data BLOB);
CREATE INDEX IF NOT EXISTS blob_of ON blob (part, kind);
"""

_encode = msgspec.msgpack.Encoder().encode


@attrs.frozen
class Source:
    """One run's points, while the index is open. Metrics of one group share the buffers of their steps and times."""

    connection: sqlite3.Connection
    run: int
    _axes: dict[tuple[int, int], Any] = attrs.field(factory=dict, init=False)

    def points(self, writer: str, group: Group, name: str, *, rows: bool) -> Points:
        """Return the points of *name* in the first `stored` rows of *group*. Raises Stale."""
        query = "SELECT id, count, stepless FROM part WHERE run = ? AND writer = ? AND names = ? ORDER BY id"
        column, left = group.names.index(name), group.stored
        found = []
        for part, count, stepless in self.connection.execute(
            query, (self.run, writer, _encode(group.names))
        ).fetchall():
            wanted = min(count, left)
            steps, times, epochs = (
                self._axis(part, kind, form, count)[:wanted]
                for kind, form in ((_STEPS, "q"), (_TIMES, "d"), (_EPOCHS, "q"))
            )
            numbers = self._axis(part, _ROWS, "q", count)[:wanted] if rows else array("q")
            values = self._blob(part, column, "d", count)[:wanted]
            found.append(Points(steps, values, times, epochs, numbers, bool(stepless)))
            left -= wanted
            if not left:
                return appended(found)
        raise Stale

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


def keep(connection: sqlite3.Connection, run: int, writer: str, group: Group) -> None:
    """Put the rows of *group* that are in memory behind those in the index."""
    names = _encode(group.names)
    blobs: dict[int, Any] = {_ROWS: group.rows, _STEPS: group.steps, _TIMES: group.times}
    if group.epochs:
        blobs[_EPOCHS] = group.epochs
    blobs |= dict(enumerate(group.values))
    count = len(group.rows)
    query = "SELECT id, count, stepless FROM part WHERE run = ? AND writer = ? AND names = ? ORDER BY id DESC LIMIT 1"
    last = connection.execute(query, (run, writer, names)).fetchone() if group.stored else None
    has_epochs, known = False, dict[int, bytes]()
    if last is not None:
        known = dict(connection.execute("SELECT kind, data FROM blob WHERE part = ?", (last[0],)).fetchall())
        has_epochs = _EPOCHS in known
    if last is not None and last[1] < _SMALL and has_epochs == bool(group.epochs):
        part = last[0]
        connection.execute(
            "UPDATE part SET count = ?, stepless = ? WHERE id = ?", (last[1] + count, last[2] or group.stepless, part)
        )
        connection.execute("DELETE FROM blob WHERE part = ?", (part,))
        blobs = {kind: known[kind] + data.tobytes() for kind, data in blobs.items()}
    else:
        query = "INSERT INTO part (run, writer, names, count, stepless) VALUES (?, ?, ?, ?, ?)"
        part = connection.execute(query, (run, writer, names, count, group.stepless)).lastrowid
    connection.executemany(
        "INSERT INTO blob VALUES (?, ?, ?)", [(part, kind, memoryview(data)) for kind, data in blobs.items()]
    )


def delete(connection: sqlite3.Connection, run: int) -> None:
    """Forget the points of *run*."""
    connection.execute("DELETE FROM blob WHERE part IN (SELECT id FROM part WHERE run = ?)", (run,))
    connection.execute("DELETE FROM part WHERE run = ?", (run,))
