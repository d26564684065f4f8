"""
Files that exist complete or not at all: written as a draft next to their place, and renamed when they are complete.

A draft is `.NAME.ID.refunc.tmp`, with the first letters of its final name, and locked for as long as its process works
on it. So `refunc gc` can tell a draft that a killed process left from all other files, and from a draft that is still
being written. A run as a whole comes into a store, or leaves it, through a hidden folder.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from pathlib import Path
from types import TracebackType
from typing import Final

from refunc.outlets.locks import give_up, lock
from refunc.outlets.opening import open_file
from refunc.values.names import new_id

_NOFOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)
_ENDING: Final = ".refunc.tmp"
#: Letters of a name that a draft repeats: a name has room for 255 bytes, and a letter may take four.
_REPEATED: Final = 40
#: The ways of a run through a hidden folder: into the store, and out of it.
IMPORT, REMOVAL = "import", "gc"
_PASSAGE: Final = re.compile(rf"\.(?:{IMPORT}|{REMOVAL})-[0-9a-z]{{8}}")
_DRAFT: Final = re.compile(rf"\..+\.[0-9a-z]{{8}}{re.escape(_ENDING)}", re.DOTALL)


def is_draft_name(name: str) -> bool:
    """Whether only the draft of a file is called *name*."""
    return _DRAFT.fullmatch(name) is not None


def is_passage_name(name: str) -> bool:
    """Whether *name* is a result of `passage`."""
    return _PASSAGE.fullmatch(name) is not None


def passage(store: Path, way: str) -> Path:
    """Return a name for a hidden folder of *store*, through which a run goes on its *way*: IMPORT or REMOVAL."""
    return store / f".{way}-{new_id()}"


class Draft:
    """
    A new file next to *target*, open for writing as `fd`; the end of the `with` closes it, and removes it unless `put`.

    Args:
        private: Other users can neither read nor lock it, regardless of the umask.

    Raises:
        OSError: It cannot be made.
    """

    def __init__(self, target: Path, *, private: bool = False) -> None:
        self.path = target.with_name(f".{target.name[:_REPEATED]}.{new_id()}{_ENDING}")
        self._target = target
        self._is_put = False
        self.fd = open_file(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NOFOLLOW, 0o600 if private else 0o666)
        #: False if another process was faster: any process can lock a file that it can read.
        self.is_locked = lock(self.fd)

    def put(self, target: Path | None = None, *, fsync: bool = False) -> None:
        """
        Rename the draft to its final name, replacing a file of that name.

        Args:
            target: Another name in the same folder.
            fsync: Force the content to disk first.

        Raises:
            OSError: That failed; an existing file is unchanged.
        """
        if fsync:
            os.fsync(self.fd)
        os.replace(self.path, target or self._target)
        self._is_put = True

    def put_new(self, *, fsync: bool = False) -> None:
        """
        Give the draft its final name, unless a file has it; see `put`.

        Raises:
            FileExistsError: A file has it.
            OSError: That failed.
        """
        if fsync:
            os.fsync(self.fd)
        try:
            os.link(self.path, self._target)  # one step, on NFS as well
        except FileExistsError:
            raise
        except OSError:  # a file system without links, where two processes may be at it in the same moment
            if os.path.lexists(self._target):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(self._target)) from None
            os.replace(self.path, self._target)
        else:
            os.unlink(self.path)
        self._is_put = True

    def taken(self) -> int:
        """Return the descriptor, which is the caller's to give up from now on, with the lock."""
        fd, self.fd = self.fd, -1
        return fd

    def __enter__(self) -> Draft:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if not self._is_put:
            with contextlib.suppress(OSError):
                os.unlink(self.path)
        fd = self.taken()
        if fd >= 0:
            give_up(fd)
