"""The contents of a folder that is logged as an artifact: its files, and the entries left out, with the reason."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

from refunc.journal.folder import ARTIFACTS

_KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


class Contents(NamedTuple):
    """The files of a folder, in order, and the reasons why entries are left out, by path within the folder."""

    files: list[tuple[Path, os.stat_result]]
    left_out: dict[str, str]


def contents_of(folder: Path, run: Path) -> Contents:
    """
    Return the contents of *folder* without opening any of them. Links to files are followed, links to folders are not.

    Args:
        run: The folder of the run, which is left out wherever it is found, as is the store that it is in.

    Raises:
        OSError: *folder* itself cannot be read.
    """
    # Not by os.walk: it silently leaves out a folder that cannot be read.
    found = Contents([], {})
    own = [os.stat(place) for place in (run, run.parent)]
    folders = [folder]
    while folders:
        inside = []
        place = folders.pop()
        try:
            names = sorted(os.listdir(place))
        except OSError as error:
            if place == folder:
                raise
            _leave_out(found, folder, place, _problem(error))
            continue
        for name in names:
            path = place / name
            try:
                info = path.stat()
                is_link = path.is_symlink()
            except OSError as error:
                _leave_out(found, folder, path, _problem(error))
                continue
            if stat.S_ISREG(info.st_mode):
                found.files.append((path, info))
            elif not stat.S_ISDIR(info.st_mode):
                _leave_out(found, folder, path, _KINDS.get(stat.S_IFMT(info.st_mode), "no file"))
            elif any(os.path.samestat(info, one) for one in own):
                _leave_out(found, folder, path, "the store of this run")
            elif is_link:
                _leave_out(found, folder, path, "a link to a folder")
            else:
                inside.append(path)
        folders += reversed(inside)
    return found


def store_inside(run: Path, folder: os.stat_result) -> Path | None:
    """
    Return the run's folder or the store if it is inside *folder*, and would be copied into itself; otherwise
    None.
    """
    place = Path(os.path.realpath(run))
    objects = place / ARTIFACTS
    for above in (objects, *objects.parents):
        if os.path.samestat(os.stat(above), folder):
            return place if above in (objects, place) else place.parent
    return None


def _leave_out(found: Contents, folder: Path, path: Path, why: str) -> None:
    found.left_out[path.relative_to(folder).as_posix()] = why


def _problem(error: OSError) -> str:
    return "a broken link, or removed since" if isinstance(error, FileNotFoundError) else str(error.strerror)
