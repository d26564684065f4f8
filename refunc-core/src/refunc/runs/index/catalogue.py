"""
The catalogue of the index: a row for each run with its facts, and the values of all runs under one name side by side.

A list or a search of thousands of runs reads a few columns of it, instead of each run. A row holds while the files of
its run have the recorded signature; the birth holds while `run.json` has the recorded state.
"""

from __future__ import annotations

import math
import os
import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs
import msgspec

from refunc.runs.flat import flat
from refunc.runs.statistics import STATISTICS
from refunc.values.jsonable import INT64_MAX, INT64_MIN

if TYPE_CHECKING:
    from refunc.runs.summary import Summary

TABLES: Final = """
CREATE TABLE IF NOT EXISTS entry (
    id INTEGER PRIMARY KEY, folder BLOB UNIQUE, seen TEXT, start REAL, birth BLOB,
    signature BLOB, run_changed INTEGER, journal_changed INTEGER, single BLOB, params BLOB, names BLOB
);
CREATE TABLE IF NOT EXISTS name (id INTEGER PRIMARY KEY, space TEXT, name TEXT, UNIQUE (space, name));
CREATE TABLE IF NOT EXISTS fact (name INTEGER, entry INTEGER, value BLOB, PRIMARY KEY (name, entry)) WITHOUT ROWID;
"""

#: Stands for a value that the catalogue does not keep: the run has it.
ELSEWHERE: Final = b""
#: A longer text is not kept, and no name that is longer.
_LONGEST: Final = 4_096
LONGEST_NAME: Final = 300
_BIGGEST_BIRTH: Final = 65_536

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode
_decode_birth = msgspec.msgpack.Decoder(dict[str, Any]).decode


#: When the folder of a run and that of its journal changed, in nanoseconds.
Changed: TypeAlias = tuple[int, int]


@attrs.frozen(kw_only=True)
class Facts:
    """
    The facts of one run: single values, such as its status, and values by space and name.

    `single` lacks those that may change while the files do not. A value may be ELSEWHERE. `params` are nested.
    """

    single: dict[str, Any]
    params: dict[str, Any]
    values: dict[tuple[str, str], Any]


def facts_for(single: dict[str, Any], summary: Summary) -> Facts:
    """Return the facts of a run to keep."""
    values: dict[tuple[str, str], Any] = {}
    for space, nested in (("params", summary.params), ("results", summary.results)):
        is_apart = True
        for name, value in _nodes(nested):
            # Two values that share a joined name are told apart by their nesting, which the catalogue does not have.
            is_apart &= (space, name) not in values
            values[space, name] = ELSEWHERE if (space, name) in values else value
        if not is_apart:
            for name, _ in flat(nested):
                values.setdefault((space, name), ELSEWHERE)
    values.update({("tags", name): value for name, value in summary.tags.items()})
    for name, metric in summary.metrics.items():
        values["metrics", name] = [*(getattr(metric, part) for part in STATISTICS), metric.shown, metric.summary]
    return Facts(
        single=single,
        params=summary.params,
        values={key: value for key, value in values.items() if len(key[1]) <= LONGEST_NAME},
    )


def _nodes(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value with its joined name; for a mapping with values, ELSEWHERE, and its own values."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield prefix + name, ELSEWHERE
            yield from _nodes(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


#: The state of a `run.json` that was seen, the run's start, the contents, and when the run's folder had changed; see
#: `keep_changes`.
KeptBirth: TypeAlias = tuple[str, float, bytes, "int | None"]


def births(connection: sqlite3.Connection) -> dict[str, KeptBirth]:
    """Return the births that were kept, by the folder's name."""
    rows = connection.execute("SELECT folder, seen, start, birth, run_changed FROM entry WHERE birth IS NOT NULL")
    return {os.fsdecode(row[0]): row[1:] for row in rows}


def kept_birth(data: bytes) -> dict[str, Any] | None:
    """Return the contents of a `run.json` that were kept; None if another version did."""
    try:
        return _decode_birth(data)
    except msgspec.MsgspecError:
        return None


def keep_births(connection: sqlite3.Connection, found: Mapping[str, tuple[str, float, dict[str, Any]]]) -> None:
    """Keep the contents of `run.json` of runs, by the folder's name; see `births`."""
    for folder, (seen, start, birth) in found.items():
        try:
            data = _encode(birth)
        except (OverflowError, UnicodeEncodeError):
            continue
        if len(data) <= _BIGGEST_BIRTH:
            query = "INSERT INTO entry (folder, seen, start, birth) VALUES (?, ?, ?, ?)"
            query += " ON CONFLICT (folder) DO UPDATE SET"
            query += " seen = excluded.seen, start = excluded.start, birth = excluded.birth"
            connection.execute(query, (os.fsencode(folder), seen, start, data))


#: A run's number, its signature, when its folder and that of its journal had changed, and its packed single values. The
#: times are None if they do not show later changes.
Entry: TypeAlias = tuple[int, bytes, "int | None", "int | None", bytes]


def entries(connection: sqlite3.Connection, folders: Sequence[str] | None = None) -> dict[str, Entry]:
    """Return by the folder's name the entry of each run that was read, or of those in *folders*."""
    query = "SELECT folder, id, signature, run_changed, journal_changed, single FROM entry WHERE signature IS NOT NULL"
    if folders is None:
        rows = connection.execute(query)
    else:
        rows = connection.execute(f"{query} AND folder IN ({placeholders(folders)})", [*map(os.fsencode, folders)])
    return {os.fsdecode(row[0]): row[1:] for row in rows}


def placeholders(values: Sequence[object]) -> str:
    """Return the marks of a query that stand for *values*."""
    return ",".join("?" * len(values))


def column(
    connection: sqlite3.Connection, space: str, name: str, numbers: Sequence[int] | None = None
) -> dict[int, Any]:
    """Return the values under one name by the numbers of all runs, or of those with *numbers*; packed or not."""
    query = "SELECT entry, value FROM fact WHERE name = (SELECT id FROM name WHERE space = ? AND name = ?)"
    if numbers is None:
        return dict(connection.execute(query, (space, name)).fetchall())
    query += f" AND entry IN ({placeholders(numbers)})"
    return dict(connection.execute(query, (space, name, *numbers)).fetchall())


def unpacked(data: bytes) -> Any:
    """Return a packed value, or the single values of an entry. Raises msgspec.MsgspecError."""
    return _decode(data)


def names_in(connection: sqlite3.Connection, space: str) -> list[str]:
    """Return the names in *space* that any run has."""
    query = "SELECT name FROM name WHERE space = ? AND EXISTS (SELECT 1 FROM fact WHERE fact.name = name.id)"
    return [name for (name,) in connection.execute(query, (space,))]


@attrs.frozen
class Names:
    """The numbers of names, each looked up once: they stay the same as long as the file does."""

    _connection: sqlite3.Connection
    _known: dict[tuple[str, str], int] = attrs.field(factory=dict, init=False)

    def number(self, space: str, name: str) -> int:
        """Return the number of the *name* in one of the expression's spaces, a new one if it has none."""
        key = (space, name)
        if key not in self._known:
            self._connection.execute("INSERT OR IGNORE INTO name (space, name) VALUES (?, ?)", key)
            found = self._connection.execute("SELECT id FROM name WHERE space = ? AND name = ?", key)
            (self._known[key],) = found.fetchone()
        return self._known[key]


def keep(
    connection: sqlite3.Connection,
    folder: str,
    signature: bytes,
    changed: Changed | None,
    facts: Facts,
    names: Names,
) -> None:
    """
    Keep the facts of one run.

    Args:
        changed: See `keep_changes`.
        names: Those of the same connection, for all runs of a batch.

    Raises:
        UnicodeEncodeError: It has a name that SQLite cannot store; nothing was kept.
        OverflowError: The same for a single value.
    """
    single = _encode(facts.single)
    for _, name in facts.values:
        name.encode()
    key = os.fsencode(folder)
    row = connection.execute("SELECT id FROM entry WHERE folder = ?", (key,)).fetchone()
    if row is None:
        number = connection.execute("INSERT INTO entry (folder) VALUES (?)", (key,)).lastrowid or 0
    else:
        number = row[0]
        forget_facts(connection, number)
    rows = [(names.number(*key), number, _kept(value)) for key, value in facts.values.items()]
    connection.executemany("INSERT OR REPLACE INTO fact VALUES (?, ?, ?)", rows)
    kept_names = array("q", [row[0] for row in rows]).tobytes()
    query = "UPDATE entry SET signature = ?, single = ?, params = ?, names = ? WHERE id = ?"
    connection.execute(query, (signature, single, _kept(facts.params, _BIGGEST_BIRTH), kept_names, number))
    keep_changes(connection, {folder: (signature, changed)})


def keep_changes(connection: sqlite3.Connection, found: Mapping[str, tuple[bytes, Changed | None]]) -> None:
    """Keep when the folders of runs had changed, unless their signatures are others now."""
    connection.executemany(
        "UPDATE entry SET run_changed = ?, journal_changed = ? WHERE folder = ? AND signature = ?",
        [(*(changed or (None, None)), os.fsencode(name), signature) for name, (signature, changed) in found.items()],
    )


def forget_facts(connection: sqlite3.Connection, number: int) -> None:
    """Delete the values of the run with this *number*."""
    (data,) = connection.execute("SELECT names FROM entry WHERE id = ?", (number,)).fetchone()
    names = array("q")
    names.frombytes(data or b"")
    connection.executemany("DELETE FROM fact WHERE name = ? AND entry = ?", ((name, number) for name in names))
    connection.execute(
        "UPDATE entry SET signature = NULL, single = NULL, params = NULL, names = NULL WHERE id = ?", (number,)
    )


def forget(connection: sqlite3.Connection, there: Iterable[bytes]) -> None:
    """Delete the runs whose folders are not *there* any more."""
    kept = set(there)
    for number, folder in connection.execute("SELECT id, folder FROM entry").fetchall():
        if folder not in kept:
            forget_facts(connection, number)
            connection.execute("DELETE FROM entry WHERE id = ?", (number,))


def params(connection: sqlite3.Connection, numbers: Sequence[int] | None = None) -> dict[int, Any]:
    """Return the packed params of all runs, or of those with *numbers*, by the runs' numbers."""
    query = "SELECT id, params FROM entry WHERE signature IS NOT NULL"
    if numbers is None:
        return dict(connection.execute(query).fetchall())
    return dict(connection.execute(f"{query} AND id IN ({placeholders(numbers)})", numbers).fetchall())


def tags(connection: sqlite3.Connection, rows: Iterable[Entry], numbers: Sequence[int] | None = None) -> dict[int, Any]:
    """Return all tags of each of *rows*, or of those with *numbers*, by the runs' numbers."""
    query = "SELECT entry, name.name, value FROM name JOIN fact ON fact.name = name.id WHERE space = 'tags'"
    found: dict[int, Any] = {row[0]: {} for row in rows}
    chosen = "" if numbers is None else f" AND entry IN ({placeholders(numbers)})"
    for entry, name, value in connection.execute(query + chosen, numbers or ()):
        known = found.get(entry)
        if isinstance(known, dict):
            if value == ELSEWHERE:
                found[entry] = ELSEWHERE
            else:
                known[name] = unpacked(value) if isinstance(value, bytes) else value
    return found


def _kept(value: Any, longest: int = _LONGEST) -> Any:
    """Return *value* for a column: as it is if SQLite keeps it exactly, else packed, or ELSEWHERE."""
    kind = type(value)
    if (kind is float and math.isfinite(value)) or (kind is int and INT64_MIN <= value <= INT64_MAX):
        return value
    try:
        if kind is str:
            return value if len(value) <= longest and value.isprintable() else _packed(value, longest)
        return _packed(value, longest)
    except (OverflowError, UnicodeEncodeError):
        return ELSEWHERE


def _packed(value: Any, longest: int) -> bytes:
    data = _encode(value)
    return data if len(data) <= longest else ELSEWHERE
