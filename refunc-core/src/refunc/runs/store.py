"""A folder of runs: where it is, and finding runs in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import attrs

from refunc.journal.folder import RUN_JSON
from refunc.runs.run import Run, RunFormatError

DEFAULT_STORE = "experiments"


class RunNotFoundError(LookupError):
    """No run, or more than one, answers to a name. `candidates` are the names that come near."""

    def __init__(self, message: str, candidates: list[str]) -> None:
        super().__init__(message)
        self.candidates = candidates


def store_path(path: str | os.PathLike[str] | None = None) -> Path:
    """Return the store's absolute path: *path*, else `REFUNC_DIR`, else `./experiments`. It need not exist."""
    return Path(path or os.environ.get("REFUNC_DIR") or DEFAULT_STORE).absolute()


def find_store(start: Path | None = None) -> Path:
    """
    Return the store that a command means: `REFUNC_DIR`, else `experiments` here or in the nearest folder above.

    Raises:
        FileNotFoundError: There is none.
    """
    named = os.environ.get("REFUNC_DIR")
    if named:
        path = Path(named).absolute()
        if path.is_dir():
            return path
        raise FileNotFoundError(f"REFUNC_DIR={named}: there is no such folder.")
    here = (start or Path.cwd()).absolute()
    for folder in (here, *here.parents):
        if (folder / DEFAULT_STORE).is_dir():
            return folder / DEFAULT_STORE
    raise FileNotFoundError(
        f"no runs here: there is no folder `{DEFAULT_STORE}` in {here} or above it. "
        "Name the store with --store or REFUNC_DIR."
    )


@attrs.frozen
class Store:
    """The runs in one folder, read afresh at each question. A run is a folder with a `run.json`."""

    path: Path

    def __iter__(self) -> Iterator[Run]:
        """Yield the runs, oldest first. A folder that cannot be read as a run is left out."""
        for folder in self._folders():
            try:
                yield Run.open(folder)
            except RunFormatError:
                continue

    def __getitem__(self, name: str) -> Run:
        """
        Return the run with the id, the folder name, the unique beginning of an id, or the newest with the run name.

        Raises:
            RunNotFoundError: No run answers to *name*, or several ids begin with it.
        """
        runs = list(self)
        for run in reversed(runs):
            if name in (run.run_id, run.folder.name):
                return run
        for run in reversed(runs):
            if name in (run.run_name, run.experiment_name):
                return run
        beginning = [run for run in runs if name and run.run_id.startswith(name)]
        if len(beginning) == 1:
            return beginning[0]
        raise _not_found(name, beginning or runs, self.path, ambiguous=bool(beginning))

    def _folders(self) -> list[Path]:
        try:
            found = [entry for entry in os.scandir(self.path) if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return []
        return [Path(entry.path) for entry in sorted(found, key=lambda entry: entry.name) if _has_birth(entry.path)]


def open_store(path: str | os.PathLike[str] | None = None) -> Store:
    """Return the store at *path*, by default the one that training in this folder writes to."""
    return Store(store_path(path))


def _has_birth(folder: str) -> bool:
    return os.path.isfile(os.path.join(folder, RUN_JSON))


def _not_found(name: str, runs: list[Run], path: Path, *, ambiguous: bool) -> RunNotFoundError:
    import difflib

    names = [run.run_name for run in runs] + [run.run_id for run in runs]
    if ambiguous:
        ids = [f"{run.run_id} ({run.run_name})" for run in runs]
        return RunNotFoundError(f"{name!r} is the beginning of {len(ids)} run ids: {', '.join(ids[:5])}.", ids)
    near = difflib.get_close_matches(name, dict.fromkeys(names), n=3, cutoff=0.5)
    hint = f" Did you mean {', '.join(near)}?" if near else ""
    return RunNotFoundError(f"no run {name!r} in {path}.{hint}", near)
