"""The contents of runs in the index: storing them, without their points, and finding them again."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import msgspec

from refunc.journal.pieces import writer_of
from refunc.journal.stretches import Found
from refunc.runs.gathered import Content
from refunc.runs.index import points
from refunc.runs.index.database import MAPPED, Damaged, transaction
from refunc.runs.index.file import Index, delete
from refunc.runs.index.writer_row import WriterRow
from refunc.runs.signature import Signature
from refunc.runs.stale import Stale
from refunc.runs.summary import Statistics
from refunc.runs.writer_content import WriterContent

#: The most ranges of record numbers; a journal with more gaps is read again each time.
_MOST_RANGES: Final = 200

_encode = msgspec.msgpack.Encoder().encode
_decode_heads = msgspec.msgpack.Decoder(list[WriterRow]).decode
_decode_signature = msgspec.msgpack.Decoder(Signature).decode
_decode_stretches = msgspec.msgpack.Decoder(dict[str, list[tuple[int, int]]]).decode


def load(index: Index, folder: Path) -> Content | None:
    """Return the indexed content of the run *folder*; None if it has none."""

    def ask(connection: sqlite3.Connection) -> Content | None:
        query = "SELECT id, generation, signature, whole, head, stretches FROM run WHERE folder = ?"
        row = connection.execute(query, (_key(folder),)).fetchone()
        return _content(index, folder, row) if row is not None else None

    return index.answer(ask)


def unknown(index: Index, folders: Sequence[Path]) -> list[Path]:
    """Return those of the runs in *folders* that belong to this store and are not indexed."""

    def ask(connection: sqlite3.Connection) -> set[bytes]:
        return {name for (name,) in connection.execute("SELECT folder FROM run WHERE whole")}

    known = index.answer(ask) or set()
    real = {folder: os.path.realpath(folder) for folder in folders}
    return [
        folder
        for folder, path in real.items()
        if os.path.dirname(path) == str(index.store) and os.fsencode(os.path.basename(path)) not in known
    ]


def save(index: Index, content: Content) -> bool:
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
            kept = _keep_head(index, connection, content, statistics)
            if kept is not None:
                for name, writer in content.writers.items():
                    for group in writer.columns.groups.values():
                        if group.rows:
                            points.keep(connection, kept.id, name, group)
            return kept

    try:
        kept = index.answer(keep)
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
    index: Index, connection: sqlite3.Connection, content: Content, statistics: dict[str, dict[str, Statistics]]
) -> StoredRun | None:
    """Return the run as stored in the index now; None if another process was quicker."""
    stored = content.stored
    key = _key(content.folder)
    found = connection.execute("SELECT id, generation FROM run WHERE folder = ?", (key,)).fetchone()
    if found != ((stored.id, stored.generation) if stored is not None else None):
        return None
    head = _encode([WriterRow.of(name, writer, statistics[name]) for name, writer in content.writers.items()])
    found = {name: each.pairs for w in content.writers.values() for name, each in w.position.stretches.items()}
    values = (_encode(content.signature), content.is_whole, head, _encode(found))
    if stored is not None and any(
        group.stored for w in content.writers.values() for group in w.columns.groups.values()
    ):
        generation = stored.generation + 1
        connection.execute(
            "UPDATE run SET generation = ?, signature = ?, whole = ?, head = ?, stretches = ? WHERE id = ?",
            (generation, *values, stored.id),
        )
        return StoredRun(index, stored.id, generation)
    if stored is not None:  # the stored content was of other files
        delete(connection, stored.id)
    query = "INSERT INTO run (folder, generation, signature, whole, head, stretches) VALUES (?, 0, ?, ?, ?, ?)"
    number = connection.execute(query, (key, *values)).lastrowid
    return StoredRun(index, number or 0, 0)


def kept_stretches(index: Index, folder: Path) -> tuple[Signature, dict[str, list[tuple[int, int]]]] | None:
    """Return the stretches of each segment of the run *folder*, and the state of its files at that time."""

    def ask(connection: sqlite3.Connection) -> tuple[Signature, dict[str, list[tuple[int, int]]]] | None:
        query = "SELECT signature, stretches FROM run WHERE folder = ?"
        row = connection.execute(query, (_key(folder),)).fetchone()
        return (_decode_signature(row[0]), _decode_stretches(row[1])) if row is not None else None

    return index.answer(ask)


def _content(index: Index, folder: Path, row: Any) -> Content:
    number, generation, signature, whole, head, stretches = row
    content = Content(folder, _decode_signature(signature), is_whole=bool(whole))
    content.stored = StoredRun(index, number, generation)
    content.writers = {known.writer: known.content() for known in _decode_heads(head)}
    for name, pairs in _decode_stretches(stretches).items():
        if (writer := content.writers.get(writer_of(name) or "")) is not None:
            writer.position.stretches[name] = Found(pairs)
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
            with self.index.opened() as connection:
                yield points.Source(connection, self.id)
                connection.execute("PRAGMA mmap_size = 0")  # pages of a mapped file count as memory of the process
                connection.execute(MAPPED)
        except (sqlite3.Error, OSError, Damaged) as error:
            raise Stale from error


def _key(folder: Path) -> bytes:
    return os.fsencode(os.path.basename(os.path.realpath(folder)))


def _can_be_kept(writer: WriterContent) -> bool:
    return writer.position.is_whole and len(writer.position.numbers.ranges) <= _MOST_RANGES
