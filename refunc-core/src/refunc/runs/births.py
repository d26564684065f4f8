"""The births of a store's runs, from the index: of thousands of runs, reading each `run.json` takes seconds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import attrs

from refunc.annotations.file import is_annotated
from refunc.runs.identity import Look
from refunc.runs.index.catalogue import KeptBirth
from refunc.runs.index.file import Index, index_in
from refunc.runs.run import Run

#: The fewest runs for which the index is worth opening.
_MANY: Final = 100


@attrs.frozen
class Births:
    """The births that the index has, and those that have been read meanwhile."""

    _store: str
    _index: Index | None
    _kept: dict[str, KeptBirth]
    _new: dict[str, tuple[str, float, dict[str, Any]]] = attrs.Factory(dict)

    @classmethod
    def of(cls, store: Path, count: int) -> Births:
        """Return those of *store*, which has *count* runs."""
        path = os.path.realpath(store)
        index = index_in(path) if count >= _MANY else None
        return cls(os.fspath(store), index, index.births() if index is not None else {})

    def opened(self, path: str, status: os.stat_result | None) -> tuple[float, Run, bool]:
        """
        Return the start of the run in the folder *path*, the run, and whether it was removed.

        Args:
            status: The state of its `run.json`; None if that cannot be known.

        Raises:
            RunFormatError, OSError: See `Run.open`.
        """
        folder, _, name = path.rpartition("/")
        if self._index is None or status is None or folder != self._store:
            run = Run.open(Path(path))
            return run.start_time, run, _is_removed(run, path)
        state = f"{status.st_size} {status.st_mtime_ns} {status.st_ino}"
        known = self._kept.get(name)
        if known is None or known[0] != state:
            run = Run.open(Path(path))
            self._new[name] = (state, run.start_time, run.birth)
            return run.start_time, run, _is_removed(run, path)
        _, start, birth, changed = known
        if changed is not None and os.stat(path).st_ctime_ns == changed:  # it had no annotations, so it has none
            return start, Run.kept(path, birth, Look(state, changed)), False
        run = Run.kept(path, birth, None)
        return start, run, _is_removed(run, path)

    def keep(self) -> None:
        """Put the births that were read into the index."""
        if self._index is not None and self._new:
            self._index.keep_births(self._new)


def _is_removed(run: Run, path: str) -> bool:
    return is_annotated(path) and run.is_removed
