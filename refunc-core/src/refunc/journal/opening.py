"""
Opening the files of a run for reading. No other module opens them.

A run may come from another user: copied, sent, or in a shared store. A name in it may be a pipe, where a reader would
wait for ever, a device that never ends, or a link to any file of this machine.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from itertools import islice
from typing import BinaryIO, TypeVar

from refunc.outlets.opening import NO_DESCRIPTOR

_NOFOLLOW, _NONBLOCK = getattr(os, "O_NOFOLLOW", 0), getattr(os, "O_NONBLOCK", 0)
_FLAGS = os.O_RDONLY | _NOFOLLOW | _NONBLOCK | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)

_Answer = TypeVar("_Answer")


class NoDescriptorError(Exception):
    """
    A file could not be opened because this process, or the machine, has too many open.

    It is not an OSError, because readers treat that as damage of one file, and go on without it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(
            f"{os.fspath(path)} cannot be read: this process has reached its limit of open files. Close some, or raise "
            "the limit, for example with `ulimit -n 4096`."
        )
        self.errno = errno.EMFILE


def opened(path: str | os.PathLike[str], *, buffering: int = -1) -> BinaryIO:
    """
    Open the file *path* of a run for reading.

    Raises:
        OSError: It cannot be opened, or is a link, a folder, a pipe or a device.
        NoDescriptorError: Too many files are open.
    """
    fd = _unless_exhausted(path, lambda: _descriptor(path))
    try:
        return open(fd, "rb", buffering=buffering)
    except BaseException:
        os.close(fd)
        raise


def read_at(path: str | os.PathLike[str], offset: int, size: int) -> bytes:
    """
    Return *size* bytes of a run's file after *offset*, fewer if it ends; the file is closed again at once.

    So code that reads even 10,000 files in turns has only one of them open. Raises as `opened` does.
    """
    with opened(path) as file:
        file.seek(offset)
        return file.read(size)


def read_whole(path: str | os.PathLike[str], most: int) -> bytes:
    """Return the contents of a run's file. Raises as `opened` does, and OSError if it has more than *most* bytes."""
    data = read_at(path, 0, most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it has more than {most:,} bytes", os.fspath(path))
    return data


def names_in(folder: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    """
    Return the entries of a *folder* of a run, by name; none if it does not exist.

    Raises:
        OSError: It cannot be listed, or is a link.
        NoDescriptorError: Too many files are open.
    """

    def listed() -> list[os.DirEntry[str]]:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)

    try:
        kind = os.lstat(folder).st_mode
        if stat.S_ISLNK(kind):
            raise _is_link(folder)
        return _unless_exhausted(folder, listed) if stat.S_ISDIR(kind) else []
    except (FileNotFoundError, NotADirectoryError):
        return []


def first_files_in(folder: str | os.PathLike[str], most: int) -> list[str]:
    """
    Return the names of regular files in a *folder* of a run, in no order, among its first *most* entries.

    Raises:
        OSError: It cannot be listed.
        NoDescriptorError: Too many files are open.
    """

    def listed() -> list[str]:
        with os.scandir(folder) as entries:
            return [entry.name for entry in islice(entries, most) if entry.is_file(follow_symlinks=False)]

    return _unless_exhausted(folder, listed)


def _descriptor(path: str | os.PathLike[str]) -> int:
    if not _NOFOLLOW and os.path.islink(path):  # Windows
        raise _is_link(path)
    fd = os.open(path, _FLAGS)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is not a regular file", os.fspath(path))
    return fd


def _unless_exhausted(path: str | os.PathLike[str], ask: Callable[[], _Answer]) -> _Answer:
    try:
        return ask()
    except OSError as error:
        if error.errno in NO_DESCRIPTOR:
            raise NoDescriptorError(path) from error
        raise


def _is_link(path: str | os.PathLike[str]) -> OSError:
    return OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fspath(path))
