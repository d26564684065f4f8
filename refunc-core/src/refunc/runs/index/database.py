"""The SQLite file of an index: opened, made, and made again where it is damaged."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from refunc.outlets.opening import own_only
from refunc.runs.index import catalogue, points
from refunc.runs.index.location import is_ours

#: If the file has another version, it is rebuilt.
VERSION: Final = 7
#: Seconds to wait for a lock; then the journals are read instead.
_PATIENCE: Final = 2.0

#: Lets SQLite map the file into memory.
MAPPED: Final = "PRAGMA mmap_size = 1073741824"

_TABLES: Final = f"""
PRAGMA journal_mode = WAL;
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS store (path BLOB);
CREATE TABLE IF NOT EXISTS ending (folder BLOB PRIMARY KEY, signature BLOB, ending BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS run (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    folder BLOB UNIQUE, generation INTEGER, signature BLOB, whole INTEGER, head BLOB, stretches BLOB
);
{points.TABLES}
{catalogue.TABLES}
PRAGMA user_version = {VERSION};
COMMIT;
"""

_Answer = TypeVar("_Answer")


class Damaged(Exception):
    """The file has invalid contents."""


class _Held(threading.local):
    """The files that this thread keeps open, by their paths: each reader of a run has a `Database` of its own."""

    def __init__(self) -> None:
        self.open: dict[Path, sqlite3.Connection] = {}


_held: Final = _Held()


class Database:
    """The file of one store's index."""

    def __init__(self, path: Path, store: Path) -> None:
        """The file is opened on first use."""
        self.path = path
        self.store = store

    def answer(self, ask: Callable[[sqlite3.Connection], _Answer]) -> _Answer | None:
        """Return the answer of *ask*; None if the file cannot be used now. A damaged one is deleted and made again."""
        for _ in range(2):
            try:
                with self.opened() as connection:
                    return ask(connection)
            except (sqlite3.OperationalError, OSError) as error:  # locked, full, not readable or writable
                if "no such" not in str(error):
                    return None
                self._remove()
            except (sqlite3.DatabaseError, msgspec.MsgspecError, Damaged):
                self._remove()
        return None

    @contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """Open the file, unless this thread keeps it open. Raises as `connect` does."""
        held = _held.open.get(self.path)
        if held is not None:
            yield held
            return
        with closing(self.connect()) as connection:
            yield connection

    def connect(self) -> sqlite3.Connection:
        """Open the file, and create it if it is missing. Raises sqlite3.Error, OSError, Damaged."""
        self._make()
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
            connection.execute(MAPPED)
        except BaseException:
            connection.close()
            raise
        return connection

    def _make(self) -> None:
        """Create the file if it is missing, private to the user. Raises OSError if others can write to its folder."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not is_ours(self.path.parent):
            raise PermissionError(errno.EPERM, "others can write to the folder of the index", str(self.path.parent))
        with suppress(FileExistsError):
            os.close(own_only(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL))
        # By its name: closing a descriptor of the file would release SQLite's locks on it in this process.
        info = os.lstat(self.path)
        if not stat.S_ISREG(info.st_mode):
            raise Damaged
        if os.name == "posix" and info.st_mode & 0o077:
            os.chmod(self.path, 0o600)

    @contextmanager
    def held_open(self) -> Iterator[bool]:
        """
        Keep the file open in this thread, for every `Database` of it, and yield whether it is writable.

        Closing the last connection makes SQLite write back its log, and opening one takes longer than a small question.
        """
        if self.path in _held.open:
            yield True
            return
        with ExitStack() as stack:
            try:
                _held.open[self.path] = connection = stack.enter_context(closing(self.connect()))
                stack.callback(self._let_go)
                with transaction(connection):
                    is_writable = True
            except (sqlite3.Error, OSError, Damaged):  # handled when it is used
                self._let_go()
                is_writable = False
            yield is_writable

    def _let_go(self) -> None:
        _held.open.pop(self.path, None)

    def _remove(self) -> None:
        self._let_go()
        for suffix in ("", "-wal", "-shm"):
            with suppress(OSError):
                os.unlink(f"{self.path}{suffix}")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Keep all changes of the block, or none if it raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
