"""
Foreign SQLite files: opened without creating, changing or removing any files next to them, and read within bounds.

SQLite creates the files `-wal` and `-shm` next to a database in WAL mode, even to read it. An interrupted change in
`-wal` or `-journal` belongs to the database's content. So a database with one of these files is copied together with
it, and the copy is read; a database without them is read in place, as an immutable file.

In a damaged or crafted database, a page may be the child of many others: a file of a megabyte then has endless rows.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from refunc_commands.importing.files import SourceFiles
from refunc_commands.importing.problems import SourceError

MAGIC = b"SQLite format 3\0"
#: Ends a journal of a change to several databases: SQLite removes the file that the journal names.
_SUPER_JOURNAL = bytes.fromhex("d9d505f920a163d7")
_WAL_MODE = 2
_TRIES = 10
#: SQLite's machine steps between two checks of their number, and the most steps for each byte of a database.
_STEPS, _STEPS_PER_BYTE = 100_000, 10
_LEAST_STEPS = 20_000_000
#: The fewest bytes of the file for each row, and the number of rows that SQLite adds itself.
_ROW_BYTES, _OWN_ROWS = 4, 1_000
#: The size of all texts relative to the file, and a margin: texts in UTF-16 grow, and so do columns with a default.
_GROWTH, _LEAST_BYTES = 4, 1 << 20


class Database:
    """One reading of a database. Its rows are counted: there cannot be more than fit the file."""

    def __init__(self, connection: sqlite3.Connection, files: SourceFiles, size: int) -> None:
        self._connection = connection
        self._files = files
        self._rows = size // _ROW_BYTES + _OWN_ROWS
        self._bytes = _GROWTH * size + _LEAST_BYTES

    def rows(self, query: str, *values: object) -> Iterator[sqlite3.Row]:
        """
        Yield the rows of *query*.

        Raises:
            SourceError: There are more rows than the file can hold.
            sqlite3.Error: The database is damaged, or the query takes too many steps.
        """
        for row in self._connection.execute(query, values):
            size = sum(len(value) for value in row if isinstance(value, (str, bytes)))
            self._rows -= 1
            self._bytes -= size
            self._files.taken += size + _ROW_BYTES
            if self._rows < 0 or self._bytes < 0:
                raise SourceError("the database is damaged: it yields more data than its file holds")
            yield row

    def columns(self, table: str) -> set[str]:
        """
        Return the columns of *table*; empty if the table does not exist.

        Raises:
            SourceError: It is not a plain table; computed rows may be endless.
        """
        query = "SELECT type, rootpage, sql FROM sqlite_master WHERE lower(name) = ?"
        found = [tuple(row) for row in self.rows(query, table)]
        if not found:
            return set()
        columns = {row["name"]: row["hidden"] for row in self.rows(f"PRAGMA table_xinfo({table})")}
        ((kind, page, sql), *more) = found
        is_plain = kind == "table" and page and str(sql).upper().startswith("CREATE TABLE") and not more
        if not is_plain or any(columns.values()):
            raise SourceError("it is a view or a virtual table, which MLflow's tables are not")
        return set(columns)


class Snapshot:
    """A SQLite file as it is now: the file itself, or a copy that exists as long as this object."""

    def __init__(self, files: SourceFiles, path: Path) -> None:
        """
        Raises:
            SourceError: It is being written continuously, or cannot be opened without changing other files.
            OSError: It cannot be read or copied.
        """
        self._files = files
        self._path, self._options = path, "mode=ro"
        beside = [each for end in ("-wal", "-journal") if _has_content(each := path.with_name(path.name + end))]
        if beside:
            folder = tempfile.mkdtemp(prefix="refunc-import-")
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            self._path, self._options = _copied(files, [path, *beside], Path(folder)), "mode=rw"
        elif _is_wal(files, path):
            self._options = "mode=ro&immutable=1"
        self._size = sum(each.stat().st_size for each in (path, *beside))

    @contextmanager
    def opened(self) -> Iterator[Database]:
        """
        Open it.

        Raises:
            sqlite3.Error: It is damaged; or a query took more steps than its size allows for.
        """
        with closing(sqlite3.connect(f"{self._path.absolute().as_uri()}?{self._options}", uri=True)) as connection:
            left = max(_LEAST_STEPS, self._size * _STEPS_PER_BYTE) // _STEPS

            def step() -> int:
                nonlocal left
                left -= 1
                return left < 0

            connection.set_progress_handler(step, _STEPS)
            connection.row_factory = sqlite3.Row
            # In a text that is not UTF-8, only the bad bytes are replaced.
            connection.text_factory = lambda data: data.decode("utf-8", "backslashreplace")
            for setting in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
                connection.execute(f"PRAGMA {setting}").close()
            yield Database(connection, self._files, self._size)


def _has_content(path: Path) -> bool:
    """Whether the file *path* exists and is not empty: SQLite truncates its journals when they are done."""
    return path.is_symlink() or (path.exists() and path.stat().st_size > 0)


def _copied(files: SourceFiles, paths: list[Path], folder: Path) -> Path:
    """Copy a database and its journals, all as of one moment, and return the copy."""
    for _ in range(_TRIES):
        before = _state(paths)
        for path in paths:
            try:
                with files.open(path) as source, open(folder / path.name, "wb") as copy:
                    shutil.copyfileobj(source, copy, 1 << 20)
            except FileNotFoundError:  # the journal of a change that is over by now
                (folder / path.name).unlink(missing_ok=True)
                break
        if _state(paths) == before:
            break
    else:
        raise SourceError("it is being written continuously; import it when the training has ended")
    for path in paths:
        if path.name.endswith("-journal") and (folder / path.name).exists():
            _check_journal(folder / path.name)
    return folder / paths[0].name


def _is_wal(files: SourceFiles, path: Path) -> bool:
    with files.open(path) as file:
        return _WAL_MODE in file.read(20)[18:]


def _state(paths: list[Path]) -> list[Any]:
    """Return the state that changes with the database's content; an appended `-wal` does not count as a change."""
    state: list[Any] = []
    for path in paths:
        try:
            info = path.stat()
            if path.name.endswith("-wal"):
                with open(path, "rb") as file:
                    state.append(file.read(32))
            else:
                state.append((info.st_ino, info.st_size, info.st_mtime_ns))
        except FileNotFoundError:
            state.append(None)
    return state


def _check_journal(path: Path) -> None:
    with open(path, "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - len(_SUPER_JOURNAL)))
        if file.read() == _SUPER_JOURNAL:
            raise SourceError(
                "a change of several databases was interrupted; open it once with sqlite3, in its original place"
            )
