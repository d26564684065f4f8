"""
The index: the contents of a store's runs in one SQLite file outside of the store, so that journals are read only once.

It is derived data, and may be deleted at any time: missing or damaged parts, or those of another version, are rebuilt
by the next reader. For each run it has the state of the files that were read, so a changed run is read on or again.
Readers neither wait for it nor fail because of it: if it cannot be used, the journals are read.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import attrs
import msgspec

from refunc.journal.pieces import writer_of
from refunc.journal.stretches import Found
from refunc.runs.gathered import Content, Signature, Stale, WriterContent
from refunc.runs.index import catalogue, points
from refunc.runs.index.database import Database, transaction
from refunc.runs.index.location import index_path
from refunc.runs.index.writer_row import Damaged, Head
from refunc.runs.summary import Statistics

#: The most ranges of record numbers; a journal with more gaps is read again each time.
_MOST_RANGES: Final = 200

_encode = msgspec.msgpack.Encoder().encode
_decode_heads = msgspec.msgpack.Decoder(list[Head]).decode
_decode_signature = msgspec.msgpack.Decoder(Signature).decode
_decode_stretches = msgspec.msgpack.Decoder(dict[str, list[tuple[int, int]]]).decode


def index_of(folder: Path) -> Index | None:
    """Return the index of the store that has the run *folder*; None if it is disabled."""
    return index_in(os.path.dirname(os.path.realpath(folder)))


def index_in(store: str | Path) -> Index | None:
    """Return the index of *store*, which is no link; None if it is disabled."""
    path = index_path(Path(store))
    return Index(path, Path(store)) if path is not None else None


class Index(Database):
    """One store's index. Its methods do not raise because of the state of the file."""

    def load(self, folder: Path) -> Content | None:
        """Return the indexed content of the run *folder*; None if it has none."""

        def ask(connection: sqlite3.Connection) -> Content | None:
            query = "SELECT id, generation, signature, whole, head, stretches FROM run WHERE folder = ?"
            row = connection.execute(query, (_key(folder),)).fetchone()
            return self._content(folder, row) if row is not None else None

        return self.answer(ask)

    def unknown(self, folders: Sequence[Path]) -> list[Path]:
        """Return those of the runs in *folders* that belong to this store and are not indexed."""

        def ask(connection: sqlite3.Connection) -> set[bytes]:
            return {name for (name,) in connection.execute("SELECT folder FROM run WHERE whole")}

        known = self.answer(ask) or set()
        real = {folder: os.path.realpath(folder) for folder in folders}
        return [
            folder
            for folder, path in real.items()
            if os.path.dirname(path) == str(self.store) and os.fsencode(os.path.basename(path)) not in known
        ]

    def save(self, content: Content) -> bool:
        """
        Store *content*, and drop its points in memory. Returns False if nothing was stored; then it is unchanged.

        If another process has stored something since *content* was loaded, that stays. A run may have a number or a
        text that SQLite cannot store.
        """
        if not all(_can_be_kept(writer) for writer in content.writers.values()):
            return False
        statistics = {name: writer.columns.statistics(writer.statistics) for name, writer in content.writers.items()}

        def keep(connection: sqlite3.Connection) -> StoredRun | None:
            with transaction(connection):
                kept = self._keep_head(connection, content, statistics)
                if kept is not None:
                    for name, writer in content.writers.items():
                        for group in writer.columns.groups.values():
                            if group.rows:
                                points.keep(connection, kept.id, name, group)
                return kept

        try:
            kept = self.answer(keep)
        except (OverflowError, UnicodeEncodeError):
            kept = None
        if kept is None:
            return False
        content.stored = kept
        for name, writer in content.writers.items():
            writer.statistics = statistics[name]
            writer.columns.forget()
        return True

    def _keep_head(
        self, connection: sqlite3.Connection, content: Content, statistics: dict[str, dict[str, Statistics]]
    ) -> StoredRun | None:
        """Return the run as stored in the index now; None if another process was quicker."""
        stored = content.stored if isinstance(content.stored, StoredRun) else None
        key = _key(content.folder)
        found = connection.execute("SELECT id, generation FROM run WHERE folder = ?", (key,)).fetchone()
        if found != ((stored.id, stored.generation) if stored is not None else None):
            return None
        head = _encode([Head.of(name, writer, statistics[name]) for name, writer in content.writers.items()])
        found = {name: each.pairs for w in content.writers.values() for name, each in w.place.stretches.items()}
        values = (_encode(content.signature), content.is_whole, head, _encode(found))
        if stored is not None and any(
            group.stored for w in content.writers.values() for group in w.columns.groups.values()
        ):
            generation = stored.generation + 1
            connection.execute(
                "UPDATE run SET generation = ?, signature = ?, whole = ?, head = ?, stretches = ? WHERE id = ?",
                (generation, *values, stored.id),
            )
            return StoredRun(self, stored.id, generation)
        if stored is not None:  # the stored content was of other files
            _delete(connection, stored.id)
        query = "INSERT INTO run (folder, generation, signature, whole, head, stretches) VALUES (?, 0, ?, ?, ?, ?)"
        number = connection.execute(query, (key, *values)).lastrowid
        return StoredRun(self, number or 0, 0)

    def stretches(self, folder: Path) -> tuple[Signature, dict[str, list[tuple[int, int]]]] | None:
        """Return the stretches of each segment of the run *folder*, and the state of its files at that time."""

        def ask(connection: sqlite3.Connection) -> tuple[Signature, dict[str, list[tuple[int, int]]]] | None:
            query = "SELECT signature, stretches FROM run WHERE folder = ?"
            row = connection.execute(query, (_key(folder),)).fetchone()
            return (_decode_signature(row[0]), _decode_stretches(row[1])) if row is not None else None

        return self.answer(ask)

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
        """Store what `catalogue.keep` keeps, by the folder's name; a run that cannot be stored is left out."""

        def keep(connection: sqlite3.Connection) -> None:
            known: dict[Any, int] = {}
            with transaction(connection):
                for folder, values in found.items():
                    with suppress(OverflowError, UnicodeEncodeError):
                        catalogue.keep(connection, folder, *values, known)

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
            query += f" WHERE folder IN ({','.join('?' * len(names))})"
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
                        _delete(connection, run)
                catalogue.forget(connection, there)
            return True

        self.answer(keep)

    def _content(self, folder: Path, row: Any) -> Content:
        number, generation, signature, whole, head, stretches = row
        content = Content(folder, _decode_signature(signature), is_whole=bool(whole))
        content.stored = StoredRun(self, number, generation)
        content.writers = {known.writer: known.content() for known in _decode_heads(head)}
        for name, pairs in _decode_stretches(stretches).items():
            if (writer := content.writers.get(writer_of(name) or "")) is not None:
                writer.place.stretches[name] = Found(pairs)
        return content


@attrs.frozen
class StoredRun:
    """A run in the index, as it was when it was loaded."""

    index: Index
    id: int
    generation: int

    @contextmanager
    def opened(self) -> Iterator[points.Source]:
        """Open the index for reading points. Raises Stale where that cannot be."""
        try:
            connection = self.index.connect()
            try:
                yield points.Source(connection, self.id)
            finally:
                connection.close()
        except (sqlite3.Error, OSError, Damaged) as error:
            raise Stale from error


def _key(folder: Path) -> bytes:
    return os.fsencode(os.path.basename(os.path.realpath(folder)))


def _delete(connection: sqlite3.Connection, run: int) -> None:
    points.delete(connection, run)
    connection.execute("DELETE FROM run WHERE id = ?", (run,))


def _can_be_kept(writer: WriterContent) -> bool:
    return writer.place.is_whole and len(writer.place.numbers.ranges) <= _MOST_RANGES
