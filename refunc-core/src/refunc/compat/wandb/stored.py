"""Artifacts that were logged: their versions, and their files."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from refunc.compat.wandb.earlier import runs_in
from refunc.compat.wandb.missing import no_such
from refunc.compat.wandb.problems import UsageError
from refunc.compat.wandb.table import Table
from refunc.logging.notices import warn_once

if TYPE_CHECKING:
    from refunc.plugins import Artifact as Record
    from refunc.runs import Run, Store

LATEST: Final = "latest"
#: How many seconds the clocks of hosts that share a store may differ.
_CLOCKS: Final = 300.0


class StoredArtifact:
    """An artifact in the store."""

    def __init__(self, name: str, type: str) -> None:
        self._name = name
        self.type = type
        self.description: str | None = None
        self.metadata: dict[str, Any] = {}
        self.references: dict[str, str] = {}
        self._aliases: list[str] = []
        self._version: str | None = None
        self._run_folder: Path | None = None
        self._record: Record | None = None

    def is_draft(self) -> bool:
        """Whether it is not logged yet."""
        return self._version is None

    @property
    def name(self) -> str:
        """The name; once it is logged, with its version."""
        return self._name if self._version is None else f"{self._name}:{self._version}"

    @property
    def version(self) -> str:
        """`v0`, `v1` and so on. Raises AttributeError before it is logged."""
        if self._version is None:
            raise AttributeError  # which `__getattr__` says more of
        return self._version

    @property
    def aliases(self) -> tuple[str, ...]:
        """The words besides its version that it was logged with."""
        return tuple(self._aliases)

    @property
    def size(self) -> int:
        """The bytes of its files."""
        return sum(path.stat().st_size for path in self.local_files().values())

    def wait(self, timeout: float | None = None) -> StoredArtifact:
        """Return the artifact; it is stored when `log_artifact` returns."""
        return self

    def local_files(self) -> dict[str, Path]:
        """Return the files, in the run's folder, by their names in the artifact."""
        if self._run_folder is None:
            return {}
        from refunc.plugins import RunInfo
        from refunc.runs import Run

        run = Run.open(self._run_folder)
        if self._record is None:
            own = (each for each in run.artifacts if (each.name, each.metadata.get("version")) == self._key)
            self._record = next(own, None)
        info = RunInfo(run_id=run.run_id, run_name=run.run_name, folder=run.folder)
        return {file.path: file.source for file in info.files_of(self._record)} if self._record is not None else {}

    @property
    def _key(self) -> tuple[str, str | None]:
        return self._name, self._version

    def files(self) -> list[str]:
        """Return the names of its files."""
        return list(self.local_files())

    def download(self, root: str | os.PathLike[str] | None = None, **unused: Any) -> str:
        """
        Copy its files to the folder *root*, by default `artifacts/NAME:VERSION`, and return the folder.

        References to files are copied too; one warning names other references, which are left where they are.
        """
        top = Path(root) if root is not None else _default_folder(self.name)
        top.mkdir(parents=True, exist_ok=True)
        for name, path in self._all_files():
            place = top / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
        return str(top)

    def _all_files(self) -> Iterator[tuple[str, Path]]:
        yield from self.local_files().items()
        for name, address in self.references.items():
            path = Path(address.removeprefix("file://"))
            if path.is_file():
                yield name, path
            else:
                said = "download: %s of the artifact %s is a reference to %s, which is not fetched."
                warn_once(f"wandb-reference {self.name} {name}", said, name, self.name, address)

    def file(self, root: str | os.PathLike[str] | None = None) -> str:
        """Copy its only file as `download` does, and return the path. Raises ValueError if it has several."""
        names = [name for name, _ in self._all_files()]
        if len(names) != 1:
            raise ValueError(f"file: the artifact {self.name} has {len(names)} files. Use download().")
        return str(Path(self.download(root)) / names[0])

    def get(self, name: str) -> Table | None:
        """Return the table of that name; None if there is none."""
        files = self.local_files()
        path = files.get(name) or files.get(f"{name}.table.json")
        return Table.from_json(json.loads(path.read_text("utf-8"))) if path is not None else None

    def __repr__(self) -> str:
        return f"<Artifact {self.name}>"

    def __getattr__(self, name: str) -> Any:
        if name == "version":
            raise AttributeError(f"the artifact {self._name} has no version before it is logged.")
        raise no_such("an artifact of refunc.compat.wandb", name, dir(type(self)))


def _default_folder(name: str) -> Path:
    shown = name.replace(":", "-") if os.name == "nt" else name
    return Path(os.environ.get("WANDB_ARTIFACT_DIR") or "artifacts") / shown


def _stored(run: Run, record: Record) -> StoredArtifact:
    """Return the artifact that a run has recorded."""
    facts = record.metadata
    found = StoredArtifact(record.name, record.type or "")
    found._run_folder, found._record = run.folder, record
    found._version = str(facts.get("version"))
    found._aliases = [str(alias) for alias in facts.get("aliases") or ()]
    found.metadata = dict(facts.get("metadata") or {})
    found.references = dict(facts.get("references") or {})
    found.description = facts.get("description")
    return found


class Versions:
    """The versions that this process has given, by store, project and name."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str, str], int] = {}

    def next_of(self, store: Store, project: str, name: str, run_id: str) -> str:
        """
        Return the version that the next artifact of that name has. The store is read for the first one of each name.

        Args:
            run_id: The run that logs it; if it is a part of the name, no other run is looked at.
        """
        key = (str(store.path), project, name)
        if key not in self._last:
            found = _newest(store, project, name, LATEST, only=run_id if run_id in name else None)
            self._last[key] = _number(found[1].metadata.get("version")) if found is not None else -1
        self._last[key] += 1
        return f"v{self._last[key]}"


def find(store: Store, project: str, wanted: str, kind: str | None) -> StoredArtifact:
    """
    Return the artifact that `name:alias`, `project/name:alias` or `entity/project/name:alias` names.

    Raises:
        UsageError: There is none, or it has another type.
    """
    path, _, alias = wanted.partition(":")
    *outer, name = path.split("/")
    project, alias = outer[-1] if outer else project, alias or LATEST
    found = _newest(store, project, name, alias)
    if found is None:
        records = [record for run in _runs_of(store, project) for record in _records(run)]
        words = dict.fromkeys(word for record in records if record.name == name for word in _words_of(record))
        names = list(dict.fromkeys(record.name for record in records))[:10]
        there = f"It has {', '.join(words)}." if words else f"Names there: {', '.join(names) or 'none'}."
        raise UsageError(f"use_artifact: project {project!r} in {store.path} has no artifact {name}:{alias}. {there}")
    if kind is not None and found[1].type != kind:
        raise UsageError(f"use_artifact: {wanted} is of the type {found[1].type!r}, not {kind!r}.")
    return _stored(*found)


def _newest(store: Store, project: str, name: str, alias: str, only: str | None = None) -> tuple[Run, Record] | None:
    """
    Return the newest artifact of that name and alias, and its run.

    Runs are read by their last change, newest first, and no run that was last changed before the artifact found.
    """
    best: tuple[Run, Record] | None = None
    runs = [run for run in _runs_of(store, project) if only in (None, run.run_id)]
    for changed, run in sorted(((_last_change(run), run) for run in runs), key=itemgetter(0), reverse=True):
        if best is not None and changed < best[1].time - _CLOCKS:
            break
        for record in _records(run):
            fits = record.name == name and (alias == LATEST or alias in _words_of(record))
            if fits and (best is None or record.time >= best[1].time):
                best = run, record
    return best


def _runs_of(store: Store, project: str) -> list[Run]:
    return [run for run in runs_in(store.path) if run.experiment_name == project]


def _last_change(run: Run) -> float:
    try:
        with os.scandir(run.folder / "journal") as entries:
            return max((entry.stat().st_mtime for entry in entries), default=0.0)
    except OSError:  # it is read, and then says why it cannot be
        return math.inf


def _records(run: Run) -> list[Record]:
    """Return the artifacts that a run has logged with this module."""
    return [record for record in run.artifacts if "version" in record.metadata]


def _words_of(record: Record) -> list[str]:
    return [str(record.metadata.get("version")), *map(str, record.metadata.get("aliases") or ())]


def _number(version: object) -> int:
    digits = str(version).removeprefix("v")
    return int(digits) if digits.isdecimal() and len(digits) < 10 else -1
