"""A folder of runs: finding it, and finding runs in it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from refunc.journal.folder import RUN_JSON
from refunc.journal.pieces import segments
from refunc.runs.births import Births
from refunc.runs.errors import RunFormatError, RunNotFoundError
from refunc.runs.naming import run_named
from refunc.runs.run import Run
from refunc.runs.store_folder import no_store
from refunc.runs.tabular import Tabular
from refunc.runs.unreadable import fault_of
from refunc.values.names import may_be_folder_name
from refunc.values.paths import store_path

if TYPE_CHECKING:
    from refunc.runs.groups import Groups, Runs


@attrs.frozen
class Listing:
    """
    Runs of a store, and the errors of folders that look like runs but cannot be read.

    `removed` are those that `refunc rm` has marked: they are not among the runs.
    """

    runs: list[Run]
    unreadable: list[RunFormatError]
    removed: list[Run] = attrs.Factory(list)
    #: Sentences about values that a search could not compare.
    notes: list[str] = attrs.field(factory=list, kw_only=True)

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
        return Listing(runs, unreadable, self.removed, notes=self.notes)


@attrs.frozen
class Store(Tabular):
    """
    The runs in one folder, read again by each call. A store that does not exist yet is empty, unless it was named.

    A run is a folder with a `run.json`. A link to a run elsewhere counts; one to a run in the same store does not.
    Runs that `refunc rm` has marked are left out, except where one is named by its id.
    """

    path: Path
    #: Whether someone named the folder, so that it is a mistake if it does not exist.
    is_named: bool = attrs.field(default=False, kw_only=True, eq=False, repr=False)

    def __iter__(self) -> Iterator[Run]:
        """Yield the runs, oldest first. A folder that cannot be read as a run is left out; see `listing`."""
        return iter(self.runs())

    def __getitem__(self, name: str) -> Run:
        """
        Return the run *name*, by the first rule that finds one.

        The rules are: the folder's name; the id, alone or as `experiment/id`, also that in another tracker, from which
        it was imported; the run's name; the name that it had before it was renamed; the experiment's name; the
        beginning of an id. Of several runs with one name, the newest is returned. A removed run is found by its
        folder's name, and by its id or the beginning of it.

        Raises:
            RunNotFoundError: No run matches *name*, or several ids begin with it.
            RunFormatError: The run *name* cannot be read.
            OSError: The store cannot be read.
            TypeError: *name* is not a text.
        """
        if not isinstance(name, str):
            raise TypeError(f"a run is found by its id or name, not by {name!r}; list(store) has all, oldest first.")
        if name == os.path.basename(name) and name not in ("", ".", "..") and any(_births([f"{self.path}/{name}"])):
            return Run.open(self.path / name)
        try:
            listing = self.listing()
        except (FileNotFoundError, NotADirectoryError):  # the text of the error says so
            listing = Listing([], [])
        return run_named(name, listing, self.path)

    def __contains__(self, run: object) -> bool:
        """Whether `store[run]` finds a run, or *run* is one of those listed. Raises OSError as they do."""
        if isinstance(run, str):
            try:
                return self[run] is not None
            except RunNotFoundError:
                if self.is_named and not self.path.is_dir():
                    raise no_store(self.path) from None
                return False
        return isinstance(run, Run) and any(each.folder == run.folder for each in self)

    def runs(self) -> list[Run]:
        """Return the readable runs, oldest first. Raises OSError if the store cannot be read."""
        return self.listing().runs

    def listing(self) -> Listing:
        """
        Return the runs, oldest first, the removed ones, and the errors of folders that cannot be read as runs.

        Raises:
            OSError: The store cannot be read.
        """
        runs: list[tuple[float, str, Run, bool]] = []
        unreadable: list[RunFormatError] = []
        folders = self._folders()
        known = Births.of(self.path, len(folders))
        for path, status in folders:
            try:
                start, run, is_removed = known.opened(path, status)
                runs.append((start, path, run, is_removed))
            except Exception as error:
                unreadable.append(fault_of(Path(path), error))
        known.keep()
        # Not sorted by the folders' names: those have local time, which jumps, and users rename folders.
        runs.sort(key=itemgetter(0, 1))
        kept: list[Run] = []
        removed: list[Run] = []
        for _, _, run, is_removed in runs:
            (removed if is_removed else kept).append(run)
        return Listing(kept, unreadable, removed)

    def find(
        self,
        expression: str | None = None,
        *,
        order_by: str | None = None,
        limit: int | None = None,
        allow_missing: bool = False,
        processes: int = 0,
    ) -> Runs:
        """
        Return the runs that match *expression*, oldest first: a list, with `group_by`, `to_pandas` and their like.

        Args:
            expression: For example `params.lr < 0.01 and metrics.accuracy.max > 0.9 and status == 'completed'`. A
                comparison with a value that a run does not have is false.
            order_by: An expression to sort by, lowest first; `-metrics.accuracy.max` sorts the highest first. Runs
                without the value come last.
            limit: The most runs to return.
            allow_missing: Whether they may name something that no run has, or compare values of different kinds.
            processes: How many other processes may read journals that are new to the index; by default this one does.

        Raises:
            ExpressionError: One of them is not a valid expression, or names something that no run has; the text says
                where.
            TypeError: One of them is not a text.
            ValueError: *limit* is negative.
            OSError: The store cannot be read.
        """
        from refunc.runs.groups import Runs

        if limit is not None and (not isinstance(limit, int) or limit < 0):
            raise ValueError(f"find: limit={limit!r} is not a whole number of 0 or more.")
        found = self.search(expression, order_by=order_by, allow_missing=allow_missing, processes=processes)
        return Runs(found.runs[:limit])

    def group_by(self, *names: str) -> Groups:
        """Return all readable runs in groups; see `Runs.group_by`."""
        return self._every().group_by(*names)

    def search(
        self,
        expression: str | None = None,
        *,
        order_by: str | None = None,
        allow_missing: bool = False,
        processes: int = 0,
        removed: bool = False,
    ) -> Listing:
        """
        Return the runs like `find`, together with those that it leaves out because they cannot be read.

        Args:
            removed: Look among the runs that `refunc rm` has marked, and only among them.
        """
        from refunc.runs.query import Query, answer

        query = Query.of(expression, order_by, allow_missing=allow_missing)
        listing = self.listing()
        found = answer(listing.removed if removed else listing.runs, query, processes)
        unreadable = [*listing.unreadable, *found.unreadable]
        return Listing([run for run, _ in found.runs], unreadable, listing.removed, notes=found.notes)

    def to_rows(self) -> list[dict[str, Any]]:
        """
        Return one dict per run, oldest first; see `refunc.runs.table.row_of` for the columns.

        A run whose journal cannot be read has only its names and ids, and the status `unreadable`.
        """
        return self._every().to_rows()

    def _every(self) -> Runs:
        from refunc.runs.groups import Runs

        return Runs(self.runs())

    def _folders(self) -> list[tuple[str, os.stat_result | None]]:
        """Return the folders that may be runs, each with the state of its `run.json` as far as it is known."""
        try:
            with os.scandir(self.path) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError) as error:
            if self.is_named or isinstance(error, NotADirectoryError):
                raise no_store(self.path) from None
            return []
        folders = self._of_entries(found)
        if not folders and any(entry.name == RUN_JSON for entry in found):
            raise no_store(self.path)
        return folders

    def _of_entries(self, found: list[os.DirEntry[str]]) -> list[tuple[str, os.stat_result | None]]:
        links = [entry for entry in found if entry.is_symlink()]
        if not links:
            return list(_births(entry.path for entry in found))
        here = os.path.realpath(self.path)
        folders = {f"{here}/{entry.name}": entry.path for entry in found if not entry.is_symlink()}
        for entry in links:
            folders.setdefault(os.path.realpath(entry.path), entry.path)
        return list(_births(folders.values()))


def open_store(path: str | os.PathLike[str] | None = None) -> Store:
    """
    Return the store at *path*, by default the one to which trainings in this folder write.

    Reading raises FileNotFoundError if *path* is given and does not exist; the default store is empty until then. For
    a file, or the folder of a run, it raises NotADirectoryError.
    """
    return Store(store_path(path), is_named=path is not None)


def _births(folders: Iterable[str]) -> Iterator[tuple[str, os.stat_result | None]]:
    """Yield those of *folders* that may be runs, each with the state of its `run.json`; None if that is not allowed."""
    for folder in folders:
        try:
            status = os.stat(f"{folder}/{RUN_JSON}")
        except PermissionError:  # `lost+found` is not a run; a folder that is named like a run may be one
            if may_be_folder_name(os.path.basename(folder)):
                yield folder, None
        except (OSError, ValueError):
            continue
        else:
            if stat.S_ISREG(status.st_mode):
                yield folder, status
