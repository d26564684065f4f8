"""
The number and size of the log files of a name: rotation by size, and removing files of processes that are gone.

A file is `train.log`, its predecessors are `train.log.1`, `train.log.2`, …, the latest first. A process that finds the
file taken writes to `train.4711.log`, with its pid. A logger name that ends like that gets a hash (`stem_for`), so that
the files removed here never belong to another logger.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from refunc.outlets.locks import is_locked
from refunc.values.names import unique_slug
from refunc.values.quantities import bytes_of

MIN_BYTES, MAX_BYTES = 1 << 10, 1 << 40
MAX_FILES = 10_000

_PID_AT_END = re.compile(r"\.\d+$")


def stem_for(name: str) -> str:
    """Return the file name of the log files of the logger *name*, before the pid and the suffix."""
    return unique_slug(name, "log", is_reserved=lambda plain: _PID_AT_END.search(plain) is not None)


def predecessor(path: Path, number: int) -> Path:
    """Return the file that was rotated *number* rotations ago; 0 is *path* itself."""
    return path.with_name(f"{path.name}.{number}") if number else path


def rotate(path: Path, max_files: int) -> None:
    """
    Move *path* and its predecessors on by one, and remove those beyond *max_files*, the next one included.

    Does nothing if *path* is gone: an interrupted call is finished by the next one.

    Raises:
        OSError: The system refuses a rename; *path* is unchanged.
    """
    if not path.exists():
        return
    for number in _predecessors(path):
        if number >= max_files - 1:
            predecessor(path, number).unlink(missing_ok=True)
    if max_files == 1:
        path.unlink(missing_ok=True)
        return
    last = next(number for number in range(1, max_files + 1) if not predecessor(path, number).exists())
    for number in range(last, 0, -1):
        with contextlib.suppress(FileNotFoundError):  # one was removed meanwhile
            os.replace(predecessor(path, number - 1), predecessor(path, number))


def _predecessors(path: Path) -> list[int]:
    found = (entry.name[len(path.name) + 1 :] for entry in os.scandir(path.parent) if _is_older(entry.name, path.name))
    return [int(number) for number in found if number.isdecimal() and len(number) < 9]


def _is_older(name: str, start: str) -> bool:
    return name.startswith(start + ".")


def remove_left(folder: Path, stem: str, suffix: str, max_files: int) -> None:
    """
    Remove files with a pid in their name, the oldest first, until fewer than *max_files* of processes that are gone are
    left. The file of a living process is never removed. Files that cannot be removed stay.
    """
    pattern = re.compile(re.escape(stem) + r"\.(\d{1,10})" + re.escape(suffix) + r"(?:\.\d+)?")
    left: list[tuple[float, str]] = []
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            match = pattern.fullmatch(entry.name)
            if match is None or _may_live(int(match[1]), folder / f"{stem}.{match[1]}{suffix}"):
                continue
            with contextlib.suppress(OSError):
                left.append((entry.stat(follow_symlinks=False).st_mtime, entry.name))
    left.sort()
    for _, name in left[: max(0, len(left) - (max_files - 1))]:
        with contextlib.suppress(OSError):
            os.unlink(folder / name)


def _may_live(pid: int, path: Path) -> bool:
    """Whether the process that writes *path* may still run, here or on another machine that shares the folder."""
    if pid == os.getpid() or os.name == "nt":  # signals cannot be used there; without locks such files are not written
        return True
    locked = is_locked(path)
    if locked is not False and path.exists():  # it runs, or that cannot be known
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def check_max_bytes(size: int | str) -> int:
    """
    Return a file size in bytes: a number, or text such as `500KB`, `100MB`, `1.5GB` (1 KB is 1,024 bytes).

    Raises:
        ValueError: It is not a size, or not between 1 KB and 1 TB.
    """
    amount = bytes_of(size)
    if amount is None or not MIN_BYTES <= amount <= MAX_BYTES:
        raise ValueError(f"max_file_size: {size!r} is not a size from 1KB to 1TB, such as 500KB, 100MB or a number.")
    return int(amount)


def check_max_files(count: int) -> int:
    """Return *count*, or raise the ValueError that names the allowed range."""
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_FILES:
        raise ValueError(f"max_log_files: {count!r} is not allowed. Allowed: a whole number from 1 to {MAX_FILES:,}.")
    return count
