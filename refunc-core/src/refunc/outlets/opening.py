"""Opening files to write, so that neither links nor pipes mislead it, and no file gets a standard descriptor."""

from __future__ import annotations

import errno
import os
import stat

#: Errors that are not about the file: the process, or the machine, has reached its limit of open files.
NO_DESCRIPTOR = frozenset({errno.EMFILE, errno.ENFILE})

_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
#: Opening a pipe instead of a file would wait for ever.
NONBLOCK = getattr(os, "O_NONBLOCK", 0)


def no_links(path: str | os.PathLike[str], flags: int) -> int:
    """
    Open *path* for `open(…, opener=no_links)`: nothing is written through a link in the run, or into a pipe.

    For writing; `opening.opened` is for reading.
    """
    return _regular(open_file(path, flags | NOFOLLOW | NONBLOCK), path)


def own_only(path: str | os.PathLike[str], flags: int) -> int:
    """Do the same for a file that other users can neither read nor lock, regardless of the umask."""
    return _regular(open_file(path, flags | NOFOLLOW | NONBLOCK, 0o600), path)


def _regular(fd: int, path: str | os.PathLike[str]) -> int:
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is not a regular file", os.fspath(path))
    return fd


def open_file(path: str | os.PathLike[str], flags: int, mode: int = 0o666) -> int:
    """Open *path* as `os.open` does, or `open(…, opener=open_file)`, with a descriptor above the standard ones."""
    return above_standard(os.open(path, flags | _CLOEXEC, mode))


def above_standard(fd: int) -> int:
    """
    Return *fd*; if it is 0, 1 or 2, close it and return another descriptor of the same file.

    A program that was started with `2>&-` gives the first file that it opens the number of stderr. C libraries write to
    that number in any case, and their lines would end up in the file.
    """
    if fd > 2:
        return fd
    try:
        return above_standard(os.dup(fd))
    finally:
        os.close(fd)


def write_whole(fd: int, data: bytes | memoryview) -> None:
    """Write all of *data*: a disk that fills up takes only a part, and only the next write raises."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
