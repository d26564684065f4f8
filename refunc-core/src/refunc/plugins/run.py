"""A run as hooks see it."""

from __future__ import annotations

import json
import logging
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import attrs

from refunc.journal.folder import RUN_JSON
from refunc.journal.record import Artifact

report = logging.getLogger("refunc.delivery")


class StoredFile(NamedTuple):
    """One file of an artifact: where its bytes lie, and its path within the artifact (the name, for a single file)."""

    source: Path
    path: str


@attrs.frozen(kw_only=True)
class RunInfo:
    """
    The run that a hook's records belong to: its identity, and its params and tags so far.

    `start_time` is in seconds since 1970, `attempt` counts from 1, `parent_id` is the id of the enclosing run.
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

    @property
    def name(self) -> str:
        """What people call the run: its name, or its experiment's with its id."""
        return self.run_name or f"{self.experiment_name}/{self.run_id}"

    def files_of(self, artifact: Artifact) -> list[StoredFile]:
        """
        Return the files of *artifact* that may be sent: its copies in the run, or what it refers to.

        A journal may be anybody's, and name any file of this machine. So the file that a reference means is given only
        where the run belongs to this user, and the file still has the size and the time of change that were recorded,
        which only somebody knew who could look at it. What is left out for that is said, in the log of delivery.
        """
        if artifact.stored is None:
            source = self._referred(artifact.source, artifact.size, artifact.mtime)
            return [] if source is None else [StoredFile(source, artifact.name)]
        stored = self.folder / artifact.stored
        if not self._is_ours(stored):  # asked before it is read: a journal may be anybody's, and name /dev/zero
            return []
        if artifact.mtime is not None:  # a single file has a time of change, a folder has none
            return [StoredFile(stored, artifact.name)]
        try:
            listing = json.loads(stored.read_bytes())
        except (OSError, ValueError, RecursionError):
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
            referred = self._referred(str(entry.get("source", "")), entry.get("size"), entry.get("mtime"))
            return None if referred is None else StoredFile(referred, path)
        source = self.folder / str(entry["stored"])
        return StoredFile(source, path) if self._is_ours(source) else None

    def _referred(self, source: str, size: object, mtime: object) -> Path | None:
        path = Path(source)
        try:
            info = path.stat()
            # On Windows every file has the owner 0, and there is no `geteuid` to ask.
            is_users = not hasattr(os, "geteuid") or (self.folder / RUN_JSON).stat().st_uid == os.geteuid()
        except (OSError, ValueError) as error:
            problem = getattr(error, "strerror", None) or str(error)
        else:
            if not stat.S_ISREG(info.st_mode) or (info.st_size, info.st_mtime) != (size, mtime):
                problem = "it is not as it was recorded"
            elif not is_users:
                problem = "the run belongs to another user"
            else:
                return path
        report.warning("the file %r, to which an artifact of %r refers, is not sent: %s.", source, self.name, problem)
        return None

    def _is_ours(self, path: Path) -> bool:
        return _is(Path.is_file, path) and path.resolve().is_relative_to(self.folder.resolve())


def _is(kind: Callable[[Path], bool], path: Path) -> bool:
    """Ask `Path.is_file` or the like; a name that no file can have, such as one of 5,000 letters, is none."""
    try:
        return kind(path)
    except OSError:
        return False
