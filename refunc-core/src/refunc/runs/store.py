"""A folder of runs: where it is, and finding runs in it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from refunc.journal.folder import RUN_JSON
from refunc.journal.names import is_folder_name
from refunc.journal.reader import segments
from refunc.runs.run import SEE_RIGHTS, Run, RunFormatError

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
        raise FileNotFoundError(f"REFUNC_DIR={named}: {missing(path)}.")
    here = (start or Path.cwd()).absolute()
    for folder in (here, *here.parents):
        if (folder / DEFAULT_STORE).is_dir():
            return folder / DEFAULT_STORE
    raise FileNotFoundError(
        f"no runs here: there is no folder `{DEFAULT_STORE}` in {here} or above it. "
        "Name the store with --store or REFUNC_DIR."
    )


def missing(folder: Path) -> str:
    """Return why *folder* is none."""
    return "it is a file, and no folder" if folder.exists() else "there is no such folder"


@attrs.frozen
class Store:
    """
    The runs in one folder, read afresh at each question; a store that is not there yet has none.

    A run is a folder with a `run.json`. A link to a run elsewhere counts, a link to one in the same store does not.
    """

    path: Path

    def __iter__(self) -> Iterator[Run]:
        """Yield the runs, oldest first. A folder that cannot be read as a run is left out; see `runs`."""
        return iter(self.runs())

    def __getitem__(self, name: str) -> Run:
        """
        Return the run that *name* means: the first rule that finds one decides.

        The folder's name; the id, alone or as `experiment/id`; the run's name; the experiment's name; the beginning
        of an id. Of several runs with a name it is the newest.

        Raises:
            RunNotFoundError: No run answers to *name*, or several ids begin with it.
            RunFormatError: The run that *name* means cannot be read.
            OSError: The store cannot be read.
        """
        if name == os.path.basename(name) and name not in ("", ".", "..") and _has_birth(self.path / name):
            return Run.open(self.path / name)
        unreadable: list[RunFormatError] = []
        newest_first = self.runs(unreadable)[::-1]
        for error in unreadable:
            if name and error.folder.name.endswith(f"_{name}"):  # the id, as the folder's name has it
                raise error
        for run in newest_first:
            if name in (run.run_id, f"{run.experiment_name}/{run.run_id}"):
                return run
        for attribute in ("run_name", "experiment_name"):
            for run in newest_first:
                if name == getattr(run, attribute):
                    return run
        beginning = [run for run in newest_first if name and run.run_id.startswith(name)]
        if len(beginning) == 1:
            return beginning[0]
        raise _ambiguous(name, beginning) if beginning else _unknown(name, newest_first, self.path, unreadable)

    def runs(self, unreadable: list[RunFormatError] | None = None) -> list[Run]:
        """
        Return the runs, oldest first.

        Args:
            unreadable: Filled with what is wrong with folders that look like runs and cannot be read.

        Raises:
            OSError: The store cannot be read.
        """
        runs = []
        for folder in self._folders():
            try:
                runs.append(Run.open(folder))
            except RunFormatError as error:
                if unreadable is not None:
                    unreadable.append(error)
        # Not by the folders' names: those have local time, which jumps, and users rename folders.
        runs.sort(key=lambda run: (run.start_time, run.folder.name))
        return runs

    def find(
        self,
        expression: str | None = None,
        *,
        order_by: str | None = None,
        limit: int | None = None,
        unreadable: list[RunFormatError] | None = None,
        processes: int = 0,
    ) -> list[Run]:
        """
        Return the runs for which *expression* holds, oldest first.

        Args:
            expression: Such as `params.lr < 0.01 and metrics.accuracy.max > 0.9 and status == 'completed'`. A value
                that a run does not have makes a comparison false.
            order_by: An expression as well, of which the lowest comes first; `-metrics.accuracy.max` puts the highest
                first. Runs that have no such value come last.
            limit: At most so many.
            unreadable: As of `runs`.
            processes: How many others may read journals that are new to the index; by default this one reads them.

        Raises:
            ExpressionError: One of them is no expression; says where.
            OSError: The store cannot be read.
        """
        from refunc.runs.ahead import read_ahead
        from refunc.runs.expression import Facts, compiled
        from refunc.runs.table import facts_of, sorting_key

        holds = compiled(expression) if expression is not None else None
        key = compiled(order_by) if order_by is not None else None
        runs = self.runs(unreadable)
        if holds is not None or key is not None:
            found: list[tuple[Run, Facts]] = []
            with read_ahead(runs, processes) as in_turn:
                for run in in_turn:
                    try:
                        found.append((run, facts_of(run)))
                    except OSError as error:
                        if unreadable is not None:
                            unreadable.append(_closed(run, error))
            if holds is not None:
                found = [(run, facts) for run, facts in found if holds(facts)]
            if key is not None:
                found.sort(key=lambda pair: sorting_key(key(pair[1])))
            runs = [run for run, _ in found]
        return runs[:limit]

    def to_rows(self) -> list[dict[str, Any]]:
        """
        Return a dict a run, oldest first; see `refunc.runs.table.row_of` for its columns.

        Of a run whose journal cannot be read, it has who it is, and the status `unreadable`.
        """
        from refunc.runs.ahead import read_ahead
        from refunc.runs.table import row_of, row_of_closed

        def row(run: Run) -> dict[str, Any]:
            try:
                return row_of(run)
            except OSError:
                return row_of_closed(run)

        with read_ahead(self.runs()) as runs:
            return [row(run) for run in runs]

    def to_pandas(self) -> Any:
        """Return a pandas DataFrame with a row a run. Raises ModuleNotFoundError without pandas."""
        from refunc.runs.table import to_pandas

        return to_pandas(self.to_rows())

    def to_polars(self) -> Any:
        """Return a polars DataFrame with a row a run. Raises ModuleNotFoundError without polars."""
        from refunc.runs.table import to_polars

        return to_polars(self.to_rows())

    def to_arrow(self) -> Any:
        """Return a pyarrow Table with a row a run. Raises ModuleNotFoundError without pyarrow."""
        from refunc.runs.table import to_arrow

        return to_arrow(self.to_rows())

    def _folders(self) -> list[Path]:
        try:
            with os.scandir(self.path) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except FileNotFoundError:
            return []
        here = os.path.realpath(self.path)
        folders = {os.path.join(here, entry.name): entry.path for entry in found if not entry.is_symlink()}
        for entry in found:
            if entry.is_symlink():
                folders.setdefault(os.path.realpath(entry.path), entry.path)
        return [Path(path) for path in folders.values() if _has_birth(path)]


def open_store(path: str | os.PathLike[str] | None = None) -> Store:
    """Return the store at *path*, by default the one that training in this folder writes to."""
    return Store(store_path(path))


def readable(runs: list[Run], unreadable: list[RunFormatError]) -> list[Run]:
    """Return those of *runs* whose journals can be listed; *unreadable* is filled with why the others cannot."""
    found = []
    for run in runs:
        try:
            segments(run.folder)
        except OSError as error:
            unreadable.append(_closed(run, error))
        else:
            found.append(run)
    return found


def _closed(run: Run, error: OSError) -> RunFormatError:
    return RunFormatError(run.folder, f"its journal cannot be read ({error.strerror or error}).", SEE_RIGHTS)


def _has_birth(folder: str | os.PathLike[str]) -> bool:
    try:
        return stat.S_ISREG(os.stat(os.path.join(folder, RUN_JSON)).st_mode)
    except PermissionError:  # `lost+found` is no run; what is called like one may be one
        return is_folder_name(os.path.basename(folder))
    except (OSError, ValueError):
        return False


def _ambiguous(name: str, runs: list[Run]) -> RunNotFoundError:
    ids = [f"{run.run_id} ({run.run_name})" if run.run_name != run.run_id else run.run_id for run in runs]
    more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
    return RunNotFoundError(f"{name!r} is the beginning of {len(ids)} run ids: {', '.join(ids[:5])}{more}.", ids)


def _unknown(name: str, runs: list[Run], path: Path, unreadable: list[RunFormatError]) -> RunNotFoundError:
    import difflib

    names = [name for run in runs for name in (run.run_name, run.experiment_name, run.run_id)]
    near = difflib.get_close_matches(name, dict.fromkeys(names), n=3, cutoff=0.5)
    hint = f" Did you mean {', '.join(near)}?" if near else ""
    if not path.is_dir():
        hint = f" It is no store: {missing(path)}."
    if unreadable:  # it may be one of those
        hint += f" {len(unreadable)} cannot be read, such as {unreadable[0]}"
    return RunNotFoundError(f"no run {name!r} in {path}.{hint}", near)
