"""
The values that expressions read, of all runs of a store.

They come from the catalogue of the index, column by column. Only runs that are new to it, or have changed, are read.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias

import attrs
import msgspec

from refunc.runs.errors import RunFormatError
from refunc.runs.expression.asked import CHOSEN, SHOWN, SPACES, Path
from refunc.runs.expression.values import MISSING
from refunc.runs.facts import facts_of, names_of
from refunc.runs.index import catalogue
from refunc.runs.index.file import Index, index_of, names_of_few
from refunc.runs.keeping import Keeper, size_of
from refunc.runs.prefetch import read_ahead
from refunc.runs.run import Run
from refunc.runs.signature import signature_of
from refunc.runs.statistics import STATISTICS
from refunc.runs.unreadable import fault_of

#: The bytes of journals that are read for a page that is shown at once.
_AT_ONCE: Final = 1 << 20
_NOTHING: Final[Mapping[int, Any]] = {}
#: Runs that were read ahead whose values are asked for together.
_TOGETHER: Final = 50
#: From a run's number in the catalogue to its value.
Column: TypeAlias = Callable[[int], Any]


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
    values: dict[int, dict[Path, Any]] = {}
    unreadable: list[RunFormatError] = []
    keeper = Keeper(index)

    def take(number: int, found: dict[Path, Any] | RunFormatError) -> None:
        if isinstance(found, RunFormatError):
            unreadable.append(found)
        else:
            values[number] = found

    def take_kept(several: Sequence[tuple[int, Run]], rows: Rows | None) -> list[tuple[int, Run]]:
        """Take the values of the runs that *rows* has; return the other runs."""
        kept, others = rows.values_of(several, keeper) if rows is not None else ({}, list(several))
        for number, run in several if kept else ():
            found = kept.get(number)
            if found is not None:
                take(number, _completed(run, found, paths))
        return others

    numbered = list(enumerate(runs))
    new = take_kept(numbered, _rows(index, paths, names_of_few(runs)))
    new, unread = _parted(new, most_bytes)
    with read_ahead([run for _, run in new], processes, for_facts=True) as in_turn:
        waiting = zip((number for number, _ in new), in_turn, strict=True)
        while several := list(islice(waiting, _TOGETHER if processes > 1 else 1)):
            names = [run.folder.name for _, run in several]
            for number, run in take_kept(several, _rows(index, paths, names) if processes > 1 else None):
                take(number, _read(run, paths, keeper))
    keeper.flush()
    return Found([(run, values[number]) for number, run in numbered if number in values], unreadable, unread)


def _parted(runs: list[tuple[int, Run]], most_bytes: float) -> tuple[list[tuple[int, Run]], list[Run]]:
    """Return the first of *runs* whose journals have *most_bytes* together, and the others."""
    if most_bytes == math.inf:
        return runs, []
    read: list[tuple[int, Run]] = []
    unread: list[Run] = []
    left = most_bytes
    for number, run in runs:
        left -= size_of(signature_of(run.folder))
        if left < 0:
            unread.append(run)
        else:
            read.append((number, run))
    return read, unread


def _completed(run: Run, kept: dict[Path, Any], paths: frozenset[Path]) -> dict[Path, Any] | RunFormatError:
    """Return the values that the catalogue has *kept*, with the others; the fault of a run that cannot be read."""
    if len(kept) == len(paths):
        return kept
    try:
        return kept | facts_of(run, paths - kept.keys())
    except Exception as error:
        return fault_of(run.folder, error)


def _read(run: Run, paths: frozenset[Path], keeper: Keeper) -> dict[Path, Any] | RunFormatError:
    """Return the values of a run that is read now; its fault if it cannot be read."""
    try:
        return facts_of(run, paths, keeper.read(run))
    except Exception as error:
        return fault_of(run.folder, error)


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


def _rows(index: Index | None, paths: frozenset[Path], folders: Sequence[str] | None = None) -> Rows | None:
    """Return the rows of all runs, or of those in *folders*; None if they cannot be read."""
    if index is None or any(len(".".join(path[1:])) > catalogue.LONGEST_NAME for path in paths):
        return None
    return index.answer(lambda connection: Rows.read(connection, paths, folders))


@attrs.frozen
class Rows:
    """Rows of the catalogue with the columns that were asked for."""

    entries: Mapping[str, catalogue.Entry]
    #: By path: columns, each with the index of the statistic in it if it is of a metric.
    columns: Mapping[Path, Sequence[tuple[Mapping[int, Any], int | None]]]
    single: Sequence[str]

    @classmethod
    def read(cls, connection: sqlite3.Connection, paths: frozenset[Path], folders: Sequence[str] | None) -> Rows:
        """Return the rows of all runs, or of those in *folders*."""
        entries = catalogue.entries(connection, folders)
        numbers = [entry[0] for entry in entries.values()] if folders is not None else None

        def column(space: str, name: str) -> Mapping[int, Any]:
            return catalogue.column(connection, space, name, numbers) if entries else _NOTHING

        columns: dict[Path, list[tuple[Mapping[int, Any], int | None]]] = {}
        for path in paths:
            space, *names = path
            whole = ".".join(names)
            if path == ("params",):
                columns[path] = [(catalogue.params(connection, numbers), None)]
            elif path == ("tags",):
                columns[path] = [(catalogue.tags(connection, entries.values(), numbers), None)]
            elif space in (SHOWN, CHOSEN):
                columns[path] = [(column("metrics", whole), len(STATISTICS) + (space == CHOSEN))]
            elif space == "metrics":
                columns[path] = []
                if len(names) > 1 and names[-1] in STATISTICS:
                    columns[path].append((column(space, ".".join(names[:-1])), STATISTICS.index(names[-1])))
                columns[path].append((column(space, whole), STATISTICS.index("last")))
            elif space in SPACES:
                columns[path] = [(column(space, whole), None)]
        return cls(entries, columns, [path[0] for path in paths if path not in columns])

    def values_of(
        self, runs: Sequence[tuple[int, Run]], keeper: Keeper
    ) -> tuple[dict[int, dict[Path, Any]], list[tuple[int, Run]]]:
        """
        Return the values of *runs* that the catalogue keeps, by the numbers of the runs.

        Besides, the runs that are not there, or have changed. A value that is not kept is missing in the first.
        """
        found: dict[int, dict[Path, Any]] = {}
        others: list[tuple[int, Run]] = []
        columns = [(path, _column(columns)) for path, columns in self.columns.items()]
        for number, run in runs:
            path = run.place
            entry = self.entries.get(path.rpartition("/")[2])
            values = self._values(entry, columns) if entry is not None and keeper.holds(run, path, entry) else None
            if values is None:
                others.append((number, run))
            else:
                found[number] = values
        return found, others

    def _values(self, entry: catalogue.Entry, columns: list[tuple[Path, Column]]) -> dict[Path, Any] | None:
        try:
            values: dict[Path, Any] = {}
            if self.single:
                single = catalogue.unpacked(entry[4])
                for name in self.single:
                    if name in single:
                        values[name,] = MISSING if (value := single[name]) is None else value
            for path, value_of in columns:
                value = value_of(entry[0])
                if value is not catalogue.ELSEWHERE:
                    values[path] = value
        except (msgspec.MsgspecError, TypeError, IndexError):  # of another version
            return None
        return values


def _column(columns: Sequence[tuple[Mapping[int, Any], int | None]]) -> Column:
    """Return the function from a run's number to its value in the first of *columns* that has one."""

    def value_of(number: int) -> Any:
        for column, part in columns:
            value = column.get(number, MISSING)
            if value is MISSING:
                continue
            if isinstance(value, bytes):
                if value == catalogue.ELSEWHERE:
                    return catalogue.ELSEWHERE
                value = catalogue.unpacked(value)
            if part is not None:
                value = value[part]
                return MISSING if value is None else value
            return value
        return MISSING

    return value_of
