"""
The log files of a logger: one of text, one of JSON lines, rotated by size, written by the writer thread.

One process writes a file, and has one LogFile for it, however many loggers of that name there are. A second training in
the same folder, or a forked worker, finds it locked and writes to one with its pid in the name; so nobody rotates a
file away under somebody else.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakSet

from refunc.journal.appender import FileOutlet
from refunc.journal.file import AppendFile, lock, write_whole
from refunc.journal.masking import is_wanted
from refunc.journal.names import unique_slug
from refunc.logging.fields import without_secrets_in

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)I?B?\s*", re.IGNORECASE)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
MIN_BYTES, MAX_BYTES = 1 << 10, 1 << 40
MAX_FILES = 10_000


class FileSettings(NamedTuple):
    """What a log file looks like."""

    formatter: logging.Formatter  # runs on the writer thread
    max_bytes: int  # size at which the file is rotated; one batch may exceed it
    max_files: int  # how many there are at most, the current one included


class LogFile(FileOutlet):
    """
    A log file and its rotated predecessors `name.1`, `name.2`, …; the folder is made at the first line.

    Items are `logging.LogRecord`s with their text already merged. Loggers get theirs from `files_for`.
    """

    def __init__(self, folder: Path, name: str, suffix: str, settings: FileSettings) -> None:
        """
        Args:
            name: The logger's name; the file's is a slug of it.
            settings: May be replaced at any time.
        """
        self._folder = folder
        self._stem = unique_slug(name, "log")
        self._suffix = suffix
        self.settings = settings
        #: The loggers that write to it; one that nobody refers to any more is none.
        self.users: WeakSet[object] = WeakSet()
        self._masks = is_wanted()
        super().__init__()

    def __str__(self) -> str:
        return f"The log file {self.path}"

    def _reset(self) -> None:
        super()._reset()
        self.path = self._folder / f"{self._stem}{self._suffix}"
        self._opened_before = False

    def _open_next(self) -> AppendFile:
        os.makedirs(self._folder, exist_ok=True)
        if not self._opened_before:
            self.path = self._folder / f"{self._stem}{self._suffix}"
        elif self.path.exists():  # it may have been deleted meanwhile
            self._rotate()
        file = AppendFile(self.path, new=False)
        if not lock(file.fd):
            file.close()
            self.path = self._folder / f"{self._stem}.{os.getpid()}{self._suffix}"
            file = AppendFile(self.path, new=False)
            lock(file.fd)
        self._opened_before = True
        size = file.size
        if size and file.read(size - 1, size) != b"\n":  # a killed process left half a line
            write_whole(file.fd, b"\n")
        return file

    def _rotate(self) -> None:
        max_files = self.settings.max_files
        for number in range(max_files - 1, 0, -1):
            older, newer = self._numbered(number), self._numbered(number - 1)
            if newer.exists():
                os.replace(newer, older)
        if max_files == 1:
            self.path.unlink(missing_ok=True)

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}") if number else self.path

    def _is_full(self, size: int) -> bool:
        return size >= self.settings.max_bytes

    def _encode(self, batch: list[Any], seq: int, drops: int) -> bytes:
        format_record = self.settings.formatter.format
        lines = [format_record(without_secrets_in(record) if self._masks else record) for record in batch]
        if drops:
            told = logging.LogRecord("refunc", logging.WARNING, __file__, 0, f"{drops} lines were dropped", None, None)
            lines.append(format_record(told))
        return "\n".join([*lines, ""]).encode("utf-8", "backslashreplace")

    def _is_kept(self, item: Any) -> bool:
        return bool(item.levelno >= logging.ERROR)

    def close(self) -> None:
        """Drain, sync and close the file. A line that comes later goes on with it."""
        super().close()
        self._opened_before = False


# Entries stay when a file is closed: a line of another thread that comes late opens it once more, and whoever comes
# back to the folder must find that one.
_files: dict[tuple[str, str, str], LogFile] = {}


def files_for(user: object, folder: Path, name: str, wanted: Mapping[str, FileSettings]) -> list[LogFile]:
    """
    Return the log files that *user*, a logger called *name*, is to write from now on; see `close_unused`.

    Args:
        wanted: The files' suffixes and what they are to look like, whoever else writes them.
    """
    place = os.path.realpath(folder)
    files = []
    for suffix, settings in wanted.items():
        key = (place, name, suffix)
        file = _files.get(key) or _files.setdefault(key, LogFile(folder, name, suffix, settings))
        file.settings = settings
        file.users.add(user)
        files.append(file)
    for file in _files_of(name):
        if file not in files:
            file.users.discard(user)
    return files


def close_unused(name: str) -> None:
    """Close the files that no logger called *name* writes any more."""
    for file in _files_of(name):
        if not file.users:
            file.close()


def _files_of(name: str) -> list[LogFile]:
    return [file for (_, other, _), file in tuple(_files.items()) if other == name]


def check_max_bytes(size: int | str) -> int:
    """
    Return a file size in bytes: a number, or text such as `500KB`, `100MB`, `1.5GB` (1 KB is 1,024 bytes).

    Raises:
        ValueError: It is no size, or not between 1 KB and 1 TB.
    """
    amount: float | None = None
    if isinstance(size, str):
        match = _SIZE.fullmatch(size)
        if match is not None:
            amount = float(match[1]) * _UNITS[match[2].upper()]
    elif isinstance(size, (int, float)) and not isinstance(size, bool):
        amount = float(size)
    if amount is None or not MIN_BYTES <= amount <= MAX_BYTES:
        raise ValueError(f"max_file_size: {size!r} is not a size from 1KB to 1TB, such as 500KB, 100MB or a number.")
    return int(amount)


def check_max_files(count: int) -> int:
    """Return *count*, or raise the ValueError that says what is allowed."""
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_FILES:
        raise ValueError(f"max_log_files: {count!r} is not allowed. Allowed: a whole number from 1 to {MAX_FILES:,}.")
    return count
