"""The log files of this process, by the names of the loggers that write them."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path

from refunc.logging.logfiles.logfile import FileSettings, LogFile
from refunc.processes.forks import in_child

# By the logger's name, then folder and suffix. Entries stay when a file is closed while a logger of the name lives: a
# late line opens it once more, and a logger that comes back to the folder must find that one.
_files: dict[str, dict[tuple[str, str], LogFile]] = {}
#: The files for records of each name; each tuple is replaced whole.
_in_use: dict[str, tuple[LogFile, ...]] = {}
#: Held for the few assignments by which a logger takes a file, or a file without a logger leaves the lists. Re-entrant:
#: a signal handler may make a logger.
_taking = threading.RLock()
#: Above this number of names, those without a logger are removed.
_most_names = 100


def named(name: str) -> tuple[LogFile, ...]:
    """Return the log files that records of the loggers called *name* go to."""
    return _in_use.get(name, ())


def files_for(user: object, folder: Path, name: str, wanted: Mapping[str, FileSettings]) -> list[LogFile]:
    """
    Return the log files that *user*, a logger called *name*, writes from now on; see `close_unused`.

    Args:
        wanted: The files' suffixes and settings, which also apply if other loggers write them.
    """
    if name not in _files:
        _forget_unused()
    try:
        place = os.path.realpath(folder)
    except OSError:  # the working folder was removed
        place = os.fspath(folder)
    files = []
    with _taking:
        known = _files.setdefault(name, {})
        for suffix, settings in wanted.items():
            key = (place, suffix)
            file = known.get(key) or known.setdefault(key, LogFile(folder, name, suffix, settings, forget))
            file.settings = settings
            file.users.add(user)
            files.append(file)
        for file in [*known.values()]:
            if file not in files:
                file.users.discard(user)
        _in_use[name] = tuple(file for file in known.values() if file.users)
    return files


def set_level(name: str, level: int) -> None:
    """Leave out data below *level* in the log files of the loggers called *name*."""
    for file in named(name):
        file.settings = file.settings._replace(level=level)


def close_unused(name: str) -> None:
    """Close the files that no logger called *name* writes any more."""
    for file in tuple(_files.get(name, {}).values()):
        if not file.users:
            file.close()


def forget(file: LogFile) -> None:
    """Remove *file* from all lists, unless a logger has taken it since it was seen to be unused."""
    with _taking:
        if file.users:
            return
        known = _files.get(file.name, {})
        for key, each in known.copy().items():
            if each is file:
                known.pop(key, None)
        if known:
            _in_use[file.name] = tuple(each for each in named(file.name) if each is not file)
        else:
            _files.pop(file.name, None)
            _in_use.pop(file.name, None)


def close_all() -> None:
    """Close and forget all files, as between two tests."""
    for known in [*_files.values()]:
        for file in [*known.values()]:
            file.close()
    _files.clear()
    _in_use.clear()


def _forget_unused() -> None:
    global _most_names
    if len(_files) > _most_names:
        for known in [*_files.values()]:
            for file in [*known.values()]:
                if file.is_unused():
                    file.let_go()
                    forget(file)
        _most_names = 2 * len(_files) + 100


@in_child
def _after_fork_in_child() -> None:
    global _taking
    _taking = threading.RLock()
