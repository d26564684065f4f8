"""The births of a store's runs, from the index: of thousands of runs, reading each `run.json` takes seconds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import attrs
import msgspec

from refunc.journal.folder import RUN_JSON
from refunc.runs.index import catalogue
from refunc.runs.index.file import Index, index_in
from refunc.runs.run import Run

#: The fewest runs for which the index is worth opening.
_MANY: Final = 100


@attrs.frozen
class Births:
    """The births that the index has, and those that have been read meanwhile."""

    _store: str
    _index: Index | None
    _kept: dict[str, tuple[str, bytes]]
    _new: dict[str, tuple[str, dict[str, Any]]] = attrs.Factory(dict)

    @classmethod
    def of(cls, store: Path, count: int) -> Births:
        """Return those of *store*, which has *count* runs."""
        place = os.path.realpath(store)
        index = index_in(place) if count >= _MANY else None
        return cls(os.fspath(store), index, index.births() if index is not None else {})

    def opened(self, folder: Path) -> Run:
        """Return the run in *folder*. Raises RunFormatError or OSError; see `Run.open`."""
        if self._index is None or os.path.dirname(folder) != self._store:
            return Run.open(folder)
        state = _state_of(folder)
        known = self._kept.get(folder.name)
        if known is not None and known[0] == state:
            try:
                return Run(folder, catalogue.birth_of(known[1]))
            except msgspec.MsgspecError:  # of another version
                pass
        run = Run.open(folder)
        self._new[folder.name] = (state, run.birth)
        return run

    def keep(self) -> None:
        """Put the births that were read into the index."""
        if self._index is not None and self._new:
            self._index.keep_births(self._new)


def _state_of(folder: Path) -> str:
    status = os.stat(f"{folder}/{RUN_JSON}")
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ino}"
