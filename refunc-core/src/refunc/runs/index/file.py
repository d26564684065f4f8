"""
The index: the contents of a store's runs in one SQLite file outside of the store, so that journals are read only once.

It is derived data, and may be deleted at any time: missing or damaged parts, or those of another version, are rebuilt
by the next reader. For each run it has the state of the files that were read, so a changed run is read on or again.
Readers neither wait for it nor fail because of it: if it cannot be used, the journals are read.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from refunc.runs.index import catalogue, points
from refunc.runs.index.database import Database, transaction
from refunc.runs.index.location import index_path

if TYPE_CHECKING:
    from refunc.runs.unreadable import InFolder

#: So few runs are looked up one by one, of however many the index has.
_FEW: Final = 200


def index_of(folder: Path) -> Index | None:
    """Return the index of the store that has the run *folder*; None if it is disabled."""
    return index_in(os.path.dirname(os.path.realpath(folder)))


def index_in(store: str | Path) -> Index | None:
    """Return the index of *store*, which is not a link; None if it is disabled."""
    path = index_path(Path(store))
    return Index(path, Path(store)) if path is not None else None


def names_of_few(runs: Sequence[InFolder]) -> list[str] | None:
    """Return the names by which the index is asked for *runs*; None to ask for all that it has, if they are many."""
    return [run.folder.name for run in runs] if len(runs) <= _FEW else None


class Index(Database):
    """One store's index. Its methods do not raise because of the state of the file."""

    # -- the catalogue -----------------------------------------------------------------------------------------------

    def births(self) -> dict[str, catalogue.KeptBirth]:
        """Return the births that `keep_births` stored; see `catalogue.births`."""
        return self.answer(catalogue.births) or {}

    def keep_births(self, found: Mapping[str, tuple[str, float, dict[str, Any]]]) -> None:
        """Store the births that were *found*; see `catalogue.births`."""

        def keep(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                catalogue.keep_births(connection, found)

        self.answer(keep)

    def keep_facts(self, found: Mapping[str, tuple[bytes, catalogue.Changed | None, catalogue.Facts]]) -> None:
        """Store facts of runs by `catalogue.keep`, by the folder's name; a run that cannot be stored is left out."""

        def keep(connection: sqlite3.Connection) -> None:
            names = catalogue.Names(connection)
            with transaction(connection):
                for folder, values in found.items():
                    with suppress(OverflowError, UnicodeEncodeError):
                        catalogue.keep(connection, folder, *values, names)

        self.answer(keep)

    def keep_changes(self, found: Mapping[str, tuple[bytes, catalogue.Changed | None]]) -> None:
        """Store when the folders of runs had changed; see `catalogue.keep_changes`."""

        def keep(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                catalogue.keep_changes(connection, found)

        self.answer(keep)

    # -- endings of runs, for lists -----------------------------------------------------------------------------------

    def endings(self, names: Sequence[str] | None = None) -> dict[str, tuple[bytes, bytes]]:
        """
        Return the signatures and endings that `keep_endings` stored, by the name of the run's folder.

        Args:
            names: Those that are wanted, some hundreds at most; by default all.
        """
        query = "SELECT folder, signature, ending FROM ending"
        if names is not None:
            query += f" WHERE folder IN ({catalogue.placeholders(names)})"
        wanted = [os.fsencode(name) for name in names or ()]

        def ask(connection: sqlite3.Connection) -> dict[str, tuple[bytes, bytes]]:
            rows = connection.execute(query, wanted)
            return {os.fsdecode(name): (signature, ending) for name, signature, ending in rows}

        return self.answer(ask) or {}

    def keep_endings(self, endings: dict[str, tuple[bytes, bytes]]) -> None:
        """Store *endings*, and forget all runs whose folders are gone."""

        def keep(connection: sqlite3.Connection) -> bool:
            there = set(os.listdir(os.fsencode(self.store)))
            with transaction(connection):
                connection.executemany(
                    "INSERT OR REPLACE INTO ending VALUES (?, ?, ?)",
                    [(os.fsencode(name), *values) for name, values in endings.items()],
                )
                for (name,) in connection.execute("SELECT folder FROM ending").fetchall():
                    if name not in there:
                        connection.execute("DELETE FROM ending WHERE folder = ?", (name,))
                for run, name in connection.execute("SELECT id, folder FROM run").fetchall():
                    if name not in there:
                        delete(connection, run)
                catalogue.forget(connection, there)
            return True

        self.answer(keep)


def delete(connection: sqlite3.Connection, run: int) -> None:
    """Delete the content of the run with this number."""
    points.delete(connection, run)
    connection.execute("DELETE FROM run WHERE id = ?", (run,))
