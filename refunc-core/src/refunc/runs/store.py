"""A folder of runs: finding it, and finding runs in it."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

import attrs

from refunc.journal.folder import RUN_JSON
from refunc.journal.pieces import segments
from refunc.runs.errors import RunFormatError, RunNotFoundError, StrangeStoreError
from refunc.runs.groups import Groups, Runs
from refunc.runs.run import Run
from refunc.runs.unreadable import fault_of
from refunc.values import settings
from refunc.values.names import may_be_folder_name
from refunc.values.paths import DEFAULT_STORE, absolute, store_path


def find_store(start: Path | None = None) -> Path:
    """
    Return the store for a command: `REFUNC_DIR`, else `experiments` here or in the nearest folder above.

    Raises:
        FileNotFoundError: There is no store.
        StrangeStoreError: The store that was found belongs to another user.
    """
    named = settings.DIR.text()
    if named:
        path = absolute(named)
        if path.is_dir():
            return path
        raise FileNotFoundError(f"REFUNC_DIR={named}: {missing(path)}.")
    here = (start or Path.cwd()).absolute()
    for folder in (here, *here.parents):
        if (folder / DEFAULT_STORE).is_dir():
            return _of_this_user(folder / DEFAULT_STORE)
    raise FileNotFoundError(
        f"no store found: there is no folder `{DEFAULT_STORE}` in {here} or above it. "
        "Name the store with --store or REFUNC_DIR."
    )


def _of_this_user(store: Path) -> Path:
    """
    Return *store*, which was found and not named, if it belongs to the user, like git's check of a repository.

    Any user can create such a folder above the working folders of others, as in /tmp or in a shared project.
    """
    owner = os.stat(store).st_uid
    if not hasattr(os, "geteuid") or owner == os.geteuid():
        return store
    if os.geteuid() == 0 and str(owner) == os.environ.get("SUDO_UID"):  # the same person, using sudo
        return store
    raise StrangeStoreError(
        f"the store {store} belongs to {_user(owner)}, not to you. "
        f"To use it anyway, name it: --store {shlex.quote(os.fspath(store))}, or REFUNC_DIR."
    )


def _user(number: int) -> str:
    try:
        import pwd

        return f"the user {pwd.getpwuid(number).pw_name}"
    except (ImportError, KeyError):
        return f"the user with the number {number}"


def missing(folder: Path) -> str:
    """Return why *folder* is not a store."""
    return "it is a file, not a folder" if folder.exists() else "no such folder"


@attrs.frozen
class Listing:
    """
    Runs of a store, and the errors of folders that look like runs but cannot be read.

    `removed` are those that `refunc rm` has marked: they are not among the runs.
    """

    runs: list[Run]
    unreadable: list[RunFormatError]
    removed: list[Run] = attrs.Factory(list)

    def listable(self) -> Listing:
        """Return the same with runs whose journals cannot be listed moved to the unreadable ones."""
        runs: list[Run] = []
        unreadable = list(self.unreadable)
        for run in self.runs:
            try:
                segments(run.folder)
            except Exception as error:
                unreadable.append(fault_of(run.folder, error))
            else:
                runs.append(run)
        return Listing(runs, unreadable, self.removed)


@attrs.frozen
class Store:
    """
    The runs in one folder, read again by each call; a store that does not exist yet is empty.

    A run is a folder with a `run.json`. A link to a run elsewhere counts; one to a run in the same store does not.
    Runs that `refunc rm` has marked are left out, except where one is named by its id.
    """

    path: Path

    def __iter__(self) -> Iterator[Run]:
        """Yield the runs, oldest first. A folder that cannot be read as a run is left out; see `listing`."""
        return iter(self.runs())

    def __getitem__(self, name: str) -> Run:
        """
        Return the run *name*, by the first rule that finds one.

        The rules are: the folder's name; the id, alone or as `experiment/id`; the run's name; the name that it had
        before it was renamed; the experiment's name; the beginning of an id. Of several runs with one name, the newest
        is returned. A removed run is found by its folder's name, and by its id or the beginning of it.

        Raises:
            RunNotFoundError: No run matches *name*, or several ids begin with it.
            RunFormatError: The run *name* cannot be read.
            OSError: The store cannot be read.
        """
        if name == os.path.basename(name) and name not in ("", ".", "..") and _has_birth(self.path / name):
            return Run.open(self.path / name)
        listing = self.listing()
        newest_first = listing.runs[::-1]
        for error in listing.unreadable:
            if name and error.folder.name.endswith(f"_{name}"):  # the id, as in the folder's name
                raise error
        with_removed = [*newest_first, *reversed(listing.removed)]
        for run in with_removed:
            if name in (run.run_id, f"{run.experiment_name}/{run.run_id}"):
                return run
        for attribute in ("run_name", "logged_name", "experiment_name"):
            for run in newest_first:
                if name == getattr(run, attribute):
                    return run
        for runs in (newest_first, listing.removed):
            beginning = [run for run in runs if name and run.run_id.startswith(name)]
            if len(beginning) == 1:
                return beginning[0]
            if beginning:
                raise _ambiguous(name, beginning)
        raise _unknown(name, listing, self.path)

    def runs(self) -> list[Run]:
        """Return the readable runs, oldest first. Raises OSError if the store cannot be read."""
        return self.listing().runs

    def listing(self) -> Listing:
        """
        Return the runs, oldest first, the removed ones, and the errors of folders that cannot be read as runs.

        Raises:
            OSError: The store cannot be read.
        """
        runs: list[Run] = []
        unreadable: list[RunFormatError] = []
        for folder in self._folders():
            try:
                runs.append(Run.open(folder))
            except Exception as error:
                unreadable.append(fault_of(folder, error))
        # Not sorted by the folders' names: those have local time, which jumps, and users rename folders.
        runs.sort(key=lambda run: (run.start_time, run.folder.name))
        kept: list[Run] = []
        removed: list[Run] = []
        for run in runs:
            (removed if run.is_removed else kept).append(run)
        return Listing(kept, unreadable, removed)

    def find(
        self,
        expression: str | None = None,
        *,
        order_by: str | None = None,
        limit: int | None = None,
        processes: int = 0,
    ) -> Runs:
        """
        Return the runs that match *expression*, oldest first: a list, with `group_by`.

        Args:
            expression: For example `params.lr < 0.01 and metrics.accuracy.max > 0.9 and status == 'completed'`. A
            comparison with a value that a run does not have is false.
            order_by: An expression to sort by, lowest first; `-metrics.accuracy.max` sorts the highest first. Runs
            without the value come last.
            limit: The most runs to return.
            processes: How many other processes may read journals that are new to the index; by default this one does.

        Raises:
            ExpressionError: One of them is not a valid expression; the text says where.
            OSError: The store cannot be read.
        """
        return Runs(self.search(expression, order_by=order_by, processes=processes).runs[:limit])

    def group_by(self, *names: str) -> Groups:
        """Return all readable runs in groups; see `Runs.group_by`."""
        return Runs(self.runs()).group_by(*names)

    def search(
        self,
        expression: str | None = None,
        *,
        order_by: str | None = None,
        processes: int = 0,
        removed: bool = False,
    ) -> Listing:
        """
        Return the runs like `find`, together with those that it leaves out because they cannot be read.

        Args:
            removed: Look among the runs that `refunc rm` has marked, and only among them.
        """
        from refunc.runs.expression import compiled
        from refunc.runs.prefetch import read_ahead
        from refunc.runs.table import facts_of, sorting_key

        holds = compiled(expression) if expression is not None else None
        key = compiled(order_by) if order_by is not None else None
        listing = self.listing()
        if removed:
            listing = Listing(listing.removed, listing.unreadable)
        if holds is None and key is None:
            return listing
        found: list[tuple[Run, tuple[int, Any]]] = []
        unreadable = list(listing.unreadable)
        with read_ahead(listing.runs, processes) as in_turn:
            for run in in_turn:
                try:
                    facts = facts_of(run)
                    if holds is None or holds(facts):
                        found.append((run, sorting_key(key(facts)) if key is not None else (0, 0)))
                except Exception as error:
                    unreadable.append(fault_of(run.folder, error))
        if key is not None:
            found.sort(key=itemgetter(1))
        return Listing([run for run, _ in found], unreadable, listing.removed)

    def to_rows(self) -> list[dict[str, Any]]:
        """
        Return one dict per run, oldest first; see `refunc.runs.table.row_of` for the columns.

        A run whose journal cannot be read has only its names and ids, and the status `unreadable`.
        """
        from refunc.runs.prefetch import read_ahead
        from refunc.runs.table import row_of, row_of_closed

        def row(run: Run) -> dict[str, Any]:
            try:
                return row_of(run)
            except Exception as error:
                fault_of(run.folder, error)
                return row_of_closed(run)

        with read_ahead(self.runs()) as runs:
            return [row(run) for run in runs]

    def to_pandas(self) -> Any:
        """Return a pandas DataFrame with one row per run. Raises ModuleNotFoundError without pandas."""
        from refunc.runs.table import to_pandas

        return to_pandas(self.to_rows())

    def to_polars(self) -> Any:
        """Return a polars DataFrame with one row per run. Raises ModuleNotFoundError without polars."""
        from refunc.runs.table import to_polars

        return to_polars(self.to_rows())

    def to_arrow(self) -> Any:
        """Return a pyarrow Table with one row per run. Raises ModuleNotFoundError without pyarrow."""
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
    """Return the store at *path*, by default the one to which trainings in this folder write."""
    return Store(store_path(path))


def _has_birth(folder: str | os.PathLike[str]) -> bool:
    try:
        return stat.S_ISREG(os.stat(os.path.join(folder, RUN_JSON)).st_mode)
    except PermissionError:  # `lost+found` is not a run; a folder that is named like a run may be one
        return may_be_folder_name(os.path.basename(folder))
    except (OSError, ValueError):
        return False


def _ambiguous(name: str, runs: list[Run]) -> RunNotFoundError:
    ids = [f"{run.run_id} ({run.run_name})" if run.run_name != run.run_id else run.run_id for run in runs]
    more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
    return RunNotFoundError(
        f"{name!r} is ambiguous: {len(ids)} run ids begin with it: {', '.join(ids[:5])}{more}.", ids
    )


def _unknown(name: str, listing: Listing, path: Path) -> RunNotFoundError:
    import difflib

    names = [name for run in listing.runs[::-1] for name in (run.run_name, run.experiment_name, run.run_id)]
    near = difflib.get_close_matches(name, dict.fromkeys(names), n=3, cutoff=0.5)
    hint = f" Did you mean {', '.join(near)}?" if near else ""
    if not path.is_dir():
        hint = f" This is not a store: {missing(path)}."
    removed = [run for run in listing.removed if run.run_name == name]
    if removed:
        hint = f" The run {removed[-1].run_id} of this name was removed; `refunc restore {removed[-1].run_id}`."
    if listing.unreadable:  # the run may be one of these
        hint += f" {len(listing.unreadable)} cannot be read, such as {listing.unreadable[0]}"
    return RunNotFoundError(f"no run {name!r} in {path}.{hint}", near)
