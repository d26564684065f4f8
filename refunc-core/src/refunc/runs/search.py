"""
The values that expressions read, of all runs of a store.

They come from the catalogue of the index, column by column. Only runs that are new to it, or have changed, are read.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import msgspec

from refunc.runs.errors import RunFormatError
from refunc.runs.expression.asked import SPACES, Path
from refunc.runs.expression.values import MISSING
from refunc.runs.facts import facts_of, names_of
from refunc.runs.gathered import signature_of
from refunc.runs.index import catalogue
from refunc.runs.index.file import Index, index_of
from refunc.runs.keeping import Keeper, size_of, state_of
from refunc.runs.prefetch import read_ahead
from refunc.runs.run import Run
from refunc.runs.summary import STATISTICS
from refunc.runs.unreadable import fault_of

#: So few runs are looked up one by one, of however many the index has.
_FEW: Final = 200
#: The bytes of journals that are read for a page that is shown at once.
_AT_ONCE: Final = 1 << 20
_NOTHING: Final[Mapping[int, Any]] = {}


@attrs.frozen
class Found:
    """Runs with the values of each, in their order, and the errors of those that cannot be read."""

    runs: list[tuple[Run, dict[Path, Any]]]
    unreadable: list[RunFormatError]
    #: Runs that would have to be read first; see `kept_values_of`.
    unread: list[Run] = attrs.Factory(list)


def values_of(runs: Sequence[Run], paths: frozenset[Path], processes: int = 0) -> Found:
    """
    Return the values at *paths* of *runs*, which are of one store.

    Args:
        processes: See `Store.find`.
    """
    index = index_of(runs[0].folder) if runs else None
    if index is None:
        return _values_of(runs, paths, None, processes)
    with index.held_open():
        return _values_of(runs, paths, index, processes)


def kept_values_of(runs: Sequence[Run], paths: frozenset[Path]) -> Found:
    """
    Return the same without reading a run whose journal is not small: those are listed as unread.

    For a page, which is shown at once, and again when `values_of` has read them.
    """
    index = index_of(runs[0].folder) if runs else None
    if index is None:
        return _values_of(runs, paths, None, 0)
    with index.held_open():
        return _values_of(runs, paths, index, 0, most_bytes=_AT_ONCE)


def _values_of(
    runs: Sequence[Run], paths: frozenset[Path], index: Index | None, processes: int, *, most_bytes: float = math.inf
) -> Found:
    signatures = {run.folder: state_of(run) for run in runs}
    values: dict[Any, dict[Path, Any]] = {}
    unreadable: list[RunFormatError] = []

    def take_kept(several: Sequence[Run], rows: Rows | None) -> list[Run]:
        """Take the values of the runs that *rows* has; return the other runs."""
        others = []
        for run in several:
            found = rows.values_of(run.folder.name, signatures[run.folder]) if rows is not None else None
            if found is None:
                others.append(run)
            elif len(found) == len(paths) or _is_completed(run, found, paths, unreadable):
                values[run.folder] = found
        return others

    if len(runs) <= _FEW:
        new = [run for run in runs if take_kept([run], _rows(index, paths, run.folder.name))]
    else:
        new = take_kept(runs, _rows(index, paths))
    unread = []
    if most_bytes < math.inf:
        left = most_bytes
        for run in new:
            left -= size_of(signature_of(run.folder))
            if left < 0:
                unread.append(run)
        new = [run for run in new if run not in unread]
    keeper = Keeper(index)
    with read_ahead(new, processes, for_facts=True) as in_turn:
        for run in in_turn:
            if not take_kept([run], _rows(index, paths, run.folder.name) if processes > 1 else None):
                continue
            try:
                keeper.read(run)
                values[run.folder] = facts_of(run, paths)
            except Exception as error:
                unreadable.append(fault_of(run.folder, error))
    keeper.flush()
    return Found([(run, values[run.folder]) for run in runs if run.folder in values], unreadable, unread)


def _is_completed(run: Run, found: dict[Path, Any], paths: frozenset[Path], unreadable: list[RunFormatError]) -> bool:
    """Add the values that the catalogue does not keep; return whether the run could be read."""
    try:
        found |= facts_of(run, paths - found.keys())
    except Exception as error:
        unreadable.append(fault_of(run.folder, error))
        return False
    return True


def names_in(runs: Sequence[Run], space: str) -> list[str]:
    """Return the names in one of the expression's spaces that any of *runs* has, which are of one store."""
    index = index_of(runs[0].folder) if runs else None
    kept = index.answer(lambda connection: catalogue.names_in(connection, space)) if index is not None else None
    if kept is not None:
        return kept
    found: dict[str, None] = {}
    for run in runs:
        try:
            found.update(dict.fromkeys(names_of(run.summary)[space]))
        except Exception as error:
            fault_of(run.folder, error)
    return list(found)


# -- the catalogue -----------------------------------------------------------------------------------------------------


def _rows(index: Index | None, paths: frozenset[Path], folder: str | None = None) -> Rows | None:
    """Return the rows of all runs, or of the one in *folder*; None if they cannot be read."""
    if index is None or any(len(".".join(path[1:])) > catalogue.LONGEST_NAME for path in paths):
        return None
    return index.answer(lambda connection: Rows.read(connection, paths, folder))


@attrs.frozen
class Rows:
    """Rows of the catalogue with the columns that were asked for."""

    entries: Mapping[str, tuple[int, bytes, bytes]]
    #: By path: columns, each with the place of the statistic in it if it is of a metric.
    columns: Mapping[Path, Sequence[tuple[Mapping[int, Any], int | None]]]
    single: Sequence[str]

    @classmethod
    def read(cls, connection: sqlite3.Connection, paths: frozenset[Path], folder: str | None) -> Rows:
        """Return the rows of all runs, or of the one in *folder*."""
        entries = catalogue.entries(connection, folder)
        number = next((entry[0] for entry in entries.values()), None) if folder is not None else None

        def column(space: str, name: str) -> Mapping[int, Any]:
            return catalogue.column(connection, space, name, number) if entries else _NOTHING

        columns: dict[Path, list[tuple[Mapping[int, Any], int | None]]] = {}
        for path in paths:
            space, *names = path
            whole = ".".join(names)
            if path == ("params",):
                columns[path] = [(catalogue.params(connection, number), None)]
            elif path == ("tags",):
                columns[path] = [(catalogue.tags(connection, entries.values(), number), None)]
            elif space == "metrics":
                columns[path] = [(column(space, whole), STATISTICS.index("last"))]
                if len(names) > 1 and names[-1] in STATISTICS:
                    columns[path].append((column(space, ".".join(names[:-1])), STATISTICS.index(names[-1])))
            elif space in SPACES:
                columns[path] = [(column(space, whole), None)]
        return cls(entries, columns, [path[0] for path in paths if path not in columns])

    def values_of(self, folder: str, signature: bytes) -> dict[Path, Any] | None:
        """Return the values of a run that the catalogue keeps; None if it is not there, or has changed."""
        entry = self.entries.get(folder)
        if entry is None or entry[1] != signature:
            return None
        try:
            single = catalogue.unpacked(entry[2]) if self.single else {}
            found: dict[Path, Any] = {
                (name,): MISSING if (value := single[name]) is None else value for name in self.single if name in single
            }
            for path, columns in self.columns.items():
                value = _value(columns, entry[0])
                if value is not catalogue.ELSEWHERE:
                    found[path] = value
        except (msgspec.MsgspecError, TypeError, IndexError):  # of another version
            return None
        return found


def _value(columns: Sequence[tuple[Mapping[int, Any], int | None]], number: int) -> Any:
    for column, part in columns:
        value = column.get(number, MISSING)
        if value is MISSING:
            continue
        if value == catalogue.ELSEWHERE:
            return catalogue.ELSEWHERE
        if isinstance(value, bytes):
            value = catalogue.unpacked(value)
        if part is not None:
            value = value[part]
        return MISSING if part is not None and value is None else value
    return MISSING
