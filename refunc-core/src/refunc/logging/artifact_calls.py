"""The calls that keep files with a run: `log_artifact` and `log_artifacts`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from refunc.journal import kinds
from refunc.logging.active.run import ActiveRun
from refunc.logging.arguments import known, named_values
from refunc.logging.artifacts.warnings import policy, warn_not_stored, warn_of_missing_files
from refunc.logging.notices import warn_once
from refunc.logging.places import Places
from refunc.values.texts import MAX_KEY, text_of


class ArtifactCalls(Places):
    """Calls about files of the run that `_data_run` returns. None of them raises because of a file or a disk."""

    __slots__ = ()

    def _data_run(self) -> ActiveRun | None:
        """Return the run that a data call belongs to; None if nothing is recorded."""
        raise TypeError(f"{type(self).__name__} does not say which run its data belong to.")

    def log_artifact(
        self,
        path: str | PathLike[str],
        artifact_type: str | None = None,
        *,
        name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        copy: bool | float | str | None = None,
    ) -> None:
        """
        Keep a file or folder with the run: a copy is made before this returns, on the calling thread.

        Files above 64 MB are shared by reflink if the file system supports it, and otherwise recorded as a reference
        (path, size, time of change), with one warning that names them. Links to files are followed. Links to folders,
        and entries that are not files or cannot be read, are left out of a folder, with a warning. A missing file, or a
        folder that contains the store, gives one warning, and the run goes on.

        Args:
            copy: True copies a file of any size, False never copies. A number of bytes, or a text such as `2GB`, takes
                the place of the 64 MB, without the warning.
        """
        run = self._data_run()
        if run is None:
            return
        self._join(run)
        given = text_of(path, MAX_KEY)
        try:
            source = _path(path)
            fields = run.store(source, copy=policy(copy))
        except Exception as error:  # of the disk, or of a path object's own code
            warn_not_stored(given, error)
            return
        warn_of_missing_files(given, fields, copy=copy)
        shown = text_of(name, MAX_KEY) if name is not None else ""
        shown = shown or text_of(source.name or source, MAX_KEY)
        kind = text_of(artifact_type, MAX_KEY) if artifact_type is not None else None
        fields.update(known(name=shown, type=kind, logger=self._logger_name))
        if metadata is not None:
            fields["metadata"] = named_values("metadata", metadata, 'metadata={"images": 1000}')
        run.artifacts.append(shown)
        run.put_through(kinds.ARTIFACT, fields)

    def log_artifacts(
        self, paths: Iterable[str | PathLike[str]] | str | PathLike[str], artifact_type: str | None = None
    ) -> None:
        """Keep several files or folders with the run; see `log_artifact`."""
        try:
            several = [paths] if isinstance(paths, (str, PathLike)) else list(paths)
        except Exception:  # not a list, or one whose own code raises
            given = text_of(paths, MAX_KEY)
            said = "log_artifacts: %s is not a list of paths; nothing was stored. The run goes on."
            warn_once("artifacts", said, given)
            return
        for path in several:
            self.log_artifact(path, artifact_type)


def _path(path: str | PathLike[str]) -> Path:
    given = fspath(path)
    if not given:  # to pathlib it would be the working folder
        raise ValueError("the path is empty, perhaps from a variable that is not set")
    return Path(given)
