"""
Opening the files of a source; all access goes through this module.

A source may come from anywhere. A link in it may lead to any file of the user, a pipe blocks its reader, a device acts
when it is opened, and a file of a few bytes on the disk may claim to have a terabyte. So all readers open files
here, and so does the copying of artifacts.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import attrs

from refunc_commands.importing.problems import Problems, SourceError

_KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
_KINDS |= {stat.S_IFLNK: "a link that leads to itself", stat.S_IFDIR: "a folder"}
#: The least part of a larger file that has to be data: the rest may be holes, which take no disk but time to read.
_DENSE_BYTES, _LEAST_PART = 16 << 20, 1 / 100
_MOST_EXTENTS = 1_000
_LEADS_OUT = "it is a link that leads out of the source"
_BUFFER_BYTES = 1 << 16
#: Levels of folders below a source.
_MOST_LEVELS = 100


@attrs.define(eq=False)
class SourceFiles:
    """
    The files at and below one path, the source. `taken` is how many bytes were read of them.

    A link is followed where it leads to something in the source.
    """

    path: Path
    taken: int = 0
    _root: str = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        real = os.path.realpath(self.path)
        self._root = real if os.path.isdir(real) else os.path.dirname(real)

    def refusal(self, path: Path) -> str | None:
        """Return the reason not to open the file *path*, or None."""
        try:
            real = os.path.realpath(path)
            if not self._has(real):
                return _LEADS_OUT
            info = os.lstat(real)
        except (OSError, ValueError) as error:
            return _problem(error)
        if not stat.S_ISREG(info.st_mode):
            return f"it is {_KINDS.get(stat.S_IFMT(info.st_mode), 'something else')}, not a file"
        if info.st_size > _DENSE_BYTES and _written(real, info.st_size) < info.st_size * _LEAST_PART:
            return "it is a sparse file with almost no data"
        return None

    def open(self, path: Path) -> BinaryIO:
        """
        Open the file *path* of the source to read it, in bounded pieces.

        Raises:
            SourceError: It is outside of the source, or not a file.
            OSError: It cannot be read.
        """
        reason = self.refusal(path)
        if reason is not None:
            raise SourceError(reason)
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
        fd = os.open(os.path.realpath(path), flags)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise SourceError("it is no longer a file")
        return cast("BinaryIO", io.BufferedReader(_Counted(fd, self), _BUFFER_BYTES))

    def read(self, path: Path, most: int) -> bytes:
        """
        Return the contents of the file *path*.

        Raises:
            SourceError: As for `open`; or it has more than *most* bytes.
            OSError: It cannot be read.
        """
        with self.open(path) as file:
            data = file.read(min(most, os.fstat(file.fileno()).st_size) + 1)
        if len(data) > most:
            raise SourceError(f"it has more than {most:,} bytes")
        return data

    def is_file(self, path: Path) -> bool:
        """Whether *path* is a file that may be opened."""
        return self.refusal(path) is None

    def has_folder(self, path: Path) -> bool:
        """Whether *path* is a folder of the source."""
        return path.is_dir() and self._has(os.path.realpath(path))

    def folders(self, path: Path, problems: Problems | None = None) -> list[Path]:
        """Return the folders in *path*, in order; links out of the source are added to *problems*."""
        try:
            with os.scandir(path) as entries:
                names = sorted(entry.name for entry in entries if _is_folder(entry))
        except OSError:
            return []
        inside = []
        for name in names:
            if self._has(os.path.realpath(path / name)):
                inside.append(path / name)
            elif problems is not None:
                problems.leave_out(self._name(path / name), _LEADS_OUT)
        return inside

    def walk(self, folder: Path, problems: Problems, *, wanted: Callable[[str], bool] | None = None) -> Iterator[Path]:
        """
        Yield the files below *folder* that may be opened, those of a folder before those of the folders in it.

        The rest is added to *problems*, and so are links to folders, which would be read twice or without end.

        Args:
            wanted: Selects files by name; other files and links to folders are ignored.
        """
        if not folder.is_dir():
            return
        if not self._has(os.path.realpath(folder)):
            problems.leave_out(self._name(folder), _LEADS_OUT)
            return
        waiting = [(folder, 0)]
        while waiting:
            inner, level = waiting.pop()
            try:
                with os.scandir(inner) as entries:
                    found = sorted((entry.name, _is_folder(entry), entry.is_symlink()) for entry in entries)
            except OSError as error:
                problems.leave_out(self._name(inner), _problem(error))
                continue
            inside = []
            for name, is_folder, is_link in found:
                path = inner / name
                if is_folder and is_link:
                    if wanted is None:
                        problems.leave_out(self._name(path), "it is a link to a folder")
                elif is_folder and level >= _MOST_LEVELS:
                    problems.leave_out(self._name(path), f"it is more than {_MOST_LEVELS} folders deep")
                elif is_folder:
                    inside.append((path, level + 1))
                elif wanted is not None and not wanted(name):
                    continue
                elif (reason := self.refusal(path)) is not None:
                    problems.leave_out(self._name(path), reason)
                else:
                    yield path
            waiting += reversed(inside)

    def _has(self, real: str) -> bool:
        return real == self._root or real.startswith(self._root.rstrip(os.sep) + os.sep)

    def _name(self, path: Path) -> str:
        """Return the path of *path* relative to the source."""
        return path.relative_to(self.path).as_posix() if path.is_relative_to(self.path) else str(path)


class _Counted(io.FileIO):
    """A file that adds to `taken` of its source as it is read."""

    def __init__(self, fd: int, files: SourceFiles) -> None:
        super().__init__(fd)
        self._files = files

    def readinto(self, buffer: Any) -> int:
        size = super().readinto(buffer) or 0
        self._files.taken += size
        return size


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _written(path: str, size: int) -> int:
    """Return how many bytes of a file are not holes; all of them if the file system does not tell."""
    if not hasattr(os, "SEEK_DATA"):
        return size
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    found = at = 0
    try:
        for _ in range(_MOST_EXTENTS):
            begin = os.lseek(fd, at, os.SEEK_DATA)
            at = os.lseek(fd, begin, os.SEEK_HOLE)
            found += at - begin
        return size
    except OSError as error:
        return found if error.errno == errno.ENXIO else size  # no data after the last
    finally:
        os.close(fd)


def _problem(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "it is a broken link, or was removed meanwhile"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
