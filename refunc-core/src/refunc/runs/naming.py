"""The run that a name means, among those of a store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from refunc.journal.folder import RUN_JSON
from refunc.runs.errors import RunNotFoundError
from refunc.runs.origin import origins_of
from refunc.runs.run import Run
from refunc.runs.store_folder import elsewhere, missing
from refunc.values.near import nearest

if TYPE_CHECKING:
    from refunc.runs.store import Listing


def run_named(name: str, listing: Listing, store: Path) -> Run:
    """Return the run *name* among those in *listing*, of *store*; see `Store` for the rules and errors."""
    for error in listing.unreadable:
        if name and error.folder.name.endswith(f"_{name}"):  # the id, as in the folder's name
            raise error
    run = _named(name, listing) or _begun(name, listing)
    if run is None:
        raise _unknown(name, listing, store)
    return run


def _named(name: str, listing: Listing) -> Run | None:
    """Return the run with this id or name."""
    newest_first = listing.runs[::-1]
    for run in [*newest_first, *reversed(listing.removed)]:
        if name in (run.run_id, f"{run.experiment_name}/{run.run_id}") or (name and name in origins_of(run)):
            return run
    for attribute in ("run_name", "logged_name", "experiment_name"):
        for run in newest_first:
            if name == getattr(run, attribute):
                return run
    return None


def _begun(name: str, listing: Listing) -> Run | None:
    """Return the run whose id begins with *name*. Raises RunNotFoundError if several do."""
    for runs in (listing.runs[::-1], listing.removed):
        ids = [(run, (run.run_id, *origins_of(run))) for run in runs]
        beginning = [run for run, known in ids if name and any(each.startswith(name) for each in known)]
        if len(beginning) > 1:
            raise _ambiguous(name, beginning)
        if beginning:
            return beginning[0]
    return None


def _ambiguous(name: str, runs: list[Run]) -> RunNotFoundError:
    ids = [f"{run.run_id} ({run.run_name})" if run.run_name != run.run_id else run.run_id for run in runs]
    more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
    return RunNotFoundError(
        f"{name!r} is ambiguous: {len(ids)} run ids begin with it: {', '.join(ids[:5])}{more}.", ids
    )


def _unknown(name: str, listing: Listing, path: Path) -> RunNotFoundError:
    names = [name for run in listing.runs[::-1] for name in (run.run_name, run.experiment_name, run.run_id)]
    near = nearest(name, dict.fromkeys(names), most=3, alike=0.5)
    hint = f" Did you mean {', '.join(near)}?" if near else ""
    if not listing.runs and not listing.removed:
        is_store = path.is_dir() and not (path / RUN_JSON).is_file()
        hint = elsewhere(path) if is_store else f" This is not a store: {missing(path)}."
    removed = [run for run in listing.removed if run.run_name == name]
    if removed:
        hint = f" The run {removed[-1].run_id} of this name was removed; `refunc restore {removed[-1].run_id}`."
    if listing.unreadable:  # the run may be one of these
        hint += f" {len(listing.unreadable)} cannot be read, such as {listing.unreadable[0]}"
    return RunNotFoundError(f"no run {name!r} in {path}.{hint}", near)
