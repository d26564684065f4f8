"""
The index: what the runs of a store come to, kept in one SQLite file outside of them, so that it is read only once.

It is derived, and may be deleted at any time: what is missing, damaged or of another version is made anew by whoever
asks next. It says to each run which files it was made from, so a run that changed is read on, or read anew. Nobody
waits for it, and nothing fails because of it: where it cannot be used, the journals are read.

Where it is: `REFUNC_CACHE`, else `refunc` in `XDG_CACHE_HOME`, else in `~/.cache`. `REFUNC_CACHE=off` uses none.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs
import msgspec

from refunc.runs import parts
from refunc.runs.content import Content, Signature, Stale, WriterContent
from refunc.runs.head import Damaged, Head
from refunc.runs.summary import Statistics

#: Another number in the file, and the file is made anew.
VERSION: Final = 1
#: Seconds that a lock is waited for; then the journals are read instead.
_PATIENCE: Final = 2.0
#: Ranges of numbers met; a journal with more holes is read anew each time.
_MOST_RANGES: Final = 200

_TABLES: Final = f"""
PRAGMA journal_mode = WAL;
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS store (path BLOB);
CREATE TABLE IF NOT EXISTS ending (folder BLOB PRIMARY KEY, signature BLOB, ending BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS run (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    folder BLOB UNIQUE, generation INTEGER, signature BLOB, whole INTEGER, head BLOB
);
{parts.TABLES}
PRAGMA user_version = {VERSION};
COMMIT;
"""

_Answer = TypeVar("_Answer")


_encode = msgspec.msgpack.Encoder().encode
_decode_heads = msgspec.msgpack.Decoder(list[Head]).decode
_decode_signature = msgspec.msgpack.Decoder(Signature).decode


def cache_folder() -> Path | None:
    """Return the folder of indexes; None where there is to be none."""
    named = os.environ.get("REFUNC_CACHE")
    if named is not None and named.lower() in ("off", "0", "no", "false"):
        return None
    if named:
        return Path(named).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base, "refunc") if os.path.isabs(base) else None


def index_path(store: Path) -> Path | None:
    """Return where the index of the folder *store* is or would be; None where there is to be none."""
    folder = cache_folder()
    digest = hashlib.sha256(os.fsencode(os.path.realpath(store))).hexdigest()[:16]
    return folder / f"{digest}.sqlite" if folder is not None else None


def index_of(folder: Path) -> Index | None:
    """Return the index of the store in which the run *folder* lies; None where there is to be none."""
    store = os.path.dirname(os.path.realpath(folder))
    path = index_path(Path(store))
    return Index(path, Path(store)) if path is not None else None


class Index:
    """One store's index. No method raises because of the file, whatever state it is in."""

    def __init__(self, path: Path, store: Path) -> None:
        """Nothing is opened before it is used."""
        self.path = path
        self.store = store

    def load(self, folder: Path) -> Content | None:
        """Return what is known of the run *folder*; None where that is nothing."""

        def ask(connection: sqlite3.Connection) -> Content | None:
            query = "SELECT id, generation, signature, whole, head FROM run WHERE folder = ?"
            row = connection.execute(query, (_key(folder),)).fetchone()
            return self._content(folder, row) if row is not None else None

        return self._try(ask)

    def unknown(self, folders: Sequence[Path]) -> list[Path]:
        """Return those of the runs in *folders* of which nothing is known, and which are of this store."""

        def ask(connection: sqlite3.Connection) -> set[bytes]:
            return {name for (name,) in connection.execute("SELECT folder FROM run WHERE whole")}

        known = self._try(ask) or set()
        real = {folder: os.path.realpath(folder) for folder in folders}
        return [
            folder
            for folder, path in real.items()
            if os.path.dirname(path) == str(self.store) and os.fsencode(os.path.basename(path)) not in known
        ]

    @contextmanager
    def held_open(self) -> Iterator[bool]:
        """
        Keep the file open, and say whether it can be written.

        The last one who closes it writes back what SQLite has logged, which takes longer than to read a run.
        """
        with ExitStack() as stack:
            try:
                with _transaction(stack.enter_context(closing(self.connect()))):
                    is_writable = True
            except (sqlite3.Error, OSError, Damaged):  # whoever needs it will deal with it
                is_writable = False
            yield is_writable

    def save(self, content: Content) -> bool:
        """
        Keep *content*, and let go of its points in memory. False where nothing was kept: then it is as it was.

        Where another process has kept something since *content* was loaded, that stays.
        """
        if not all(_can_be_kept(writer) for writer in content.writers.values()):
            return False
        statistics = {name: writer.columns.statistics(writer.statistics) for name, writer in content.writers.items()}

        def keep(connection: sqlite3.Connection) -> StoredRun | None:
            with _transaction(connection):
                kept = self._keep_head(connection, content, statistics)
                if kept is not None:
                    for name, writer in content.writers.items():
                        for group in writer.columns.groups.values():
                            if group.rows:
                                parts.keep(connection, kept.id, name, group)
                return kept

        kept = self._try(keep)
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
        """Return the run as it is in the index now; None where another process was quicker."""
        stored = content.stored if isinstance(content.stored, StoredRun) else None
        key = _key(content.folder)
        found = connection.execute("SELECT id, generation FROM run WHERE folder = ?", (key,)).fetchone()
        if found != ((stored.id, stored.generation) if stored is not None else None):
            return None
        head = _encode([Head.of(name, writer, statistics[name]) for name, writer in content.writers.items()])
        values = (_encode(content.signature), content.is_whole, head)
        if stored is not None and any(
            group.stored for w in content.writers.values() for group in w.columns.groups.values()
        ):
            generation = stored.generation + 1
            connection.execute(
                "UPDATE run SET generation = ?, signature = ?, whole = ?, head = ? WHERE id = ?",
                (generation, *values, stored.id),
            )
            return StoredRun(self, stored.id, generation)
        if stored is not None:  # what is known was of other files
            _delete(connection, stored.id)
        query = "INSERT INTO run (folder, generation, signature, whole, head) VALUES (?, 0, ?, ?, ?)"
        number = connection.execute(query, (key, *values)).lastrowid
        return StoredRun(self, number or 0, 0)

    # -- how runs ended, for lists ------------------------------------------------------------------------------------

    def endings(self) -> dict[str, tuple[bytes, bytes]]:
        """Return by the name of each run's folder what was kept by `keep_endings`: signature and ending."""

        def ask(connection: sqlite3.Connection) -> dict[str, tuple[bytes, bytes]]:
            rows = connection.execute("SELECT folder, signature, ending FROM ending")
            return {os.fsdecode(name): (signature, ending) for name, signature, ending in rows}

        return self._try(ask) or {}

    def keep_endings(self, endings: dict[str, tuple[bytes, bytes]]) -> None:
        """Keep *endings*, and forget all runs whose folders are gone."""

        def keep(connection: sqlite3.Connection) -> bool:
            there = set(os.listdir(os.fsencode(self.store)))
            with _transaction(connection):
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
            return True

        self._try(keep)

    # -- the file -----------------------------------------------------------------------------------------------------

    def _try(self, ask: Callable[[sqlite3.Connection], _Answer]) -> _Answer | None:
        """Return the answer; None where the file cannot be used now. A damaged file is deleted, and made anew."""
        for _ in range(2):
            try:
                connection = self.connect()
                try:
                    return ask(connection)
                finally:
                    connection.close()
            except (sqlite3.OperationalError, OSError) as error:  # locked, full, not to be read or written
                if "no such" not in str(error):
                    return None
                self._remove()
            except (sqlite3.DatabaseError, msgspec.MsgspecError, Damaged):
                self._remove()
        return None

    def connect(self) -> sqlite3.Connection:
        """Open the file, and make it where it is not there. Raises sqlite3.Error, OSError, Damaged."""
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        connection = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None)
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version not in (0, VERSION):
                raise Damaged
            if version == 0:
                connection.execute("PRAGMA page_size = 16384")
                connection.executescript(_TABLES)
                connection.execute("INSERT INTO store VALUES (?)", (os.fsencode(self.store),))
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA mmap_size = 1073741824")
        except BaseException:
            connection.close()
            raise
        return connection

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            with suppress(OSError):
                os.unlink(f"{self.path}{suffix}")

    def _content(self, folder: Path, row: Any) -> Content:
        number, generation, signature, whole, head = row
        content = Content(folder, _decode_signature(signature), is_whole=bool(whole))
        content.stored = StoredRun(self, number, generation)
        content.writers = {known.writer: known.content() for known in _decode_heads(head)}
        return content


@attrs.frozen
class StoredRun:
    """A run in the index, as it was when it was asked."""

    index: Index
    id: int
    generation: int

    @contextmanager
    def opened(self) -> Iterator[parts.Source]:
        """Open the index for reading points. Raises Stale where that cannot be."""
        try:
            connection = self.index.connect()
            try:
                yield parts.Source(connection, self.id)
            finally:
                connection.close()
        except (sqlite3.Error, OSError, Damaged) as error:
            raise Stale from error


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _key(folder: Path) -> bytes:
    return os.fsencode(os.path.basename(os.path.realpath(folder)))


def _delete(connection: sqlite3.Connection, run: int) -> None:
    parts.delete(connection, run)
    connection.execute("DELETE FROM run WHERE id = ?", (run,))


def _can_be_kept(writer: WriterContent) -> bool:
    return writer.place.is_whole and len(writer.place.numbers.ranges) <= _MOST_RANGES
