"""A run as hooks see it."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import attrs

from refunc.journal.opening import read_whole
from refunc.journal.provenance import is_authentic, mac_of_reference
from refunc.journal.record import Artifact
from refunc.outlets.foreign import own_logger

own_log = own_logger("refunc.delivery")

#: The most bytes of a folder's listing, which is read as a whole: some 200,000 files.
_MOST_LISTING_BYTES = 64 << 20


class StoredFile(NamedTuple):
    """One file of an artifact: its place on disk, and its path within the artifact (the name, for a single file)."""

    source: Path
    path: str


@attrs.frozen(kw_only=True)
class RunInfo:
    """
    The run that a hook's records belong to: its identity, and its params and tags so far.

    `start_time` is in seconds since 1970, `attempt` counts from 1, `parent_id` is the id of the enclosing run.
    `revived` means that the call has a record that was refused or set aside before: the backend lacks it, although it
    may have later ones.
    """

    run_id: str
    run_name: str | None = None
    experiment_id: str = ""
    experiment_name: str = ""
    parent_id: str | None = None
    attempt: int = 1
    start_time: float = 0.0
    params: Mapping[str, Any] = attrs.Factory(dict)
    tags: Mapping[str, str] = attrs.Factory(dict)
    #: The run's folder, on this machine.
    folder: Path = Path()
    revived: bool = False

    @property
    def name(self) -> str:
        """The run's name for people: its own, or its experiment's with its id."""
        return self.run_name or f"{self.experiment_name}/{self.run_id}"

    def files_of(self, artifact: Artifact) -> list[StoredFile]:
        """
        Return the files of *artifact* that may be sent: its copies in the run, or the files that it refers to.

        A foreign journal may name any file of this machine. So the file of a reference is returned only if this user
        recorded the reference, and the file still has the recorded size and time of change. Others are left out, with a
        warning in the log of delivery.
        """
        if artifact.stored is None:
            source = self._referred(artifact.source, artifact.size, artifact.mtime, artifact.mac)
            return [] if source is None else [StoredFile(source, artifact.name)]
        stored = self.folder / artifact.stored
        if not self._is_ours(stored):  # checked before it is read: a foreign journal may name /dev/zero
            return []
        if artifact.mtime is not None:  # a single file has a time of change, a folder has none
            return [StoredFile(stored, artifact.name)]
        try:
            listing = json.loads(read_whole(stored, _MOST_LISTING_BYTES))
        except (OSError, ValueError, RecursionError) as error:
            own_log.warning("the files of the artifact %r of %r are not sent: %s.", artifact.name, self.name, error)
            return []
        entries = listing if isinstance(listing, list) else []
        return [file for entry in entries if (file := self._listed(entry)) is not None]

    def _listed(self, entry: object) -> StoredFile | None:
        if not isinstance(entry, dict):
            return None
        path = str(entry.get("path", ""))
        if ".." in Path(path).parts or Path(path).is_absolute():
            return None
        if entry.get("stored") is None:  # too large to be copied
            referred = self._referred(
                str(entry.get("source", "")), entry.get("size"), entry.get("mtime"), entry.get("mac")
            )
            return None if referred is None else StoredFile(referred, path)
        source = self.folder / str(entry["stored"])
        return StoredFile(source, path) if self._is_ours(source) else None

    def _referred(self, source: str, size: object, mtime: object, mac: object) -> Path | None:
        path = Path(source)
        problem = ""
        if not is_authentic(mac, mac_of_reference(self.run_id, source, size, mtime)):  # checked before it is accessed
            problem = "it was not recorded by this user, or on a machine with another home folder"
        else:
            try:
                info = path.stat()
                if not stat.S_ISREG(info.st_mode) or (info.st_size, info.st_mtime) != (size, mtime):
                    problem = "it has changed since it was recorded"
            except (OSError, ValueError) as error:
                problem = getattr(error, "strerror", None) or str(error)
        if not problem:
            return path
        own_log.warning("the file %r, to which an artifact of %r refers, is not sent: %s.", source, self.name, problem)
        return None

    def _is_ours(self, path: Path) -> bool:
        return _is(Path.is_file, path) and path.resolve().is_relative_to(self.folder.resolve())


def _is(kind: Callable[[Path], bool], path: Path) -> bool:
    """Call `Path.is_file` or the like; False for an invalid name, such as one of 5,000 letters."""
    try:
        return kind(path)
    except (OSError, ValueError):
        return False
