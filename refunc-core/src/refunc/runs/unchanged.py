"""
Whether the files of a run are those that were read, at the cost of a few calls to the system.

The names in a folder are the same as long as the folder's time of change is, as git does it: that time cannot be set,
and the kernel moves it with each file that is made, renamed or removed. It says nothing about a change in the same
moment, so it counts only if it lay a while back when the folder was listed. Files that are appended to do not move it;
so each file that was read is asked for its size and time. The list of names is not asked for.
"""

from __future__ import annotations

import os
import time
from functools import lru_cache
from typing import Final

import msgspec

from refunc.journal.alive import file_system
from refunc.journal.folder import JOURNAL, RUN_JSON
from refunc.runs.identity import Look
from refunc.runs.signature import Signature

#: Nanoseconds: clocks of file systems are coarse, up to two seconds, and a change within one tick does not show.
_UNSETTLED: Final = 3_000_000_000
#: File systems whose folders have such a time. One in user space may make it up, or have none.
_TELLING: Final = frozenset(
    (b"ext2", b"ext3", b"ext4", b"xfs", b"btrfs", b"zfs", b"f2fs", b"bcachefs", b"tmpfs", b"overlay")
)

_decode = msgspec.msgpack.Decoder(Signature).decode


def changes_of(path: str) -> tuple[int, int] | None:
    """
    Return when the folder *path* of a run and that of its journal changed, in nanoseconds, to be asked before reading.

    None if a later change may not show.
    """
    try:
        folders = os.stat(path), os.stat(f"{path}/{JOURNAL}")
    except (OSError, ValueError):
        return None
    latest = time.time_ns() - _UNSETTLED
    if all(status.st_ctime_ns < latest and _tells(status.st_dev) for status in folders):
        return folders[0].st_ctime_ns, folders[1].st_ctime_ns
    return None


@lru_cache(maxsize=64)
def _tells(device: int) -> bool:
    return file_system(device)[0] in _TELLING


def is_unchanged(path: str, run_changed: int, journal_changed: int, signature: bytes, look: Look | None) -> bool:
    """
    Whether the run in the folder *path* has the files of a packed *signature*, and no annotations, now as before.

    Args:
        run_changed, journal_changed: The result of `changes_of`, from before the files were read.
        look: A look that a list has just taken.
    """
    stat = os.stat
    try:
        if (look.changed if look is not None else stat(path).st_ctime_ns) != run_changed:
            return False
        if stat(f"{path}/{JOURNAL}").st_ctime_ns != journal_changed:
            return False
        for name, size, changed, number in _decode(signature):
            if name != RUN_JSON:
                status = stat(f"{path}/{JOURNAL}/{name}")
            elif look is None:
                status = stat(f"{path}/{name}")
            elif look.birth == f"{size} {changed} {number}":
                continue
            else:
                return False
            if status.st_mtime_ns != changed or status.st_size != size or status.st_ino != number:
                return False
    except (OSError, ValueError, msgspec.MsgspecError):
        return False
    return True
